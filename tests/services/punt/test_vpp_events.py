"""What VPP tells of its interfaces, and in whose name it is asked to."""

import os
from typing import Any

from mag.services.punt_access_link import SourceEvents
from mag.services.vpp_link_monitor import VppLinkMonitor
from services.punt.conftest import ADMIN_UP, LINK_UP, World


async def test_link_that_is_down_right_after_a_restart_of_vpp_is_waited_for(world: World) -> None:
    """Bindings outlive VPP: its start-up commands may still be running."""
    monitor = VppLinkMonitor(world.client, world.directory, settling_s=0.05)
    await monitor.open()
    states = monitor.watch(("access",))
    assert (await anext(states)).is_up
    world.client.interfaces[1].flags = ADMIN_UP
    await monitor.open()
    down = await anext(states)
    assert (down.is_up, down.mtu_octets) == (False, 1500)
    world.client.interfaces[1].flags = ADMIN_UP | LINK_UP
    world.client.handlers["sw_interface_event"](None)
    assert (await anext(states)).is_up
    await states.aclose()


async def test_events_are_asked_for_in_the_name_of_this_process(world: World) -> None:
    asked: dict[str, Any] = {}

    async def call(message: str, **fields: Any) -> None:
        asked[message] = fields

    world.client.call = call
    await VppLinkMonitor(world.client, world.directory).open()
    await SourceEvents(world.client, world.directory).open()
    assert asked == {
        "want_interface_events": {"settled": (-31,), "enable_disable": 1, "pid": os.getpid()},
        "want_mag_events": {"enable": True, "pid": os.getpid()},
    }
