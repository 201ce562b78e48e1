"""What becomes of tunnel packets from the core, over every packet path."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from dataplane.contract.bench import (
    ALICE,
    BOB,
    CORRESPONDENT,
    LMA_A,
    LMA_B,
    STRANGER,
    Bench,
    address_of,
    downlink_to,
)
from mag.dataplane.base import BindingCounters, Ensure, MobileNodeForwarding
from mag.dataplane.verdict import Delivered, Ecn, InnerPacket, TimeExceeded

NOBODY = IPv6Address("2001:db8:9::1")
FRAGMENT_OCTETS = 1280
"""The smallest path MTU: a tunnel packet around as much comes in two fragments."""
OTHER_LENGTHS = ("2001:db8:20:10::/60", "2001:db8:30::/56")


@pytest.mark.requirement("FWD-01", "FWD-02", "FWD-03", "PBA-28")
@pytest.mark.parametrize(("node", "lma"), [(ALICE, LMA_A), (BOB, LMA_B)], ids=["Alice", "Bob"])
@pytest.mark.parametrize("has_limit", [False, True], ids=["plain", "encapsulation limit"])
async def test_packet_to_a_bound_prefix_reaches_link_and_mac_of_the_node(
    bench: Bench, node: MobileNodeForwarding, lma: IPv6Address, has_limit: bool
) -> None:
    """FWD-01, FWD-02; Linux LMAs send the option of RFC 2473 §4.1.1 by default."""
    seen = await bench.from_tunnel(lma, downlink_to(node), has_encapsulation_limit=has_limit)
    assert seen == [
        Delivered(
            access_interface=node.access_interface,
            link_layer_address=node.mn_link_layer_address,
            packet=downlink_to(node, hop_limit=63),
        )
    ]


@pytest.mark.requirement("ACFG-01", "ACFG-05", "LLA-01")
async def test_any_address_of_the_prefix_is_the_nodes(bench: Bench) -> None:
    """LLA-01: the whole prefix is the node's alone, whatever addresses it makes."""
    for interface_id in (1, 0xFFFF_FFFF_FFFF_FFFE):
        destination = address_of(ALICE, interface_id=interface_id)
        packet = replace(downlink_to(ALICE), destination=destination)
        (seen,) = await bench.from_tunnel(LMA_A, packet)
        assert isinstance(seen, Delivered)
        assert seen.link_layer_address == ALICE.mn_link_layer_address


@pytest.mark.requirement("LLA-01")
async def test_packet_from_the_core_to_the_anycast_address_goes_to_the_node(bench: Bench) -> None:
    """LLA-01: to the rest of the world the router of the prefix is the LMA, which sent it on."""
    destination = ALICE.home_network_prefixes[0].network_address
    packet = replace(downlink_to(ALICE), destination=destination)
    (seen,) = await bench.from_tunnel(LMA_A, packet)
    assert isinstance(seen, Delivered)
    assert seen.link_layer_address == ALICE.mn_link_layer_address


@pytest.mark.requirement("FWD-01", "BUL-08")
async def test_prefixes_of_several_lengths_are_all_delivered(bench: Bench) -> None:
    """FWD-01: a binding has one or more prefixes."""
    prefixes = (*ALICE.home_network_prefixes, *map(IPv6Network, OTHER_LENGTHS))
    many = replace(ALICE, home_network_prefixes=prefixes)
    assert list(await bench.dataplane.apply([Ensure(many, replaces=ALICE)])) == [None]
    for index in range(len(prefixes)):
        packet = replace(downlink_to(ALICE), destination=address_of(many, index))
        (seen,) = await bench.from_tunnel(LMA_A, packet)
        assert isinstance(seen, Delivered)
        assert seen.packet.destination == packet.destination
    beyond = replace(downlink_to(ALICE), destination=prefixes[1][-1] + 1)
    assert await bench.from_tunnel(LMA_A, beyond) == []


@pytest.mark.requirement("FWD-04")
async def test_packet_to_no_bound_prefix_is_dropped_silently_and_counted(bench: Bench) -> None:
    """FWD-04, INT-15: nothing comes out anywhere, no ICMP, nothing back to the core."""
    assert await bench.from_tunnel(LMA_A, InnerPacket(CORRESPONDENT, NOBODY)) == []
    assert (await bench.dataplane.counters()).drops["unknown_inner_destination"] == 1


@pytest.mark.requirement("FWD-04")
async def test_too_large_packet_to_no_bound_prefix_is_dropped_silently(bench: Bench) -> None:
    """FWD-04."""
    packet = InnerPacket(CORRESPONDENT, NOBODY, octets=1460)
    assert await bench.from_tunnel(LMA_A, packet) == []


@pytest.mark.requirement("FWD-03", "T2473-02")
@pytest.mark.parametrize("has_limit", [False, True], ids=["plain", "encapsulation limit"])
async def test_fragments_of_a_tunnel_packet_are_joined_before_decapsulation(
    bench: Bench, has_limit: bool
) -> None:
    """T2473-02: the outer header that is taken off, and its ECN, are those of the whole packet."""
    packet = downlink_to(ALICE, octets=FRAGMENT_OCTETS, ecn=Ecn.ECT_0)
    seen = await bench.from_tunnel(
        LMA_A,
        packet,
        outer_ecn=Ecn.CE,
        has_encapsulation_limit=has_limit,
        fragment_octets=FRAGMENT_OCTETS,
    )
    assert seen == [
        Delivered(
            access_interface=ALICE.access_interface,
            link_layer_address=ALICE.mn_link_layer_address,
            packet=replace(packet, ecn=Ecn.CE, hop_limit=63),
        )
    ]
    counted = (await bench.dataplane.counters()).bindings[ALICE.binding_id]
    assert counted == BindingCounters(downlink_packets=1, downlink_octets=FRAGMENT_OCTETS)


async def test_fragments_from_a_stranger_are_dropped_and_counted(bench: Bench) -> None:
    """RFC 5213 §6.10.5."""
    packet = downlink_to(ALICE, octets=FRAGMENT_OCTETS)
    assert await bench.from_tunnel(STRANGER, packet, fragment_octets=FRAGMENT_OCTETS) == []
    assert (await bench.dataplane.counters()).drops["unknown_tunnel_peer"] > 0


async def test_tunnel_packet_from_a_stranger_is_dropped_and_counted(bench: Bench) -> None:
    """RFC 5213 §6.10.5: only the LMAs of bindings may send to our end of a tunnel."""
    assert await bench.from_tunnel(STRANGER, downlink_to(ALICE)) == []
    assert (await bench.dataplane.counters()).drops["unknown_tunnel_peer"] == 1


@pytest.mark.requirement("TUN-14", "TUN-16", "TUN-17")
@pytest.mark.parametrize(
    ("inner", "outer", "delivered"),
    [
        (inner, outer, Ecn.CE if outer is Ecn.CE else inner)
        for inner in Ecn
        for outer in Ecn
        if not (inner is Ecn.NOT_ECT and outer is Ecn.CE)
    ],
)
async def test_delivered_ecn_follows_the_full_functionality_option(
    bench: Bench, inner: Ecn, outer: Ecn, delivered: Ecn
) -> None:
    """TUN-16, TUN-17 (RFC 3168 §9.1.1)."""
    (seen,) = await bench.from_tunnel(LMA_A, downlink_to(ALICE, ecn=inner), outer_ecn=outer)
    assert isinstance(seen, Delivered)
    assert seen.packet.ecn is delivered


@pytest.mark.requirement("TUN-14")
async def test_congestion_mark_on_a_packet_without_ecn_is_a_drop(bench: Bench) -> None:
    """TUN-14 (RFC 3168 §9.1.1): a mark that the ends cannot understand stands for a loss."""
    assert await bench.from_tunnel(LMA_A, downlink_to(ALICE), outer_ecn=Ecn.CE) == []
    assert (await bench.dataplane.counters()).drops["bad_ecn"] == 1


async def test_inner_hop_limit_that_ends_here_is_answered_with_time_exceeded(
    bench: Bench,
) -> None:
    """RFC 8200 §3: the packet is forwarded to the node, which is a hop."""
    assert await bench.from_tunnel(LMA_A, downlink_to(ALICE, hop_limit=1)) == [TimeExceeded()]
