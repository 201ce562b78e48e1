"""The layout of VPP's API messages, as vpp-papi learns it from VPP itself.

A layout is found by name and CRC and never changes under them, so what one VPP has told holds
for the next; vpp-papi keeps types once for the whole process anyway.
"""

import warnings
from collections.abc import Collection, Mapping
from typing import Any, Final

from vpp_papi.vpp_papi_async import VPPApiClient, VPPApiJSONFiles

SOCKET_CREATE: Final = "sockclnt_create"
SOCKET_CREATE_REPLY: Final = "sockclnt_create_reply"
_CRC_PREFIX: Final = "0x"


class MessageDefinitions:
    """vpp-papi's packers, by `name_crc`."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # vpp-papi 2.4.2 reads its own data with a call that Python 3.11 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            bootstrap = VPPApiClient()
        self._by_name_crc: dict[str, Any] = {}
        self._add(bootstrap.messages)

    def learn(self, json_text: str) -> None:
        """Take in what VPP's `get_api_json` answers."""
        messages, _ = VPPApiJSONFiles.process_json_array_str(json_text)
        self._add(messages)

    def knows(self, required: Mapping[str, str]) -> bool:
        """Whether there is a layout for each of these names with that CRC."""
        return all(f"{name}_{crc}" in self._by_name_crc for name, crc in required.items())

    def select(self, name_crcs: Collection[str]) -> dict[str, Any]:
        """The layouts known of these, by `name_crc`."""
        known = self._by_name_crc
        return {name_crc: known[name_crc] for name_crc in name_crcs if name_crc in known}

    def bootstrap(self, name: str) -> Any:
        """The layout of a message that exists before the message table does."""
        return next(
            message
            for name_crc, message in self._by_name_crc.items()
            if name_crc.rpartition("_")[0] == name
        )

    def _add(self, messages: Mapping[str, Any]) -> None:
        for name, message in messages.items():
            self._by_name_crc[f"{name}_{message.crc.removeprefix(_CRC_PREFIX)}"] = message
