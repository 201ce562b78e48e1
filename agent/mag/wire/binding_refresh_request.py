"""Binding Refresh Request (RFC 6275 §6.1.2)."""

from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.iana import MobilityHeaderType
from mag.wire.options import CarriesOptions, MobilityOption, decode_options, encode_options

_RESERVED: Final = bytes(2)
_OPTIONS_START: Final = 8


@frozen
class BindingRefreshRequest(CarriesOptions):
    """A peer asks for a fresh registration."""

    options: tuple[MobilityOption, ...] = ()

    MH_TYPE: ClassVar[int] = MobilityHeaderType.BINDING_REFRESH_REQUEST
    MINIMUM_HEADER_LEN: ClassVar[int] = 0

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a whole Mobility Header. Raises WireError."""
        return cls(decode_options(message, _OPTIONS_START))

    def encode(self) -> bytes:
        """Write the message data, what follows the checksum. Raises ValueError for misuse."""
        return _RESERVED + encode_options(self.options, _OPTIONS_START)
