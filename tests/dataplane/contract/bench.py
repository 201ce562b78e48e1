"""What the contract suite needs of a packet path under test: send on one side, see what comes out.

A bench has two access links, a core link, two LMAs and a correspondent behind them.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final, Protocol

from mag.dataplane.base import (
    AccessLink,
    Dataplane,
    Ensure,
    LmaTunnel,
    MobileNodeForwarding,
    Record,
)
from mag.dataplane.verdict import Ecn, InnerPacket, Verdict
from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS, RESERVED_LINK_LOCAL_ADDRESS

PROXY_COA: Final = IPv6Address("2001:db8:c::1")
LMA_A: Final = IPv6Address("2001:db8:c::a")
LMA_B: Final = IPv6Address("2001:db8:c::b")
STRANGER: Final = IPv6Address("2001:db8:c::bad")
CORRESPONDENT: Final = IPv6Address("2001:db8:f::99")
TUNNEL_MTU: Final = 1460

LINKS: Final = ("acc1", "acc2")
TUNNELS: Final = tuple(LmaTunnel(PROXY_COA, lma, TUNNEL_MTU) for lma in (LMA_A, LMA_B))
ACCESS_LINKS: Final = tuple(
    AccessLink(name, RESERVED_LINK_LOCAL_ADDRESS, RESERVED_LINK_LAYER_ADDRESS) for name in LINKS
)

ALICE: Final = MobileNodeForwarding(
    binding_id=0x0123_4567_89AB_CDEF,
    home_network_prefixes=(IPv6Network("2001:db8:1:1::/64"),),
    access_interface="acc1",
    mn_link_layer_address=bytes.fromhex("02000000000a"),
    lma_address=LMA_A,
)
BOB: Final = MobileNodeForwarding(
    binding_id=2,
    home_network_prefixes=(IPv6Network("2001:db8:1:2::/64"),),
    access_interface="acc2",
    mn_link_layer_address=bytes.fromhex("02000000000b"),
    lma_address=LMA_B,
)


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Something came out that no test expects."""

    interface: str
    frame: bytes


Seen = Verdict | Unexpected


class Bench(Protocol):
    """One packet path with nodes and LMAs around it. Drops show as nothing seen."""

    dataplane: Dataplane

    def another_instance(self) -> Dataplane:
        """A second backend over the same packet path, as after a restart of the agent."""

    async def from_node(
        self, access_interface: str, link_layer_source: bytes, packet: InnerPacket
    ) -> list[Seen]:
        """Send one frame on an access link; everything that came out anywhere because of it."""

    async def from_tunnel(
        self,
        outer_source: IPv6Address,
        inner: InnerPacket,
        *,
        outer_ecn: Ecn = Ecn.NOT_ECT,
        has_encapsulation_limit: bool = False,
        fragment_octets: int | None = None,
    ) -> list[Seen]:
        """Send one tunnel packet to the Proxy-CoA; everything that came out because of it.

        fragment_octets: the largest packet it may travel in, None for whole ones.
        """


def address_of(
    node: MobileNodeForwarding, prefix: int = 0, interface_id: int = 0x1234
) -> IPv6Address:
    """An address in one of the node's prefixes."""
    return node.home_network_prefixes[prefix][interface_id]


def uplink_of(node: MobileNodeForwarding, **fields: object) -> InnerPacket:
    """A packet of the node to the correspondent."""
    return replace(InnerPacket(address_of(node), CORRESPONDENT), **fields)


def downlink_to(node: MobileNodeForwarding, **fields: object) -> InnerPacket:
    """A packet of the correspondent to the node."""
    return replace(InnerPacket(CORRESPONDENT, address_of(node)), **fields)


async def send_as(bench: Bench, node: MobileNodeForwarding, packet: InnerPacket) -> list[Seen]:
    """From the node's own link and link-layer address."""
    return await bench.from_node(node.access_interface, node.mn_link_layer_address, packet)


async def ensure(bench: Bench, *records: Record) -> None:
    """Apply and insist on success."""
    outcomes = await bench.dataplane.apply([Ensure(record) for record in records])
    assert list(outcomes) == [None] * len(records)
