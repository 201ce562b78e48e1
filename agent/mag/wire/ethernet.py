"""Ethernet frames and link-layer addresses as access links show them."""

import re
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.buffer import Reader

ETHERTYPE_IPV6: Final = 0x86DD
ADDRESS_OCTETS: Final = 6
NO_LINK_LAYER_ADDRESS: Final = bytes(ADDRESS_OCTETS)
"""The ALL_ZERO of RFC 5213 §9.3: both ends of a link without link-layer addresses have it."""

_VLAN_ETHERTYPES: Final = frozenset((0x8100, 0x88A8))
_VLAN_TAG_REST: Final = Struct("!HH")
_ADDRESS_TEXT: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE | re.ASCII)


@frozen
class EthernetFrame:
    """A frame without its frame check sequence."""

    destination: bytes
    """Six octets."""
    source: bytes
    """Six octets."""
    ethertype: int
    """Of the payload, behind any VLAN tag."""
    payload: bytes

    LAYOUT: ClassVar[Struct] = Struct("!6s6sH")

    @classmethod
    def decode(cls, frame: bytes) -> Self:
        """Read a frame; 802.1Q and 802.1ad tags are skipped. Raises Truncated."""
        reader = Reader(frame)
        destination, source, ethertype = reader.unpack(cls.LAYOUT)
        while ethertype in _VLAN_ETHERTYPES:
            _, ethertype = reader.unpack(_VLAN_TAG_REST)
        return cls(destination, source, ethertype, reader.rest())

    def encode(self) -> bytes:
        """Write the frame, untagged. Raises ValueError for an address that is not six octets."""
        if len(self.destination) != ADDRESS_OCTETS or len(self.source) != ADDRESS_OCTETS:
            raise ValueError("an Ethernet address has six octets")
        return self.LAYOUT.pack(self.destination, self.source, self.ethertype) + self.payload


def format_link_layer_address(address: bytes) -> str:
    """Lower-case octets with colons between: `02:00:00:00:00:01`."""
    return address.hex(":")


def parse_link_layer_address(text: str) -> bytes:
    """The six octets of `02:00:00:00:00:01`. Raises ValueError for any other form."""
    if not _ADDRESS_TEXT.fullmatch(text):
        raise ValueError(f"{text!r} is no link-layer address like 02:00:00:00:00:01")
    return bytes.fromhex(text.replace(":", ""))
