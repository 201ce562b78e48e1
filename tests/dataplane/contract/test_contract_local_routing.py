"""Local routing between nodes of one gateway, over every packet path (RFC 5213 §6.10.3)."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    BOB,
    LMA_A,
    TUNNELS,
    Bench,
    Seen,
    address_of,
    downlink_to,
    ensure,
    send_as,
    uplink_of,
)
from mag.dataplane.base import BindingCounters, Ensure, MobileNodeForwarding, Remove
from mag.dataplane.verdict import Delivered, Ecn, TimeExceeded, Tunnelled

LOCAL_ALICE = replace(ALICE, local_routing=True)
LOCAL_BOB = replace(BOB, local_routing=True)
LINK_LOCAL = IPv6Address("fe80::a")
CAROL = replace(
    LOCAL_BOB,
    binding_id=3,
    home_network_prefixes=(IPv6Network("2001:db8:1:3::/64"), IPv6Network("2001:db8:30::/56")),
    access_interface="acc1",
    mn_link_layer_address=bytes.fromhex("02000000000c"),
)


@pytest.fixture
async def local_bench(bare_bench: Bench) -> Bench:
    """Alice on the first link and Bob on the second, both with local routing."""
    await ensure(bare_bench, *TUNNELS, *ACCESS_LINKS, LOCAL_ALICE, LOCAL_BOB)
    return bare_bench


async def send_between(
    bench: Bench, sender: MobileNodeForwarding, receiver: MobileNodeForwarding, **fields: object
) -> list[Seen]:
    """A packet of one node to another."""
    packet = uplink_of(sender, destination=address_of(receiver), **fields)
    return await send_as(bench, sender, packet)


def is_tunnelled(seen: Sequence[Seen]) -> bool:
    """Whether one packet left towards the core and nothing else anywhere."""
    return [type(one) for one in seen] == [Tunnelled]


@pytest.mark.requirement("LR-01", "FWD-10", "FWD-12", "CFG-02")
@pytest.mark.parametrize(
    ("sender", "receiver"), [(LOCAL_ALICE, LOCAL_BOB), (LOCAL_BOB, LOCAL_ALICE)]
)
async def test_packet_between_nodes_goes_from_link_to_link(
    local_bench: Bench, sender: MobileNodeForwarding, receiver: MobileNodeForwarding
) -> None:
    """LR-01, FWD-12: to the receiver's link and address, forwarded as by a router."""
    packet = uplink_of(sender, destination=address_of(receiver), ecn=Ecn.CE)
    assert await send_as(local_bench, sender, packet) == [
        Delivered(
            receiver.access_interface,
            receiver.mn_link_layer_address,
            replace(packet, hop_limit=packet.hop_limit - 1),
        )
    ]


@pytest.mark.requirement("LR-02", "FWD-10", "FWD-11", "LR-05")
@pytest.mark.parametrize(
    ("sender", "receiver"),
    [(ALICE, BOB), (LOCAL_ALICE, BOB), (ALICE, LOCAL_BOB)],
    ids=["neither", "sender only", "receiver only"],
)
async def test_both_nodes_must_have_it(
    bare_bench: Bench, sender: MobileNodeForwarding, receiver: MobileNodeForwarding
) -> None:
    """LR-02, LR-05, INT-29: one that has it not keeps both directions at the LMAs."""
    await ensure(bare_bench, *TUNNELS, *ACCESS_LINKS, sender, receiver)
    assert is_tunnelled(await send_between(bare_bench, sender, receiver))
    assert is_tunnelled(await send_between(bare_bench, receiver, sender))


@pytest.mark.requirement("FWD-13")
async def test_packets_beyond_the_gateway_go_through_the_tunnel_all_the_same(
    local_bench: Bench,
) -> None:
    """FWD-13: local routing changes nothing for correspondents elsewhere, in either direction."""
    assert is_tunnelled(await send_as(local_bench, LOCAL_ALICE, uplink_of(LOCAL_ALICE)))
    (down,) = await local_bench.from_tunnel(LMA_A, downlink_to(LOCAL_ALICE))
    assert isinstance(down, Delivered)


async def test_nodes_on_one_link_reach_each_other_without_redirect(local_bench: Bench) -> None:
    """A Redirect (RFC 4861 §8) would name a next hop that is none; also with other lengths."""
    await ensure(local_bench, CAROL)
    for index in range(len(CAROL.home_network_prefixes)):
        packet = uplink_of(LOCAL_ALICE, destination=address_of(CAROL, index))
        assert await send_as(local_bench, LOCAL_ALICE, packet) == [
            Delivered("acc1", CAROL.mn_link_layer_address, replace(packet, hop_limit=63))
        ]


@pytest.mark.requirement("FWD-09", "FWD-14")
async def test_sender_is_checked_before_anything_is_delivered(local_bench: Bench) -> None:
    """FWD-09: another's prefix, link or link-layer address is dropped and counted."""
    to_bob = uplink_of(LOCAL_ALICE, destination=address_of(LOCAL_BOB))
    stranger = bytes.fromhex("020000000bad")
    for sender, packet in (
        (replace(LOCAL_ALICE, mn_link_layer_address=stranger), to_bob),
        (replace(LOCAL_ALICE, access_interface="acc2"), to_bob),
        (LOCAL_ALICE, replace(to_bob, source=IPv6Address("2001:db8:9::1"))),
    ):
        assert await send_as(local_bench, sender, packet) == []
    assert (await local_bench.dataplane.counters()).drops["unknown_source"] == 3
    assert await send_as(local_bench, LOCAL_ALICE, replace(to_bob, source=LINK_LOCAL)) == []


async def test_hop_limit_that_ends_here_is_answered(local_bench: Bench) -> None:
    """RFC 8200 §3: the gateway is a hop."""
    seen = await send_between(local_bench, LOCAL_ALICE, LOCAL_BOB, hop_limit=1)
    assert seen == [TimeExceeded()]


async def test_local_packets_count_for_both_nodes(local_bench: Bench) -> None:
    """Up for the sender, down for the receiver."""
    await send_between(local_bench, LOCAL_ALICE, LOCAL_BOB, octets=300)
    assert (await local_bench.dataplane.counters()).bindings == {
        ALICE.key: BindingCounters(1, 300, 0, 0),
        BOB.key: BindingCounters(0, 0, 1, 300),
    }


@pytest.mark.requirement("LR-05")
async def test_local_routing_is_dumped_and_switched_at_run_time(bench: Bench) -> None:
    """A changed policy is a changed record: on, seen as on, and off again."""
    changes = [Ensure(LOCAL_ALICE, replaces=ALICE), Ensure(LOCAL_BOB, replaces=BOB)]
    assert list(await bench.dataplane.apply(changes)) == [None, None]
    assert (await bench.dataplane.dump()).mobile_nodes == {
        ALICE.key: LOCAL_ALICE,
        BOB.key: LOCAL_BOB,
    }
    assert not is_tunnelled(await send_between(bench, ALICE, BOB))
    await bench.dataplane.apply([Ensure(BOB, replaces=LOCAL_BOB)])
    assert (await bench.dataplane.dump()).mobile_nodes == {ALICE.key: LOCAL_ALICE, BOB.key: BOB}
    assert is_tunnelled(await send_between(bench, ALICE, BOB))
    assert is_tunnelled(await send_between(bench, BOB, ALICE))


async def test_second_instance_finds_local_routing(local_bench: Bench) -> None:
    """A restarted agent leaves what is equal alone, and it goes on to work."""
    second = local_bench.another_instance()
    await second.open()
    try:
        found = (await second.dump()).mobile_nodes
        assert found == {ALICE.key: LOCAL_ALICE, BOB.key: LOCAL_BOB}
        (seen,) = await send_between(local_bench, LOCAL_ALICE, LOCAL_BOB)
        assert isinstance(seen, Delivered)
    finally:
        if second is not local_bench.dataplane:
            await second.close(remove=False)


async def test_receiver_that_moves_or_leaves_is_followed(local_bench: Bench) -> None:
    """The short way ends where the binding is now, and with it."""
    moved = replace(LOCAL_BOB, access_interface="acc1")
    await local_bench.dataplane.apply([Ensure(moved, replaces=LOCAL_BOB)])
    (seen,) = await send_between(local_bench, LOCAL_ALICE, LOCAL_BOB)
    assert isinstance(seen, Delivered)
    assert seen.access_interface == "acc1"
    await local_bench.dataplane.apply([Remove(moved)])
    assert is_tunnelled(await send_between(local_bench, LOCAL_ALICE, LOCAL_BOB))
