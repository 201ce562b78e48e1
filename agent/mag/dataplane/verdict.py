"""Where a packet comes out: the words in which packet paths are compared and tested."""

from enum import IntEnum
from ipaddress import IPv6Address

from mag.frozen import frozen


class Ecn(IntEnum):
    """The ECN field of an IP header (RFC 3168 §5)."""

    NOT_ECT = 0
    ECT_1 = 1
    ECT_0 = 2
    CE = 3


@frozen
class InnerPacket:
    """What of a node's or correspondent's IPv6 packet matters for forwarding."""

    source: IPv6Address
    destination: IPv6Address
    hop_limit: int = 64
    ecn: Ecn = Ecn.NOT_ECT
    octets: int = 100
    """With the IPv6 header."""


@frozen
class Tunnelled:
    """Out to the core in a tunnel header; `inner` as it is behind that header."""

    lma_address: IPv6Address
    proxy_care_of_address: IPv6Address
    outer_hop_limit: int
    outer_ecn: Ecn
    inner: InnerPacket


@frozen
class Delivered:
    """Out to a node, without a tunnel header."""

    access_interface: str
    link_layer_address: bytes
    packet: InnerPacket


@frozen
class HandedToGateway:
    """For the gateway itself: neighbour discovery, MLD, DHCP, ping to its link-local address."""


@frozen
class Dropped:
    """Silently; counted under `reason`, one of DROP_REASONS."""

    reason: str


@frozen
class PacketTooBig:
    """Not forwarded; the sender is told the largest size that fits (RFC 2473 §7.1)."""

    mtu_octets: int


@frozen
class TimeExceeded:
    """Not forwarded; the sender is told that the hop limit ended here."""


Verdict = Tunnelled | Delivered | HandedToGateway | Dropped | PacketTooBig | TimeExceeded
