"""What can go wrong between the agent and VPP."""

from collections.abc import Mapping
from typing import Final

from mag.dataplane.base import DataplaneError

REASONS: Final[Mapping[int, str]] = {
    -1: "unspecified error",
    -2: "no such interface",
    -3: "no such IPv6 table",
    -6: "no such entry",
    -7: "invalid value",
    -62: "IPv6 is not enabled on the interface",
    -81: "the value exists already",
    -105: "the address is in use",
    -106: "the address is not in use",
    -114: "the interface has an address, which it must not have for that",
    -116: "the entry exists already",
    -126: "the interface does not support it",
    -127: "the interface has the address already",
    -147: "it is in use",
    -162: "the limit is reached",
    -165: "there is more, ask again",
}
"""VNET_API_ERROR_* (vnet/error.h) in words, as far as our calls meet them."""


class VppUnreachableError(DataplaneError):
    """There is no VPP at the socket, or it does not let us in."""


class VppIncompatibleError(DataplaneError):
    """This VPP or its plugin is not one that we can work with; nothing was changed on it."""


class VppLostError(DataplaneError):
    """The connection ended before the answer: whether the call took effect is unknown."""


class VppTimeoutError(DataplaneError):
    """No answer in time: whether the call took effect is unknown."""


class VppRefusedError(DataplaneError):
    """VPP said no; `return_value` is its VNET_API_ERROR number."""

    def __init__(self, operation: str, return_value: int, *, target: str = "") -> None:
        """operation: the message that was sent."""
        self.return_value = return_value
        reason = REASONS.get(return_value, "refused")
        super().__init__(operation, f"{reason} ({return_value})", target=target)
