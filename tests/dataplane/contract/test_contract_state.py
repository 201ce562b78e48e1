"""Changes, counters and read-back of the state, over every packet path."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from dataplane.conftest import KERNEL, VPP
from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    BOB,
    LMA_A,
    LMA_B,
    PROXY_COA,
    STRANGER,
    TUNNELS,
    Bench,
    address_of,
    downlink_to,
    ensure,
    send_as,
    uplink_of,
)
from dataplane.contract.kernel_bench import KernelBench
from dataplane.contract.vpp_bench import VppBench
from mag.dataplane.base import (
    DROP_REASONS,
    BindingCounters,
    Ensure,
    ForwardingState,
    GatewayAddress,
    MobileNodeForwarding,
    Record,
    Remove,
)
from mag.dataplane.reconciler import Reconciler, plan
from mag.dataplane.verdict import Delivered, Tunnelled

ALL: tuple[Record, ...] = (*TUNNELS, *ACCESS_LINKS, ALICE, BOB)
STATE = ForwardingState(
    {tunnel.key: tunnel for tunnel in TUNNELS},
    {link.key: link for link in ACCESS_LINKS},
    {node.key: node for node in (ALICE, BOB)},
)
CAROL_MAC = bytes.fromhex("02000000000c")
MOVED = {
    "new MAC": replace(ALICE, mn_link_layer_address=CAROL_MAC),
    "new link": replace(ALICE, access_interface="acc2"),
    "new LMA": replace(ALICE, lma_address=LMA_B),
    "new prefix": replace(ALICE, home_network_prefixes=(IPv6Network("2001:db8:1:7::/64"),)),
    "new length": replace(ALICE, home_network_prefixes=(IPv6Network("2001:db8:40::/48"),)),
    "all new": MobileNodeForwarding(
        ALICE.binding_id, (IPv6Network("2001:db8:50::/56"),), "acc2", CAROL_MAC, LMA_B
    ),
}


async def is_forwarded(bench: Bench, node: MobileNodeForwarding) -> bool:
    """Both directions work, from and to where the record says."""
    up = await send_as(bench, node, uplink_of(node))
    down = await bench.from_tunnel(node.lma_address, downlink_to(node))
    return up == [
        Tunnelled(
            node.lma_address, PROXY_COA, 64, uplink_of(node).ecn, uplink_of(node, hop_limit=63)
        )
    ] and down == [
        Delivered(
            node.access_interface, node.mn_link_layer_address, downlink_to(node, hop_limit=63)
        )
    ]


@pytest.mark.parametrize("after", MOVED.values(), ids=MOVED)
async def test_replaced_binding_forwards_as_the_new_record_says(
    bench: Bench, after: MobileNodeForwarding
) -> None:
    """RFC 5213 §6.9.1.2: what the last acknowledgement said holds."""
    assert list(await bench.dataplane.apply([Ensure(after, replaces=ALICE)])) == [None]
    assert await is_forwarded(bench, after)
    assert await is_forwarded(bench, BOB)
    assert (await bench.dataplane.dump()).mobile_nodes == {ALICE.key: after, BOB.key: BOB}


@pytest.mark.requirement("FWD-09", "RENUM-02")
@pytest.mark.parametrize("after", MOVED.values(), ids=MOVED)
async def test_replaced_binding_no_longer_sends_from_where_it_was(
    bench: Bench, after: MobileNodeForwarding
) -> None:
    """FWD-09."""
    await bench.dataplane.apply([Ensure(after, replaces=ALICE)])
    seen = await send_as(bench, ALICE, uplink_of(ALICE))
    is_same_sender = after == replace(ALICE, lma_address=LMA_B)
    assert len(seen) == is_same_sender


@pytest.mark.requirement("FWD-04", "FWD-09", "DEREG-08")
async def test_removed_binding_is_forwarded_no_longer(bench: Bench) -> None:
    """RFC 5213 §6.10.5, FWD-04, FWD-09."""
    assert list(await bench.dataplane.apply([Remove(ALICE)])) == [None]
    assert await send_as(bench, ALICE, uplink_of(ALICE)) == []
    assert await bench.from_tunnel(LMA_A, downlink_to(ALICE)) == []
    assert await is_forwarded(bench, BOB)
    drops = (await bench.dataplane.counters()).drops
    assert (drops["unknown_source"], drops["unknown_inner_destination"]) == (1, 1)


async def test_prefix_passes_from_one_binding_to_another_in_one_batch(bench: Bench) -> None:
    """A node that came back under a new binding id, on another link."""
    heir = replace(ALICE, binding_id=77, access_interface="acc2")
    assert list(await bench.dataplane.apply([Remove(ALICE), Ensure(heir)])) == [None, None]
    assert await is_forwarded(bench, heir)
    assert set((await bench.dataplane.dump()).mobile_nodes) == {77, BOB.key}


async def test_same_sender_under_a_new_binding_id_counts_from_zero(bench: Bench) -> None:
    """Counters are of the binding, not of the prefix."""
    await send_as(bench, ALICE, uplink_of(ALICE))
    heir = replace(ALICE, binding_id=77)
    await bench.dataplane.apply([Remove(ALICE), Ensure(heir)])
    assert (await bench.dataplane.counters()).bindings[77] == BindingCounters()


async def test_counters_equal_what_was_sent(bench: Bench) -> None:
    """Inner octets, with the IPv6 header, by binding and direction; drops by reason."""
    for octets in (100, 1000):
        await send_as(bench, ALICE, uplink_of(ALICE, octets=octets))
    for octets in (80, 81, 1460):
        await bench.from_tunnel(LMA_A, downlink_to(ALICE, octets=octets))
    await bench.from_tunnel(STRANGER, downlink_to(ALICE))
    counters = await bench.dataplane.counters()
    assert counters.bindings == {
        ALICE.key: BindingCounters(2, 1100, 3, 1621),
        BOB.key: BindingCounters(),
    }
    assert counters.drops == dict.fromkeys(DROP_REASONS, 0) | {"unknown_tunnel_peer": 1}


async def test_counters_of_several_prefixes_are_added_up(bench: Bench) -> None:
    """One binding, one count, whatever its prefixes."""
    prefixes = (*ALICE.home_network_prefixes, IPv6Network("2001:db8:30::/56"))
    both = replace(ALICE, home_network_prefixes=prefixes)
    await bench.dataplane.apply([Remove(ALICE), Ensure(both)])
    for index in range(2):
        await send_as(bench, both, replace(uplink_of(both), source=address_of(both, index)))
    assert (await bench.dataplane.counters()).bindings[ALICE.key] == BindingCounters(2, 200, 0, 0)


async def test_counters_survive_unrelated_changes(bench: Bench) -> None:
    """Neither other bindings nor a second `open` touch them."""
    await send_as(bench, ALICE, uplink_of(ALICE))
    other = replace(BOB, home_network_prefixes=(IPv6Network("2001:db8:60::/60"),))
    await bench.dataplane.apply([Ensure(other, replaces=BOB), Ensure(ALICE, replaces=ALICE)])
    await bench.dataplane.open()
    assert (await bench.dataplane.counters()).bindings[ALICE.key].uplink_packets == 1


async def test_dump_is_what_was_applied(bench: Bench) -> None:
    """The path is asked, not remembered."""
    assert await bench.dataplane.dump() == STATE


async def test_empty_path_dumps_nothing(bare_bench: Bench) -> None:
    """Nothing of ours is there but what all bindings share."""
    assert await bare_bench.dataplane.dump() == ForwardingState()


async def test_second_instance_finds_everything_and_has_nothing_to_do(bench: Bench) -> None:
    """A restarted agent leaves what is equal alone."""
    second = bench.another_instance()
    await second.open()
    try:
        assert list(plan(STATE, await second.dump())) == []
        assert await is_forwarded(bench, ALICE)
        assert (await second.counters()).bindings[ALICE.key].uplink_packets == 1
    finally:
        if second is not bench.dataplane:
            await second.close(remove=False)


async def test_operations_repeated_change_nothing(bench: Bench) -> None:
    """There and equal is success."""
    await send_as(bench, ALICE, uplink_of(ALICE))
    await ensure(bench, *ALL)
    await bench.dataplane.apply([Ensure(record, replaces=record) for record in ALL])
    assert await bench.dataplane.dump() == STATE
    assert await is_forwarded(bench, ALICE)
    assert (await bench.dataplane.counters()).bindings[ALICE.key].uplink_packets == 2


async def test_removal_of_what_is_gone_succeeds(bench: Bench) -> None:
    """Gone is success for Remove."""
    removals = [Remove(record) for record in reversed(ALL)]
    for _ in range(2):
        assert list(await bench.dataplane.apply(removals)) == [None] * len(ALL)
    assert await bench.dataplane.dump() == ForwardingState()


async def test_failed_operation_does_not_stop_the_others(bench: Bench) -> None:
    """One outcome for each operation, in order."""
    elsewhere = replace(
        BOB,
        binding_id=9,
        access_interface="nosuch0",
        home_network_prefixes=(IPv6Network("2001:db8:9:9::/64"),),
    )
    moved = MOVED["new link"]
    failed, done = await bench.dataplane.apply([Ensure(elsewhere), Ensure(moved, replaces=ALICE)])
    assert failed is not None
    assert "nosuch0" in str(failed)
    assert done is None
    assert await is_forwarded(bench, moved)
    assert 9 not in (await bench.dataplane.dump()).mobile_nodes


@pytest.mark.requirement("CFG-08")
async def test_access_link_takes_other_gateway_addresses(bench: Bench) -> None:
    """RFC 5213 §9.3: the fixed addresses are configuration."""
    before = ACCESS_LINKS[0]
    after = replace(
        before,
        gateway_link_local_address=IPv6Address("fe80::5:5"),
        gateway_link_layer_address=bytes.fromhex("020000000505"),
    )
    assert list(await bench.dataplane.apply([Ensure(after, replaces=before)])) == [None]
    assert (await bench.dataplane.dump()).access_links[before.key] == after
    (down,) = await bench.from_tunnel(LMA_A, downlink_to(ALICE))
    assert isinstance(down, Delivered)


@pytest.mark.requirement("DEREG-10")
async def test_access_link_is_taken_down_and_serves_its_nodes_when_it_is_up_again(
    bench: Bench,
) -> None:
    """RFC 5213 §6.9.1.4: what was configured for its nodes is as it was."""
    up = next(link for link in ACCESS_LINKS if link.interface == ALICE.access_interface)
    down = replace(up, gateway_link_local_address=IPv6Address("::"), is_up=False)
    for _ in range(2):  # safe to repeat
        assert list(await bench.dataplane.apply([Ensure(down, replaces=up)])) == [None]
        assert (await bench.dataplane.dump()).access_links[up.key] == down
    assert list(await bench.dataplane.apply([Ensure(up, replaces=down)])) == [None]
    assert (await bench.dataplane.dump()).access_links[up.key] == up
    # The path says what of its nodes is gone with the link, and has it back.
    reconciler = Reconciler(bench.dataplane)
    for record in ALL:
        reconciler.want(record)
    assert all(outcome.error is None for outcome in await reconciler.resync())
    assert await is_forwarded(bench, ALICE)


@pytest.mark.parametrize("bare_bench", [KERNEL, VPP], indirect=True)
async def test_access_link_that_its_operator_takes_down_is_his_to_bring_up(
    bench: KernelBench | VppBench,
) -> None:
    """Whatever is put back meanwhile, and also for a gateway that starts again."""
    link = next(link for link in ACCESS_LINKS if link.interface == ALICE.access_interface)
    reconciler = Reconciler(bench.dataplane)
    for record in (*TUNNELS, *ACCESS_LINKS, BOB):
        reconciler.want(record)
    await reconciler.resync()
    await bench.set_link(link.interface, is_up=False)
    assert await reconciler.resync() == ()
    assert await reconciler.losses() == []
    assert list(await bench.dataplane.apply([Ensure(link, replaces=link)])) == [None]
    assert not await bench.is_link_up(link.interface)

    await bench.set_link(link.interface, is_up=True)
    reconciler.want(ALICE)
    assert all(outcome.error is None for outcome in await reconciler.resync())
    assert await is_forwarded(bench, ALICE)

    await bench.set_link(link.interface, is_up=False)
    started = bench.another_instance()
    await started.open()
    for _ in range(2):
        assert not any(await started.apply([Ensure(link)]))
        assert not await bench.is_link_up(link.interface)
        assert (await started.dump()).access_links[link.key] == link
    await started.close(remove=False)


@pytest.mark.parametrize("bare_bench", [KERNEL, VPP], indirect=True)
async def test_access_link_that_the_gateway_had_down_is_brought_up_by_the_next_one(
    bench: KernelBench | VppBench,
) -> None:
    """It was killed while it kept the link of a single node down, or before it had it up."""
    link = next(link for link in ACCESS_LINKS if link.interface == ALICE.access_interface)
    down = replace(link, gateway_link_local_address=IPv6Address("::"), is_up=False)
    assert not any(await bench.dataplane.apply([Ensure(down, replaces=link)]))
    assert not await bench.is_link_up(link.interface)
    started = bench.another_instance()
    await started.open()
    assert not any(await started.apply([Ensure(link)]))
    assert await bench.is_link_up(link.interface)
    await bench.set_link(link.interface, is_up=False)
    assert not any(await started.apply([Ensure(link, replaces=link)]))
    assert not await bench.is_link_up(link.interface)
    await started.close(remove=False)


@pytest.mark.parametrize("bare_bench", [KERNEL, VPP], indirect=True)
async def test_access_link_that_was_down_is_brought_up_by_the_first_gateway(
    bare_bench: KernelBench | VppBench,
) -> None:
    link = ACCESS_LINKS[0]
    await bare_bench.set_link(link.interface, is_up=False)
    assert not any(await bare_bench.dataplane.apply([Ensure(link)]))
    assert await bare_bench.is_link_up(link.interface)
    assert not any(await bare_bench.dataplane.apply([Remove(link)]))
    assert not await bare_bench.is_link_up(link.interface)


@pytest.mark.requirement("ROLE-01")
async def test_reconciler_brings_an_empty_path_to_the_wanted_state(bare_bench: Bench) -> None:
    """From nothing, then back to nothing."""
    reconciler = Reconciler(bare_bench.dataplane)
    for record in ALL:
        reconciler.want(record)
    assert all(outcome.error is None for outcome in await reconciler.converge())
    assert await is_forwarded(bare_bench, ALICE)
    assert await reconciler.resync() == ()
    for record in ALL:
        reconciler.unwant(record)
    assert all(outcome.error is None for outcome in await reconciler.converge())
    assert await bare_bench.dataplane.dump() == ForwardingState()


@pytest.mark.requirement("LLA-02", "PBA-31")
async def test_address_of_the_gateway_is_there_until_it_is_removed(bench: Bench) -> None:
    """RFC 5213 §6.8: nodes of one link may know the gateway by different ones."""
    one, other = (GatewayAddress("acc1", IPv6Address(f"fe80::6d61:{number}")) for number in (1, 2))
    before = await bench.dataplane.dump()
    for _ in range(2):  # safe to repeat
        assert list(await bench.dataplane.apply([Ensure(one), Ensure(other)])) == [None, None]
    found = await bench.dataplane.dump()
    assert found.gateway_addresses == {one.key: one, other.key: other}
    assert found.access_links == before.access_links
    for _ in range(2):
        assert list(await bench.dataplane.apply([Remove(one)])) == [None]
    assert (await bench.dataplane.dump()).gateway_addresses == {other.key: other}
    assert list(await bench.dataplane.apply([Remove(other)])) == [None]
    assert await bench.dataplane.dump() == before


async def test_address_on_no_link_is_refused_and_needs_no_removal(bench: Bench) -> None:
    nowhere = GatewayAddress("none", IPv6Address("fe80::6d61:1"))
    refused, removed = await bench.dataplane.apply([Ensure(nowhere), Remove(nowhere)])
    assert "none" in str(refused)
    assert removed is None


async def test_losses_are_what_is_not_as_it_was_left(bench: Bench) -> None:
    """Tunnels and access links on every path; bindings where the path knows how many it has."""
    await ensure(bench, *ALL)
    path = bench.dataplane
    left = (STATE.lma_tunnels, STATE.access_links)
    assert await path.losses(*left, len(STATE.mobile_nodes)) == []
    await path.rebuild()
    assert await is_forwarded(bench, ALICE)
    assert await path.losses(*left, len(STATE.mobile_nodes)) == []
    assert not any(await path.apply([Remove(ALICE), Remove(BOB), Remove(TUNNELS[0])]))
    assert not any(await path.apply([Remove(ACCESS_LINKS[1])]))
    found = await path.losses(*left, 0)
    assert len(found) == 2
    assert str(TUNNELS[0].lma_address) in found[0]
    assert ACCESS_LINKS[1].interface in found[1]
