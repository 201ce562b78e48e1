"""Access links that go down and come back, and what watches them."""

import pytest

from daemon.conftest import running
from daemon.nodes import attached
from mag.daemon.gateway import Gateway
from mag.services.link_monitor import LinkState
from mag.services.wake_up import ALL_NODES_LINK_LAYER_ADDRESS
from support.fake_adapters import (
    MN1_MAC,
    MN2_MAC,
    FakeWorld,
    until,
)


@pytest.mark.parametrize("is_new", [False, True], ids=["up again", "made anew"])
async def test_link_that_comes_back_is_listened_to_and_restored(
    gateway: Gateway, world: FakeWorld, is_new: bool
) -> None:
    """With the link went the gateway's address, with the interface everything on it."""
    world.links.put_nowait(LinkState("access1", is_up=True, mtu_octets=1500, index=5))
    await attached(world)
    dumps = world.dataplane.dumps
    if not is_new:
        world.links.put_nowait(LinkState("access1", is_up=False, mtu_octets=1500, index=5))
    world.links.put_nowait(LinkState("access1", is_up=True, mtu_octets=1500, index=5 + is_new))
    port = world.ports["access1"]
    await until(lambda: port.reopened == 1 and world.dataplane.dumps > dumps)
    assert port.queried.count(ALL_NODES_LINK_LAYER_ADDRESS) == 2


async def test_link_monitor_that_fails_is_started_again(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mag.daemon.link_watch.LINK_MONITOR_RETRY_S", 0.0)
    world.link_failures = [OSError("no buffer space")]
    async with running(world):
        await attached(world)
        world.links.put_nowait(LinkState("access1", is_up=False, mtu_octets=1500))
        await until(lambda: MN1_MAC not in world.ports["access1"].known)


async def test_link_that_goes_down_ends_the_bindings_of_its_nodes(
    gateway: Gateway, world: FakeWorld
) -> None:
    """DETACH-05."""
    await attached(world)
    await attached(world, MN2_MAC, "access2")
    await world.links.put(LinkState("access1", is_up=False, mtu_octets=1500))
    await until(lambda: len(gateway.core.binding_update_list) == 1)
    (entry,) = gateway.core.binding_update_list
    assert entry.attachment.access_interface == "access2"
