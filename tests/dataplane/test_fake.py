"""What the packet path in memory has beyond the contract: it can be told to misbehave."""

import asyncio
from dataclasses import replace
from ipaddress import IPv6Network

import pytest

from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    BOB,
    LMA_A,
    PROXY_COA,
    TUNNELS,
    downlink_to,
    uplink_of,
)
from mag.dataplane.base import DataplaneError, Ensure, ForwardingState, Remove
from mag.dataplane.fake import FakeDataplane
from mag.dataplane.verdict import Delivered, Dropped, Tunnelled

SHARED = (*TUNNELS, *ACCESS_LINKS)


@pytest.fixture
async def fake() -> FakeDataplane:
    dataplane = FakeDataplane()
    await dataplane.open()
    await dataplane.apply([Ensure(record) for record in (*SHARED, ALICE)])
    return dataplane


def up(fake: FakeDataplane) -> object:
    return fake.uplink(ALICE.mn_link_layer_address, ALICE.access_interface, uplink_of(ALICE))


async def test_told_to_fail_operation_does_nothing_and_says_so(fake: FakeDataplane) -> None:
    fake.fail_next(reason="no memory")
    failed, done = await fake.apply([Remove(ALICE), Ensure(BOB)])
    assert failed is not None
    assert failed.reason == "no memory"
    assert done is None
    assert isinstance(up(fake), Tunnelled)


async def test_failure_may_take_effect_all_the_same(fake: FakeDataplane) -> None:
    fake.fail_next(applied=True)
    (failed,) = await fake.apply([Remove(ALICE)])
    assert failed is not None
    assert up(fake) == Dropped("unknown_source")


async def test_crashed_path_answers_nothing_and_comes_back_empty(fake: FakeDataplane) -> None:
    fake.crash()
    for call in (fake.dump, fake.counters, lambda: fake.apply([])):
        with pytest.raises(DataplaneError, match="not there"):
            await call()
    await fake.open()
    assert await fake.dump() == ForwardingState()


async def test_held_path_answers_after_its_release(fake: FakeDataplane) -> None:
    fake.hold()
    call = asyncio.create_task(fake.apply([Remove(ALICE)]))
    await asyncio.sleep(0)
    assert not call.done()
    assert isinstance(up(fake), Tunnelled)
    fake.release()
    assert list(await call) == [None]
    assert up(fake) == Dropped("unknown_source")


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (Ensure(replace(BOB, access_interface="acc9")), "acc9 is no access link"),
        (Ensure(replace(BOB, lma_address=PROXY_COA)), "no tunnel"),
        (Ensure(replace(ALICE, binding_id=9)), f"is of binding {ALICE.key}"),
        (Remove(TUNNELS[0]), f"binding {ALICE.key} uses it"),
        (Remove(ACCESS_LINKS[0]), f"binding {ALICE.key} uses it"),
    ],
    ids=["no link", "no tunnel", "prefix taken", "tunnel in use", "link in use"],
)
async def test_operation_in_the_wrong_order_is_refused(
    fake: FakeDataplane, operation: Ensure | Remove, reason: str
) -> None:
    (error,) = await fake.apply([operation])
    assert reason in str(error)


async def test_longest_prefix_decides_where_a_packet_goes(fake: FakeDataplane) -> None:
    wide = replace(BOB, home_network_prefixes=(IPv6Network("2001:db8:1::/48"),))
    await fake.apply([Ensure(wide)])
    verdict = fake.downlink(LMA_A, PROXY_COA, downlink_to(ALICE))
    assert isinstance(verdict, Delivered)
    assert verdict.access_interface == ALICE.access_interface


async def test_tunnel_packet_to_another_address_of_ours_is_no_peers(fake: FakeDataplane) -> None:
    verdict = fake.downlink(LMA_A, LMA_A, downlink_to(ALICE))
    assert verdict == Dropped("unknown_tunnel_peer")
