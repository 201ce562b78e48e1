"""An LMA that makes the acknowledgement from the update's own octets: its share stays small."""

from ipaddress import IPv6Address, IPv6Network
from struct import Struct
from typing import Final

from mag.wire.checksum import checksum
from mag.wire.iana import MobilityHeaderType, MobilityOptionType
from perf.control_plane.nodes import LMA_ADDRESS, PROXY_CARE_OF_ADDRESS

POOL: Final = IPv6Network("2001:db8:1000::/36")

_OPTIONS_START: Final = 12
_PROXY_REGISTRATION: Final = 0x20
_CHECKSUM: Final = Struct("!H")
_PREFIX: Final = Struct("!B8s")
_PREFIX_OFFSET: Final = 3
"""In the Home Network Prefix option, of its Prefix Length."""


class TemplateLma:
    """Accepts everything; whoever asks for no prefix gets the next /64 of the pool.

    Both messages have eight octets before their options but the order of the fields, and an
    acknowledgement returns the options as they are (RFC 5213 §5.3.6).
    """

    def __init__(
        self,
        lma_address: IPv6Address = LMA_ADDRESS,
        proxy_care_of_address: IPv6Address = PROXY_CARE_OF_ADDRESS,
    ) -> None:
        self._addresses = (lma_address, proxy_care_of_address)
        self._last_prefix = int(POOL.network_address) >> 64

    def answer(self, update: bytes) -> bytes:
        """The accepting acknowledgement of a Proxy Binding Update of ours."""
        answer = bytearray(update)
        answer[2] = MobilityHeaderType.BINDING_ACKNOWLEDGEMENT
        answer[4:6] = bytes(2)
        answer[6:10] = bytes((0, _PROXY_REGISTRATION)) + update[6:8]
        prefix = _prefix_length_offset(update)
        if update[prefix] == 0:
            self._last_prefix += 1
            _PREFIX.pack_into(answer, prefix, 64, self._last_prefix.to_bytes(8, "big"))
        value = checksum(answer, *self._addresses)
        _CHECKSUM.pack_into(answer, 4, value)
        return bytes(answer)


def _prefix_length_offset(update: bytes) -> int:
    offset = _OPTIONS_START
    while update[offset] != MobilityOptionType.HOME_NETWORK_PREFIX:
        offset += 1 if update[offset] == 0 else 2 + update[offset + 1]
    return offset + _PREFIX_OFFSET
