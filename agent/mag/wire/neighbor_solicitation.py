"""Neighbor Solicitations and Advertisements (RFC 4861 §4.3, §4.4, §7.1)."""

from ipaddress import IPv6Address
from struct import Struct
from typing import Final, Self

from mag.frozen import frozen
from mag.wire.buffer import BadSource, BadTarget
from mag.wire.neighbor_discovery_options import (
    SourceLinkLayerAddressOption,
    TargetLinkLayerAddressOption,
    decode_options,
)
from mag.wire.neighbor_discovery_packet import decode_packet, encode_packet

NEIGHBOR_SOLICITATION: Final = 135
NEIGHBOR_ADVERTISEMENT: Final = 136

_UNSPECIFIED: Final = IPv6Address("::")
_SOLICITED_NODE: Final = int(IPv6Address("ff02::1:ff00:0"))
_SOLICITED_NODE_BITS: Final = 0xFFFFFF
_ROUTER: Final = 0x80
_SOLICITED: Final = 0x40
_OVERRIDE: Final = 0x20
_LAYOUT: Final = Struct("!BBHI16s")
"""Both messages have it; the reserved word of one holds the flags of the other."""
_FLAGS_SHIFT: Final = 24


def solicited_node(address: IPv6Address) -> IPv6Address:
    """The multicast group of everybody who might have this address (RFC 4291 §2.7.1)."""
    return IPv6Address(_SOLICITED_NODE | int(address) & _SOLICITED_NODE_BITS)


@frozen
class NeighborSolicitation:
    """Who has the target? (RFC 4861 §4.3)."""

    source: IPv6Address
    """`::` in duplicate address detection: the sender is about to take the target (RFC 4862)."""
    target: IPv6Address
    source_link_layer_address: bytes | None = None
    """Six octets on Ethernet; never from `::`."""

    @property
    def is_claim(self) -> bool:
        """The sender wants the target for itself."""
        return self.source == _UNSPECIFIED

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Read a whole IPv6 packet. Raises WireError by the rules of RFC 4861 §7.1.1."""
        ipv6 = decode_packet(packet, NEIGHBOR_SOLICITATION, _LAYOUT.size)
        target = _target(ipv6.payload)
        address = next(
            (
                option.address
                for option in decode_options(ipv6.payload[_LAYOUT.size :])
                if isinstance(option, SourceLinkLayerAddressOption)
            ),
            None,
        )
        if ipv6.source.is_unspecified and (
            address is not None or ipv6.destination != solicited_node(target)
        ):
            raise BadSource("no duplicate address detection, but from ::")
        return cls(ipv6.source, target, address)

    def encode(self, destination: IPv6Address) -> bytes:
        """Write a whole IPv6 packet. Raises ValueError for a link-layer address of no option."""
        message = _LAYOUT.pack(NEIGHBOR_SOLICITATION, 0, 0, 0, self.target.packed)
        if self.source_link_layer_address is not None:
            message += SourceLinkLayerAddressOption(self.source_link_layer_address).encode()
        return encode_packet(message, self.source, destination)


@frozen
class NeighborAdvertisement:
    """The sender has the target (RFC 4861 §4.4)."""

    source: IPv6Address
    target: IPv6Address
    is_solicited: bool = False
    is_router: bool = False
    overrides: bool = True
    """What its receivers know of the target; not for an anycast address (RFC 4861 §7.2.7)."""
    target_link_layer_address: bytes | None = None
    """Six octets on Ethernet."""

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Read a whole IPv6 packet. Raises WireError by the rules of RFC 4861 §7.1.2."""
        ipv6 = decode_packet(packet, NEIGHBOR_ADVERTISEMENT, _LAYOUT.size)
        address = next(
            (
                option.address
                for option in decode_options(ipv6.payload[_LAYOUT.size :])
                if isinstance(option, TargetLinkLayerAddressOption)
            ),
            None,
        )
        flags = ipv6.payload[4]
        if flags & _SOLICITED and ipv6.destination.is_multicast:
            raise BadTarget("a solicited advertisement to everybody")
        return cls(
            ipv6.source,
            _target(ipv6.payload),
            is_solicited=bool(flags & _SOLICITED),
            is_router=bool(flags & _ROUTER),
            overrides=bool(flags & _OVERRIDE),
            target_link_layer_address=address,
        )

    def encode(self, destination: IPv6Address) -> bytes:
        """Write a whole IPv6 packet. Raises ValueError for a link-layer address of no option."""
        flags = (
            self.is_router * _ROUTER | self.is_solicited * _SOLICITED | self.overrides * _OVERRIDE
        )
        message = _LAYOUT.pack(
            NEIGHBOR_ADVERTISEMENT, 0, 0, flags << _FLAGS_SHIFT, self.target.packed
        )
        if self.target_link_layer_address is not None:
            message += TargetLinkLayerAddressOption(self.target_link_layer_address).encode()
        return encode_packet(message, self.source, destination)


def _target(message: bytes) -> IPv6Address:
    *_, octets = _LAYOUT.unpack_from(message)
    target = IPv6Address(octets)
    if target.is_multicast:
        raise BadTarget(f"target {target} is multicast")
    return target
