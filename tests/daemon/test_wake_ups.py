"""Nodes that are there without a binding are asked to speak up."""

import pytest

from daemon.nodes import attached
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.services.gateway_control import NodeSelector
from mag.services.wake_up import ALL_NODES_LINK_LAYER_ADDRESS
from support.fake_adapters import MN1_MAC, MN2_MAC, FakePort, FakeWorld, until


@pytest.mark.requirement("DETACH-05")
async def test_nodes_are_asked_to_speak_up_when_service_begins(
    gateway: Gateway, world: FakeWorld
) -> None:
    """A node whose prefix was withdrawn at the last stop sends nothing by itself."""
    for port in world.ports.values():
        assert port.queried == [ALL_NODES_LINK_LAYER_ADDRESS]


async def test_cleared_node_is_asked_to_speak_up_and_a_detached_one_is_not(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    await attached(world)
    await attached(world, MN2_MAC)
    control.clear(NodeSelector(mn_id="mn1@example.net"))
    control.detach(NodeSelector(mn_id="mn2@example.net"))
    await until(lambda: len(gateway.core.binding_update_list) == 0)
    await until(lambda: MN1_MAC in world.ports["access1"].queried)
    assert MN2_MAC not in world.ports["access1"].queried


HOURS_S = 3600.0


@pytest.fixture
def wakes_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions are repeated when the test says so, however slow the machine is."""
    monkeypatch.setattr("mag.daemon.wake_up_schedule.REPEAT_AFTER_S", HOURS_S)


@pytest.fixture
async def port(world: FakeWorld, control: Control) -> FakePort:
    """An access link whose node was cleared and asked to speak up, once."""
    port = world.ports["access1"]
    await attached(world)
    control.clear(NodeSelector(mn_id="mn1@example.net"))
    await until(lambda: port.queried.count(MN1_MAC) == 1)
    return port


@pytest.mark.usefixtures("wakes_by_hand")
async def test_cleared_node_whose_answer_was_not_heard_is_asked_again(
    gateway: Gateway, port: FakePort
) -> None:
    """A packet path does not tell of a stranger's every packet, and frames get lost."""
    gateway.waker.repeat(gateway.pump.now() + HOURS_S)
    assert port.queried.count(MN1_MAC) == 2
    port.frame(MN1_MAC)
    await until(lambda: len(gateway.core.binding_update_list))
    gateway.waker.repeat(gateway.pump.now() + 2 * HOURS_S)
    assert port.queried.count(MN1_MAC) == 2


@pytest.mark.usefixtures("wakes_by_hand")
async def test_detached_node_is_asked_no_more_though_it_was_before(
    gateway: Gateway, port: FakePort, control: Control
) -> None:
    port.frame(MN1_MAC)
    await until(lambda: MN1_MAC in port.known)
    control.detach(NodeSelector(mn_id="mn1@example.net"))
    await until(lambda: MN1_MAC not in port.known)
    gateway.waker.repeat(gateway.pump.now() + HOURS_S)
    assert port.queried.count(MN1_MAC) == 1


@pytest.mark.usefixtures("wakes_by_hand")
async def test_node_is_asked_no_more_where_the_gateway_takes_none(
    gateway: Gateway, port: FakePort
) -> None:
    gateway.attachments.is_draining = True
    gateway.waker.repeat(gateway.pump.now() + HOURS_S)
    assert port.queried.count(MN1_MAC) == 1
