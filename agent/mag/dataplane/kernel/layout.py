"""The layout in the kernel as plain values: table numbers, rule preferences, names and marks.

One veth pair per LMA is the tunnel interface: a node's packet is forwarded into `mag-<n>` like into
any tunnel device, and encapsulated where it comes out, on `mag-<n>e`. An encapsulating route on the
access link would be shorter, but the kernel encapsulates on input: before the hop limit is counted
down, without Packet Too Big or Time Exceeded to the node.
"""

import re
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import Final

from mag.frozen import frozen

ROUTE_PROTOCOL: Final = 213
"""rtnetlink protocol number of every rule, route, neighbour and address of ours."""
DEFAULT_TABLE_BASE: Final = 21300

LOCAL_TABLE: Final = 255
KERNEL_LOCAL_PREFERENCE: Final = 0

# Before `local`, so that a node's packet never reaches the gateway's own global addresses; before
# local routing, whose table has the whole prefix of the node.
ANYCAST_PREFERENCE: Final = 6
LOCAL_ROUTING_PREFERENCE: Final = 8
UPLINK_PREFERENCE: Final = 10
ENCAPSULATION_PREFERENCE: Final = 12
DECAPSULATION_PREFERENCE: Final = 20
OWN_ICMP_PREFERENCE: Final = 30
LOCAL_PREFERENCE: Final = 100
UNBOUND_PREFERENCE: Final = 110

SINK_INTERFACE: Final = "mag-sink"
SINK_PEER_INTERFACE: Final = "mag-sinke"
SINK_ALIAS_PREFIX: Final = "mag:sink:"
TUNNEL_ALIAS_PREFIX: Final = "mag:lma:"

NEXT_HOP: Final = IPv6Address("fe80::1")
"""Gateway on the veth pairs: one neighbour entry there instead of one per destination."""

LOCAL_ROUTING_MARK: Final = 0x0200_0000
"""Packet mark of what a node sends that may go to other nodes of this gateway directly."""
ANYCAST_MARK: Final = 0x0800_0000
"""Packet mark of ICMPv6 from a node to the Subnet-Router anycast address of its prefix."""
NODE_FRAGMENT_MARK: Final = 0x0400_0000
"""Packet mark of fragments from nodes, which are not for us to join."""
CONGESTION_MARK: Final = 0x0100_0000
"""Packet mark of a decapsulated packet whose tunnel header said congestion experienced."""

LINK_LOCAL_BLOCK: Final = IPv6Network("fe80::/10")
MULTICAST_BLOCK: Final = IPv6Network("ff00::/8")

# Link-local by RFC 4291 §2.4 (fe80::/10), but with bits set that §2.5.6 wants to be zero: no node
# can have such an address, so the entries never collide with a real neighbour.
_BINDING_NEIGHBOR_BITS: Final = int(IPv6Address("fe80:6d61:6700::"))
_INTERFACE_ID_MASK: Final = (1 << 64) - 1

_ACCESS_NOTE: Final = re.compile(r"mag-(\d+)-([0-9a-f]{12})-([01])([01])([0-9])([0-9])")


@frozen
class RoutingTables:
    """Table numbers, counted from a base that the configuration may move."""

    base: int = DEFAULT_TABLE_BASE

    @property
    def uplink(self) -> int:
        """Source-specific defaults: a home network prefix to its tunnel."""
        return self.base

    @property
    def decapsulation(self) -> int:
        """Tunnel end points: Proxy-CoA from each LMA."""
        return self.base + 1

    @property
    def downlink(self) -> int:
        """Home network prefixes to access links; only decapsulated packets come here (INT-14)."""
        return self.base + 2

    @property
    def local_routing(self) -> int:
        """Home network prefixes that other nodes of this gateway may send to (RFC 5213 §6.10.3)."""
        return self.base + 3

    @property
    def anycast(self) -> int:
        """What comes here is for the gateway itself, whatever its destination."""
        return self.base + 4

    def encapsulation(self, tunnel_index: int) -> int:
        """The one encapsulating default of a tunnel."""
        return self.base + 16 + tunnel_index


def tunnel_interface(index: int) -> str:
    """The interface that nodes' packets are forwarded into."""
    return f"mag-{index}"


def tunnel_peer_interface(index: int) -> str:
    """Where they come out again and are encapsulated."""
    return f"mag-{index}e"


def tunnel_index(interface: str) -> int | None:
    """The index in a tunnel interface's name, None for any other name."""
    match = re.fullmatch(r"mag-(\d+)", interface)
    return int(match[1]) if match else None


def tunnel_alias(lma_address: IPv6Address) -> str:
    """The mark on a tunnel interface."""
    return f"{TUNNEL_ALIAS_PREFIX}{lma_address}"


def lma_of_alias(alias: str | None) -> IPv6Address | None:
    """The LMA of a tunnel interface's mark, None for what is not ours."""
    if not alias or not alias.startswith(TUNNEL_ALIAS_PREFIX):
        return None
    try:
        return IPv6Address(alias.removeprefix(TUNNEL_ALIAS_PREFIX))
    except AddressValueError:
        return None


def pair_link_layer_address(index: int) -> str:
    """Locally administered, for both ends of a pair.

    A device without ARP sends to its own address; the other end must recognise that as its own.
    """
    return f"02:4d:41:47:{index >> 8 & 0xFF:02x}:{index & 0xFF:02x}"


def binding_neighbor(binding_id: int) -> bytes:
    """The next hop that stands for a binding, packed; the binding id is its low half."""
    return (_BINDING_NEIGHBOR_BITS | binding_id & _INTERFACE_ID_MASK).to_bytes(16, "big")


def binding_of_neighbor(address: bytes) -> int | None:
    """The binding id in a packed next hop, None if it is not one of ours."""
    value = int.from_bytes(address, "big")
    if value & ~_INTERFACE_ID_MASK != _BINDING_NEIGHBOR_BITS:
        return None
    return value & _INTERFACE_ID_MASK


def held_down_mark(ifindex: int) -> str:
    """The alternative name of an access interface that is down and for the gateway to bring up."""
    return f"mag-held-{ifindex}"


@frozen
class AccessNote:
    """What an access interface was before we took it.

    Kept on the interface as an alternative name: that is our mark too, it survives the agent and
    goes when the interface goes.
    """

    ifindex: int
    link_layer_address: bytes
    was_up: bool
    forwarding: int
    accept_ra: int
    addr_gen_mode: int

    def encode(self) -> str:
        """The alternative name; the index makes it unique in the namespace."""
        return (
            f"mag-{self.ifindex}-{self.link_layer_address.hex()}-"
            f"{self.was_up:d}{self.forwarding}{self.accept_ra}{self.addr_gen_mode}"
        )

    @classmethod
    def decode(cls, name: str) -> "AccessNote | None":
        """Read an alternative name, None if it is not such a note."""
        match = _ACCESS_NOTE.fullmatch(name)
        if match is None:
            return None
        return cls(
            ifindex=int(match[1]),
            link_layer_address=bytes.fromhex(match[2]),
            was_up=match[3] == "1",
            forwarding=int(match[4]),
            accept_ra=int(match[5]),
            addr_gen_mode=int(match[6]),
        )
