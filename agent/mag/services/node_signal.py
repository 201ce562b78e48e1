"""What a frame from an access link says of the node that sent it."""

from ipaddress import IPv6Address
from typing import Final

from mag.frozen import frozen
from mag.wire.buffer import Truncated
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.neighbor_discovery import ROUTER_SOLICITATION, RouterSolicitation
from mag.wire.neighbor_solicitation import (
    NEIGHBOR_ADVERTISEMENT,
    NEIGHBOR_SOLICITATION,
    NeighborAdvertisement,
    NeighborSolicitation,
)

_NEXT_HEADER_OFFSET: Final = 6
_SOURCE: Final = slice(8, 24)
_HEADER_OCTETS: Final = 40


@frozen
class NodeSignal:
    """A mobile node made itself heard on an access link."""

    access_interface: str
    mn_link_layer_address: bytes
    is_router_solicitation: bool
    source: IPv6Address
    """Of the packet; `::` while the node has no address."""
    claimed: IPv6Address | None = None
    """An address that the node says it has or is about to take (RFC 4861 §4.4, RFC 4862 §5.4)."""
    solicited: IPv6Address | None = None
    """An address whose link-layer address the node asks for (RFC 4861 §4.3)."""


def read_signal(interface: str, mn_link_layer_address: bytes, packet: bytes) -> NodeSignal:
    """What a frame of that node carried, as a signal; Neighbor Discovery must be valid.

    Raises WireError.
    """
    if len(packet) < _HEADER_OCTETS:
        raise Truncated(f"{len(packet)} octets of IPv6")
    icmpv6_type = _icmpv6_type(packet)
    claimed = solicited = None
    if icmpv6_type == ROUTER_SOLICITATION:
        RouterSolicitation.decode(packet)
    elif icmpv6_type == NEIGHBOR_SOLICITATION:
        solicitation = NeighborSolicitation.decode(packet)
        if solicitation.is_claim:
            claimed = solicitation.target
        else:
            solicited = solicitation.target
    elif icmpv6_type == NEIGHBOR_ADVERTISEMENT:
        claimed = NeighborAdvertisement.decode(packet).target
    return NodeSignal(
        interface,
        mn_link_layer_address,
        icmpv6_type == ROUTER_SOLICITATION,
        IPv6Address(packet[_SOURCE]),
        claimed,
        solicited,
    )


def _icmpv6_type(packet: bytes) -> int | None:
    """None for what is no ICMPv6 right behind the IPv6 header."""
    if packet[_NEXT_HEADER_OFFSET] != IP_PROTOCOL_ICMPV6 or len(packet) == _HEADER_OCTETS:
        return None
    return packet[_HEADER_OCTETS]
