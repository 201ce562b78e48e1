"""Many nodes at once: taken at the pace at which they can be served, and none twice."""

import asyncio
from itertools import pairwise

import pytest

from mag.daemon import attachments
from mag.daemon.attachments import NEWCOMERS_PER_TURN
from mag.daemon.gateway import Gateway
from support.fake_adapters import MN1_MAC, MN2_MAC, FakeWorld, configuration, until

CONFIGURATION = b"""
proxy_care_of_address: 2001:db8:0:a::1
lmas: {lma1: {address: 2001:db8:0:b::1, updates_per_s: 10000, update_burst: 10000}}
access_links: {access1: {}, access2: {}}
policy:
  nodes:
    mn1@example.net: {lma: lma1, link_layer_addresses: ["02:00:00:00:00:01"]}
    mn2@example.net: {lma: lma1, link_layer_addresses: ["02:00:00:00:00:02"]}
  default: {lma: lma1, mn_id_from_link_layer_address: "{mac}@example.net"}
dataplane: {core_interfaces: [core]}
"""


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld(configuration(CONFIGURATION))


def mac(number: int) -> bytes:
    return (0x020000010000 + number).to_bytes(6, "big")


async def test_crowd_is_taken_a_few_in_each_turn_and_all_are_served(
    gateway: Gateway, world: FakeWorld
) -> None:
    """In between, what is under way for those before goes on: the first is served before the last
    is taken."""
    count = 20 * NEWCOMERS_PER_TURN
    for number in range(count):
        world.ports["access1"].frame(mac(number))
    entries = gateway.core.binding_update_list
    known = [0]
    served_when_last_was_taken = None
    while known[-1] < count:
        await asyncio.sleep(0)
        known.append(len(entries))
        if known[-1] == count and served_when_last_was_taken is None:
            served_when_last_was_taken = sum(each.is_forwarding for each in entries)
    assert max(after - before for before, after in pairwise(known)) <= NEWCOMERS_PER_TURN
    assert served_when_last_was_taken
    await until(lambda: all(each.is_forwarding for each in entries))
    assert not gateway.attachments.refused


async def test_node_that_waits_does_not_wait_twice(gateway: Gateway, world: FakeWorld) -> None:
    for _ in range(3):
        for number in range(50):
            world.ports["access1"].frame(mac(number))
    assert gateway.attachments.waiting == 50
    await until(lambda: len(gateway.core.binding_update_list) == 50)
    assert gateway.attachments.waiting == 0


async def test_who_is_too_many_is_refused_and_counted(
    gateway: Gateway, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MAX_BEING_IDENTIFIED", 40)
    for number in range(50):
        world.ports["access1"].frame(mac(number))
    await until(lambda: len(gateway.core.binding_update_list) == 40)
    assert gateway.attachments.refused == {"too_many_at_once": 10}


async def test_policy_that_takes_its_time_with_one_node_keeps_no_other_waiting(
    gateway: Gateway, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()
    identify = gateway.policy.identify

    async def slow(address: bytes) -> bytes | None:
        if address == MN1_MAC:
            await answered.wait()
        return await identify(address)

    monkeypatch.setattr(gateway.policy, "identify", slow)
    world.ports["access1"].frame(MN1_MAC)
    world.ports["access1"].frame(MN2_MAC)
    entries = gateway.core.binding_update_list
    await until(lambda: len(entries) == 1)
    assert next(iter(entries)).mn_id == b"mn2@example.net"
    answered.set()
    await until(lambda: len(entries) == 2)
