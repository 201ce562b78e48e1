"""The link to a single node goes down when its session ends, and comes up again."""

import pytest

from daemon.conftest import running
from daemon.nodes import attached
from mag.daemon.gateway import Gateway
from mag.dataplane.base import AccessLink
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.link_monitor import LinkState
from support.fake_adapters import (
    CONFIGURATION,
    LMA_ADDRESS,
    MN1_MAC,
    MN2_MAC,
    PROXY_CARE_OF_ADDRESS,
    FakeWorld,
    configuration,
    until,
)
from support.waiting import eventually

LINK = "access2"


def world_with(options: bytes) -> FakeWorld:
    text = CONFIGURATION.replace(b"access2: {}", b"access2: {" + options + b"}")
    return FakeWorld(configuration(text))


def states(world: FakeWorld) -> list[bool]:
    """What the packet path was told that the link is to be, in turn."""
    operations = (operation for batch in world.dataplane.batches for operation in batch)
    links = (each.record for each in operations if isinstance(each.record, AccessLink))
    return [link.is_up for link in links if link.interface == LINK]


def end(gateway: Gateway, mac: bytes = MN1_MAC, *, is_cleared: bool = False) -> None:
    entry = gateway.core.binding_update_list.by_link(LINK, mac)
    assert entry is not None
    how = gateway.core.clear if is_cleared else gateway.core.detach
    how(entry.binding_id, gateway.pump.now())
    gateway.pump.wake()


@pytest.mark.requirement("DEREG-10")
@pytest.mark.parametrize("is_cleared", [False, True])
async def test_link_of_a_single_node_is_down_for_a_while_when_its_session_has_ended(
    is_cleared: bool,
) -> None:
    """DEREG-10: not before the LMA has answered."""
    world = world_with(b"single_node: true, down_s: 0.1")
    async with running(world) as gateway:
        await attached(world, link=LINK)
        world.transport.is_answering = False
        end(gateway, is_cleared=is_cleared)
        await until(lambda: len(world.transport.sent) == 2)
        assert states(world) == [True]
        message = OutgoingMessage(world.transport.sent[-1], PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
        world.transport.deliver(world.lma.answer(message))
        await until(lambda: states(world) == [True, False])
        await eventually(lambda: states(world) == [True, False, True])


@pytest.mark.requirement("DEREG-10")
@pytest.mark.parametrize("case", ["many nodes", "another node is there", "it is down already"])
async def test_link_stays_up_for_others_and_is_not_taken_down_twice(case: str) -> None:
    world = world_with(b"" if case == "many nodes" else b"single_node: true")
    async with running(world) as gateway:
        await attached(world, link=LINK)
        if case == "another node is there":
            await attached(world, MN2_MAC, link=LINK)
        if case == "it is down already":
            await world.links.put(LinkState(LINK, is_up=False, mtu_octets=1500))
        else:
            end(gateway)
        await until(lambda: gateway.core.binding_update_list.by_link(LINK, MN1_MAC) is None)
        await until(lambda: not gateway.reconciler.dirty_count)
        assert states(world) == [True]


@pytest.mark.requirement("DEREG-10")
async def test_second_session_that_ends_while_the_link_is_down_changes_nothing() -> None:
    world = world_with(b"single_node: true, down_s: 60")
    async with running(world) as gateway:
        for mac in (MN1_MAC, MN2_MAC):
            await attached(world, mac, link=LINK)
            end(gateway, mac)
            await until(lambda mac=mac: gateway.core.binding_update_list.by_link(LINK, mac) is None)
        await until(lambda: not gateway.reconciler.dirty_count)
        assert states(world) == [True, False]


@pytest.mark.requirement("PBA-24")
@pytest.mark.parametrize("is_wanted", [False, True])
async def test_link_of_a_refused_node_goes_down_once_if_policy_says_so(is_wanted: bool) -> None:
    """PBA-24: the node comes back on the link and is not heard; that is no reason again."""
    switch = b"true" if is_wanted else b"false"
    world = world_with(b"single_node: true, down_s: 0.1, down_after_rejection: " + switch)
    world.transport.status = 152
    async with running(world) as gateway:
        world.ports[LINK].frame(MN1_MAC)
        held = await until(lambda: gateway.core.binding_update_list.by_link(LINK, MN1_MAC))
        await until(lambda: gateway.histories.of(held.binding_id))
        if is_wanted:
            await eventually(lambda: states(world) == [True, False, True])
            world.ports[LINK].forget(MN1_MAC)
            end(gateway)
            world.ports[LINK].frame(MN1_MAC)
        await until(lambda: not gateway.reconciler.dirty_count)
        assert states(world) == ([True, False, True] if is_wanted else [True])
        assert len(world.transport.sent) == 1
