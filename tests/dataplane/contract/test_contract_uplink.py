"""What becomes of packets from nodes, over every packet path."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    BOB,
    CORRESPONDENT,
    LMA_A,
    LMA_B,
    PROXY_COA,
    TUNNEL_MTU,
    TUNNELS,
    Bench,
    address_of,
    ensure,
    send_as,
    uplink_of,
)
from mag.dataplane.base import Ensure, MobileNodeForwarding
from mag.dataplane.verdict import (
    Ecn,
    HandedToGateway,
    InnerPacket,
    PacketTooBig,
    TimeExceeded,
    Tunnelled,
)
from mag.protocol.settings import RESERVED_LINK_LOCAL_ADDRESS

ALICE_LINK_LOCAL = IPv6Address("fe80::a")
MANY_PREFIXES = (
    IPv6Network("2001:db8:1:1::/64"),
    IPv6Network("2001:db8:20:10::/60"),
    IPv6Network("2001:db8:30::/56"),
)


@pytest.mark.requirement(
    "FWD-13", "FWD-15", "PBA-27", "PBA-28", "TUN-01", "TUN-06", "TUN-09", "T2473-01", "T2473-08"
)
async def test_packet_from_bound_source_goes_to_its_lma(bench: Bench) -> None:
    """FWD-13, FWD-15, T2473-01, T2473-08."""
    assert await send_as(bench, ALICE, uplink_of(ALICE)) == [
        Tunnelled(
            lma_address=LMA_A,
            proxy_care_of_address=PROXY_COA,
            outer_hop_limit=64,
            outer_ecn=Ecn.NOT_ECT,
            inner=uplink_of(ALICE, hop_limit=63),
        )
    ]


@pytest.mark.requirement("FWD-13", "TUN-03")
async def test_each_binding_uses_the_tunnel_of_its_own_lma(bench: Bench) -> None:
    """FWD-13."""
    (seen,) = await send_as(bench, BOB, uplink_of(BOB))
    assert isinstance(seen, Tunnelled)
    assert seen.lma_address == LMA_B


@pytest.mark.requirement("T2473-08")
@pytest.mark.parametrize("hop_limit", [255, 3], ids=["largest", "small"])
async def test_outer_hop_limit_is_independent_of_the_inner_one(
    bench: Bench, hop_limit: int
) -> None:
    """T2473-08."""
    (seen,) = await send_as(bench, ALICE, uplink_of(ALICE, hop_limit=hop_limit))
    assert isinstance(seen, Tunnelled)
    assert (seen.outer_hop_limit, seen.inner.hop_limit) == (64, hop_limit - 1)


@pytest.mark.requirement("FWD-09")
@pytest.mark.parametrize(
    ("sender", "packet"),
    [
        (ALICE, InnerPacket(IPv6Address("2001:db8:9::1"), CORRESPONDENT)),
        (replace(ALICE, access_interface="acc2"), uplink_of(ALICE)),
        (replace(ALICE, mn_link_layer_address=bytes.fromhex("020000000bad")), uplink_of(ALICE)),
        (ALICE, uplink_of(BOB)),
        (BOB, uplink_of(ALICE)),
        (ALICE, InnerPacket(IPv6Address("2001:db8:9::1"), PROXY_COA)),
    ],
    ids=["unbound", "wrong link", "wrong MAC", "neighbour's", "neighbour sends ours", "to us"],
)
async def test_source_that_is_not_the_senders_is_dropped_and_counted(
    bench: Bench, sender: MobileNodeForwarding, packet: InnerPacket
) -> None:
    """FWD-09: link, link-layer address and prefix together make the binding."""
    assert await send_as(bench, sender, packet) == []
    assert (await bench.dataplane.counters()).drops["unknown_source"] == 1


@pytest.mark.requirement("FWD-09")
async def test_source_is_not_forwarded_before_it_is_bound(bare_bench: Bench) -> None:
    """FWD-09."""
    bench = bare_bench
    await ensure(bench, *TUNNELS, *ACCESS_LINKS)
    assert await send_as(bench, ALICE, uplink_of(ALICE)) == []


@pytest.mark.requirement("FWD-14")
async def test_link_local_source_to_global_destination_is_dropped_and_counted(
    bench: Bench,
) -> None:
    """FWD-14."""
    packet = InnerPacket(ALICE_LINK_LOCAL, CORRESPONDENT)
    assert await send_as(bench, ALICE, packet) == []
    assert (await bench.dataplane.counters()).drops["link_local_source"] == 1


@pytest.mark.requirement("LINK-02")
@pytest.mark.parametrize(
    "source", [ALICE_LINK_LOCAL, address_of(ALICE)], ids=["from link-local", "from prefix"]
)
@pytest.mark.parametrize(
    "destination",
    [RESERVED_LINK_LOCAL_ADDRESS, IPv6Address("ff02::2")],
    ids=["to gateway", "to all routers"],
)
async def test_packet_to_the_link_reaches_the_gateway(
    bench: Bench, source: IPv6Address, destination: IPv6Address
) -> None:
    """RFC 5213 §6.8: the gateway is the node's router, at one fixed link-local address."""
    assert await send_as(bench, ALICE, InnerPacket(source, destination)) == [HandedToGateway()]


@pytest.mark.requirement("LLA-01")
@pytest.mark.parametrize("local_routing", [False, True], ids=["through LMA", "local routing"])
@pytest.mark.parametrize("index", range(3), ids=["64", "60", "56"])
async def test_anycast_address_of_each_of_its_prefixes_is_the_gateway(
    bench: Bench, index: int, local_routing: bool
) -> None:
    """LLA-01: the only address of a prefix that is not the node's."""
    many = replace(ALICE, home_network_prefixes=MANY_PREFIXES, local_routing=local_routing)
    assert list(await bench.dataplane.apply([Ensure(many, replaces=ALICE)])) == [None]
    anycast = MANY_PREFIXES[index].network_address
    for source in range(len(MANY_PREFIXES)):
        packet = InnerPacket(address_of(many, source), anycast)
        assert await send_as(bench, many, packet) == [HandedToGateway()]


@pytest.mark.requirement("LLA-01")
async def test_address_beside_the_anycast_address_is_not_the_gateway(bench: Bench) -> None:
    """LLA-01: INT-14, what is not the gateway's goes into the tunnel, wherever it is."""
    for destination in (address_of(ALICE, interface_id=1), address_of(BOB, interface_id=0)):
        (seen,) = await send_as(bench, ALICE, InnerPacket(address_of(ALICE), destination))
        assert isinstance(seen, Tunnelled)
        assert seen.inner.destination == destination


@pytest.mark.requirement("LLA-01", "FWD-09")
async def test_anycast_address_is_the_gateway_for_its_node_only(bench: Bench) -> None:
    """FWD-09: whoever sends as somebody else is not answered."""
    anycast = ALICE.home_network_prefixes[0].network_address
    wrong = replace(ALICE, mn_link_layer_address=BOB.mn_link_layer_address)
    frame = (wrong.access_interface, wrong.mn_link_layer_address)
    assert await bench.from_node(*frame, InnerPacket(address_of(ALICE), anycast)) == []
    assert (await bench.dataplane.counters()).drops["unknown_source"] == 1


@pytest.mark.requirement("FWD-11", "LR-03")
async def test_packet_to_another_local_node_goes_into_the_tunnel(bench: Bench) -> None:
    """FWD-11, INT-14: no short cut past the LMA while local routing is off."""
    packet = replace(uplink_of(ALICE), destination=address_of(BOB))
    (seen,) = await send_as(bench, ALICE, packet)
    assert isinstance(seen, Tunnelled)
    assert (seen.lma_address, seen.inner.destination) == (LMA_A, address_of(BOB))


@pytest.mark.parametrize("destination", [PROXY_COA, LMA_A, LMA_B], ids=["us", "own LMA", "other"])
async def test_packet_to_the_ends_of_tunnels_is_tunnelled_as_any_other(
    bench: Bench, destination: IPv6Address
) -> None:
    """A node reaches no service on the Proxy-CoA and no LMA but through its tunnel."""
    packet = replace(uplink_of(ALICE), destination=destination)
    (seen,) = await send_as(bench, ALICE, packet)
    assert isinstance(seen, Tunnelled)
    assert (seen.lma_address, seen.inner.destination) == (LMA_A, destination)


@pytest.mark.requirement("TUN-14", "TUN-15")
@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (Ecn.NOT_ECT, Ecn.NOT_ECT),
        (Ecn.ECT_0, Ecn.ECT_0),
        (Ecn.ECT_1, Ecn.ECT_1),
        (Ecn.CE, Ecn.ECT_0),
    ],
)
async def test_outer_ecn_follows_the_full_functionality_option(
    bench: Bench, inner: Ecn, outer: Ecn
) -> None:
    """TUN-15 (RFC 3168 §9.1.1)."""
    (seen,) = await send_as(bench, ALICE, uplink_of(ALICE, ecn=inner))
    assert isinstance(seen, Tunnelled)
    assert (seen.inner.ecn, seen.outer_ecn) == (inner, outer)


@pytest.mark.requirement("MTU-01", "T2473-11")
async def test_packet_of_exactly_the_tunnel_mtu_goes_through(bench: Bench) -> None:
    """T2473-11."""
    (seen,) = await send_as(bench, ALICE, uplink_of(ALICE, octets=TUNNEL_MTU))
    assert isinstance(seen, Tunnelled)
    assert seen.inner.octets == TUNNEL_MTU


@pytest.mark.requirement("T2473-12")
async def test_packet_above_the_tunnel_mtu_is_answered_with_packet_too_big(bench: Bench) -> None:
    """T2473-12."""
    packet = uplink_of(ALICE, octets=TUNNEL_MTU + 1)
    assert await send_as(bench, ALICE, packet) == [PacketTooBig(TUNNEL_MTU)]


@pytest.mark.requirement("MTU-16")
async def test_changed_tunnel_mtu_is_what_nodes_are_told(bench: Bench) -> None:
    """MTU-16."""
    before, _ = TUNNELS
    after = replace(before, mtu_octets=1360)
    assert list(await bench.dataplane.apply([Ensure(after, replaces=before)])) == [None]
    assert await send_as(bench, ALICE, uplink_of(ALICE, octets=1361)) == [PacketTooBig(1360)]
    (seen,) = await send_as(bench, ALICE, uplink_of(ALICE, octets=1360))
    assert isinstance(seen, Tunnelled)


@pytest.mark.requirement("T2473-01")
async def test_hop_limit_that_ends_here_is_answered_with_time_exceeded(bench: Bench) -> None:
    """T2473-01: encapsulation is a forwarding step."""
    assert await send_as(bench, ALICE, uplink_of(ALICE, hop_limit=1)) == [TimeExceeded()]


async def test_prefixes_of_several_lengths_are_all_forwarded(bench: Bench) -> None:
    """RFC 5213 §6.1: a binding has one or more prefixes."""
    many = replace(ALICE, home_network_prefixes=MANY_PREFIXES)
    assert list(await bench.dataplane.apply([Ensure(many, replaces=ALICE)])) == [None]
    for index in range(len(MANY_PREFIXES)):
        source = address_of(many, index)
        (seen,) = await send_as(bench, many, replace(uplink_of(ALICE), source=source))
        assert isinstance(seen, Tunnelled)
        assert seen.inner.source == source
    beyond = MANY_PREFIXES[1][-1] + 1
    assert await send_as(bench, many, replace(uplink_of(ALICE), source=beyond)) == []
