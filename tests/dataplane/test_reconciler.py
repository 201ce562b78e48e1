"""From wanted and found to operations, over the packet path in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.contract.bench import ACCESS_LINKS, ALICE, BOB, LMA_B, TUNNELS
from mag.dataplane.base import (
    AccessLink,
    DataplaneError,
    Ensure,
    ForwardingState,
    GatewayAddress,
    LmaTunnel,
    MobileNodeForwarding,
    Record,
    Remove,
)
from mag.dataplane.fake import FakeDataplane
from mag.dataplane.reconciler import Reconciler, plan

TUNNEL_A, TUNNEL_B = TUNNELS
LINK_1, LINK_2 = ACCESS_LINKS
ADDRESSES = tuple(
    GatewayAddress(link.interface, IPv6Address(address))
    for link in ACCESS_LINKS
    for address in ("fe80::6d61:1", "fe80::6d61:2")
)
ALL: tuple[Record, ...] = (*TUNNELS, *ACCESS_LINKS, *ADDRESSES, ALICE, BOB)


def state(*records: Record) -> ForwardingState:
    return ForwardingState(
        {record.key: record for record in records if isinstance(record, LmaTunnel)},
        {record.key: record for record in records if isinstance(record, AccessLink)},
        {record.key: record for record in records if isinstance(record, MobileNodeForwarding)},
        {record.key: record for record in records if isinstance(record, GatewayAddress)},
    )


@pytest.fixture
async def dataplane() -> FakeDataplane:
    fake = FakeDataplane()
    await fake.open()
    return fake


@pytest.fixture
def reconciler(dataplane: FakeDataplane) -> Reconciler:
    return Reconciler(dataplane)


@pytest.fixture
async def converged(reconciler: Reconciler) -> Reconciler:
    for record in ALL:
        reconciler.want(record)
    await reconciler.converge()
    return reconciler


# plan


def test_equal_states_need_nothing() -> None:
    assert list(plan(state(*ALL), state(*ALL))) == []


def test_order_of_prefixes_is_no_difference() -> None:
    prefixes = (IPv6Network("2001:db8:1::/64"), IPv6Network("2001:db8:2::/64"))
    one = replace(ALICE, home_network_prefixes=prefixes)
    other = replace(ALICE, home_network_prefixes=prefixes[::-1])
    assert list(plan(state(one), state(other))) == []


def test_tunnels_and_links_are_made_before_bindings() -> None:
    assert list(plan(state(*ALL), state())) == [Ensure(record) for record in ALL]


def test_tunnels_and_links_go_after_bindings() -> None:
    assert list(plan(state(), state(*ALL))) == [
        Remove(record) for record in (ALICE, BOB, *ADDRESSES, *TUNNELS, *ACCESS_LINKS)
    ]


def test_changed_record_says_what_it_replaces() -> None:
    after = replace(ALICE, mn_link_layer_address=BOB.mn_link_layer_address)
    assert list(plan(state(after), state(ALICE))) == [Ensure(after, replaces=ALICE)]


def test_prefix_is_taken_from_its_holder_before_it_is_given_on() -> None:
    heir = replace(ALICE, binding_id=77)
    assert list(plan(state(heir), state(ALICE))) == [Remove(ALICE), Ensure(heir)]


def test_bindings_that_swap_prefixes_are_both_removed_first() -> None:
    alice = replace(ALICE, home_network_prefixes=BOB.home_network_prefixes)
    bob = replace(BOB, home_network_prefixes=ALICE.home_network_prefixes)
    assert list(plan(state(alice, bob), state(ALICE, BOB))) == [
        Remove(ALICE),
        Remove(BOB),
        Ensure(alice),
        Ensure(bob),
    ]


def test_binding_moves_between_the_coming_and_the_going_of_its_links() -> None:
    """It never stops forwarding: the old link goes last."""
    moved = replace(ALICE, access_interface="acc2", lma_address=LMA_B)
    assert list(plan(state(TUNNEL_B, LINK_2, moved), state(TUNNEL_A, LINK_1, ALICE))) == [
        Ensure(TUNNEL_B),
        Ensure(LINK_2),
        Ensure(moved, replaces=ALICE),
        Remove(TUNNEL_A),
        Remove(LINK_1),
    ]


# converge


async def test_wanted_records_are_there_after_converging(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    assert await dataplane.dump() == converged.desired == converged.actual == state(*ALL)
    assert converged.dirty_count == 0


async def test_converging_applies_only_what_changed(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    after = replace(ALICE, access_interface="acc2")
    converged.want(after)
    (outcome,) = await converged.converge()
    assert outcome.operation == Ensure(after, replaces=ALICE)
    assert dataplane.batches[-1] == (Ensure(after, replaces=ALICE),)


async def test_converging_with_nothing_to_do_does_not_touch_the_path(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    converged.want(ALICE)
    converged.unwant(replace(ALICE, binding_id=404))
    assert await converged.converge() == ()
    assert len(dataplane.batches) == 1


async def test_change_of_mind_before_converging_needs_nothing(converged: Reconciler) -> None:
    converged.want(replace(ALICE, access_interface="acc2"))
    converged.want(ALICE)
    converged.unwant(BOB)
    converged.want(BOB)
    assert converged.dirty_count == 0
    assert await converged.converge() == ()


async def test_record_is_unwanted_by_its_key_too(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    converged.unwant(ALICE.key)
    await converged.converge()
    assert set((await dataplane.dump()).mobile_nodes) == {BOB.key}


async def test_wanting_a_prefix_for_another_binding_ends_its_holder(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    heir = replace(ALICE, binding_id=77)
    converged.want(heir)
    outcomes = await converged.converge()
    assert [outcome.operation for outcome in outcomes] == [Remove(ALICE), Ensure(heir)]
    assert await dataplane.dump() == state(*TUNNELS, *ACCESS_LINKS, *ADDRESSES, BOB, heir)


async def test_failed_operation_is_reported_and_tried_again(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    after = replace(ALICE, access_interface="acc2")
    converged.want(after)
    dataplane.fail_next(reason="no memory")
    (outcome,) = await converged.converge()
    assert outcome.operation.record == after
    assert outcome.error is not None
    assert outcome.error.reason == "no memory"
    assert converged.dirty_count == 1
    assert all(outcome.error is None for outcome in await converged.converge())
    assert await dataplane.dump() == converged.desired


async def test_binding_whose_making_failed_is_cleared_away_when_unwanted(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    """Half of it may be there."""
    heir = replace(ALICE, binding_id=77, home_network_prefixes=(IPv6Network("2001:db8:7::/64"),))
    converged.want(heir)
    dataplane.fail_next(applied=True)
    await converged.converge()
    converged.unwant(heir)
    await converged.converge()
    assert await dataplane.dump() == state(*ALL)


async def test_late_removal_does_not_hurt_who_has_the_prefix_since(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    """The removal failed when it should have freed the prefix; its repetition comes after."""
    heir = replace(ALICE, binding_id=77)
    converged.want(heir)
    dataplane.fail_next(applied=True)
    await converged.converge()
    outcomes = await converged.converge()
    assert [outcome.operation for outcome in outcomes] == [Remove(ALICE), Ensure(heir)]
    assert await dataplane.dump() == converged.desired


async def test_path_that_answers_nothing_leaves_everything_to_be_done(
    reconciler: Reconciler, dataplane: FakeDataplane
) -> None:
    for record in ALL:
        reconciler.want(record)
    dataplane.crash()
    with pytest.raises(DataplaneError, match="not there"):
        await reconciler.converge()
    assert reconciler.dirty_count == len(ALL)
    await dataplane.open()
    await reconciler.converge()
    assert await dataplane.dump() == state(*ALL)


async def test_calls_during_a_batch_share_the_next_one(
    reconciler: Reconciler, dataplane: FakeDataplane
) -> None:
    dataplane.hold()
    for record in (*TUNNELS, *ACCESS_LINKS):
        reconciler.want(record)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(reconciler.converge())
        await asyncio.sleep(0)
        reconciler.want(ALICE)
        second = tasks.create_task(reconciler.converge())
        reconciler.want(BOB)
        third = tasks.create_task(reconciler.converge())
        await asyncio.sleep(0)
        dataplane.release()
    assert [len(batch) for batch in dataplane.batches] == [4, 2]
    assert len(first.result()) == 4
    assert second.result() == third.result()
    assert [outcome.operation.record for outcome in third.result()] == [ALICE, BOB]


async def test_unwanted_during_its_own_batch_is_removed_by_the_next(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    heir = replace(ALICE, binding_id=77, home_network_prefixes=(IPv6Network("2001:db8:7::/64"),))
    converged.want(heir)
    dataplane.hold()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(converged.converge())
        await asyncio.sleep(0)
        converged.unwant(heir)
        dataplane.release()
    await converged.converge()
    assert await dataplane.dump() == state(*ALL)


async def test_cancelled_batch_is_done_by_the_next_call(
    reconciler: Reconciler, dataplane: FakeDataplane
) -> None:
    """Whoever waited for the same batch starts it anew."""
    dataplane.hold()
    for record in ALL:
        reconciler.want(record)
    leader = asyncio.create_task(reconciler.converge())
    await asyncio.sleep(0)
    follower = asyncio.create_task(reconciler.converge())
    await asyncio.sleep(0)
    leader.cancel()
    dataplane.release()
    await follower
    assert leader.cancelled()
    assert await dataplane.dump() == state(*ALL)


async def test_call_that_shares_a_batch_shares_its_failure(
    reconciler: Reconciler, dataplane: FakeDataplane
) -> None:
    dataplane.hold()
    reconciler.want(TUNNEL_A)
    calls = [asyncio.create_task(reconciler.converge()) for _ in range(3)]
    await asyncio.sleep(0)
    dataplane.crash()
    dataplane.release()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, DataplaneError) for result in results)


# resync


async def test_state_that_the_path_lost_is_applied_again(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    dataplane.crash()
    await dataplane.open()
    outcomes = await converged.resync()
    assert [outcome.operation for outcome in outcomes] == [Ensure(record) for record in ALL]
    assert await dataplane.dump() == state(*ALL)


async def test_restarted_agent_leaves_equal_records_alone_and_removes_others(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    restarted = Reconciler(dataplane)
    for record in (*TUNNELS, *ACCESS_LINKS, *ADDRESSES, ALICE):
        restarted.want(record)
    outcomes = await restarted.resync()
    assert [outcome.operation for outcome in outcomes] == [Remove(BOB)]


async def test_change_that_somebody_else_made_is_undone(
    converged: Reconciler, dataplane: FakeDataplane
) -> None:
    foreign = replace(BOB, access_interface="acc1")
    await dataplane.apply([Ensure(foreign, replaces=BOB)])
    (outcome,) = await converged.resync()
    assert outcome.operation == Ensure(BOB, replaces=foreign)


# Any sequence of wishes and failures.

PREFIXES = [IPv6Network(f"2001:db8:{number}::/64") for number in range(4)]
LMAS = [TUNNEL_A.lma_address, TUNNEL_B.lma_address]
NODES = st.builds(
    MobileNodeForwarding,
    binding_id=st.integers(1, 4),
    home_network_prefixes=st.lists(
        st.sampled_from(PREFIXES), min_size=1, max_size=2, unique=True
    ).map(tuple),
    access_interface=st.sampled_from(["acc1", "acc2"]),
    mn_link_layer_address=st.sampled_from([bytes(6), bytes(range(6))]),
    lma_address=st.sampled_from(LMAS),
)
SHARED = st.sampled_from([*TUNNELS, *ACCESS_LINKS, *ADDRESSES])
FAULT = st.tuples(st.integers(1, 3), st.booleans())
STEPS = st.one_of(
    st.tuples(st.just("want"), NODES),
    st.tuples(st.just("want"), SHARED),
    st.tuples(st.just("unwant"), NODES),
    st.tuples(st.just("unwant"), SHARED),
    st.tuples(st.just("fail"), FAULT),
    st.tuples(st.just("converge"), st.none()),
    st.tuples(st.just("lose"), st.none()),
)


@given(st.lists(STEPS, max_size=30))
async def test_wanted_is_found_after_any_sequence_of_wishes_and_failures(
    steps: Sequence[tuple[str, object]],
) -> None:
    """The invariant of the whole: forwarding is what is wanted."""
    dataplane = FakeDataplane()
    await dataplane.open()
    reconciler = Reconciler(dataplane)
    for step, what in steps:
        await take(step, what, reconciler, dataplane)
    for record in needed_by(reconciler.desired):
        reconciler.want(record)
    await settle(reconciler)
    found = await dataplane.dump()
    assert list(plan(reconciler.desired, found)) == []
    assert list(plan(reconciler.actual, found)) == []
    assert reconciler.dirty_count == 0
    assert await reconciler.resync() == ()


async def take(step: str, what: object, reconciler: Reconciler, path: FakeDataplane) -> None:
    match step, what:
        case "want", record:
            reconciler.want(record)
        case "unwant", record:
            reconciler.unwant(record)
        case "fail", (count, applied):
            path.fail_next(count, applied=applied)
        case "converge", _:
            await reconciler.converge()
        case "lose", _:
            path.crash()
            await path.open()
            await reconciler.resync()


def needed_by(wanted: ForwardingState) -> list[Record]:
    """The tunnels and links without which bindings and addresses could never be made."""
    lmas = {node.lma_address for node in wanted.mobile_nodes.values()}
    links = {node.access_interface for node in wanted.mobile_nodes.values()}
    links |= {address.access_interface for address in wanted.gateway_addresses.values()}
    return [
        *(tunnel for tunnel in TUNNELS if tunnel.key in lmas),
        *(link for link in ACCESS_LINKS if link.key in links),
    ]


async def settle(reconciler: Reconciler) -> None:
    """Converge until a call reports no failure; the faults that were asked for run out."""
    for _ in range(200):
        if all(outcome.error is None for outcome in await reconciler.converge()):
            return
    raise AssertionError("the reconciler does not come to rest")
