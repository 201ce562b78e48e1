"""`mag clear held`: refused nodes may try again, so many a second, and no others."""

import pytest

from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.daemon.held_bindings import clear_held
from mag.protocol.registration import RegistrationState
from mag.services.gateway_control import ClearHeldRequest, ControlError
from support.fake_adapters import MN1_MAC, MN2_MAC, FakeWorld, until


async def refused(world: FakeWorld, gateway: Gateway, mac: bytes, status: int) -> None:
    """The LMA refuses the node for good."""
    world.transport.status = status
    world.ports["access1"].frame(mac)
    await until(
        lambda: (entry := gateway.core.binding_update_list.by_link("access1", mac)) and entry.hold
    )


def held(gateway: Gateway) -> set[bytes]:
    return {e.mn_id[:3] for e in gateway.core.binding_update_list if e.hold is not None}


@pytest.mark.requirement("PBA-13")
async def test_cleared_nodes_are_asked_for_and_registered_by_the_lma_that_relents(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    await refused(world, gateway, MN1_MAC, 152)
    await refused(world, gateway, MN2_MAC, 152)
    world.transport.status = 0
    asked = len(world.ports["access1"].queried)
    document = control.clear_held(ClearHeldRequest(rate_per_s=10_000))
    assert document == {"bindings": 2, "nodes": 2, "rate_per_s": 10_000}
    await until(lambda: not gateway.core.get_timer() or not held(gateway))
    gateway.core.handle_timer(gateway.pump.now() + 0.001)
    gateway.pump.wake()
    await until(lambda: not held(gateway))
    await until(lambda: {MN1_MAC, MN2_MAC} <= set(world.ports["access1"].queried[asked:]))
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: len(gateway.core.binding_update_list) == 1)
    (entry,) = gateway.core.binding_update_list
    await until(lambda: entry.state is RegistrationState.ACTIVE)


async def test_nodes_follow_each_other_at_the_pace_that_is_asked_for(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    await refused(world, gateway, MN1_MAC, 152)
    await refused(world, gateway, MN2_MAC, 152)
    control.clear_held(ClearHeldRequest(rate_per_s=0.01))
    await until(lambda: len(held(gateway)) == 1)
    now = gateway.pump.now()
    gateway.core.handle_timer(now + 99)
    assert len(held(gateway)) == 1
    gateway.core.handle_timer(now + 101)
    assert not held(gateway)


@pytest.mark.parametrize(
    ("lma", "reason", "left"),
    [
        ("lma1", None, set()),
        (None, "152", {b"mn2"}),
        (None, "Not_Enabled", {b"mn2"}),
        ("lma1", "nothing of the kind", {b"mn1", b"mn2"}),
    ],
)
async def test_only_those_that_are_meant_are_cleared(
    lma: str | None, reason: str | None, left: set[bytes], world: FakeWorld, gateway: Gateway
) -> None:
    await refused(world, gateway, MN1_MAC, 152)
    await refused(world, gateway, MN2_MAC, 154)
    clear_held(gateway, ClearHeldRequest(lma=lma, reason=reason, rate_per_s=10_000))
    gateway.core.handle_timer(gateway.pump.now() + 1)
    assert held(gateway) == left


async def test_lma_that_there_is_not_is_refused(control: Control) -> None:
    with pytest.raises(ControlError, match="no LMA is called lma7; there are: lma1"):
        control.clear_held(ClearHeldRequest(lma="lma7"))


async def test_node_with_service_is_left_alone(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: world.ports["access1"].sent)
    assert control.clear_held(ClearHeldRequest())["bindings"] == 0
    assert len(gateway.core.binding_update_list) == 1
