"""Waits until a node reaches the correspondent, shared by scenarios."""

import asyncio
import contextlib
import time
from ipaddress import IPv6Address
from typing import Final

from mag.lab.running_lab import POLL_INTERVAL_S, RunningLab
from mag.lab.scenarios.steps import StepFailed
from mag.lab.world import topology
from mag.lab.world.reachability import echo_round_trip_s
from mag.services.admin_client import AdminError

_ECHO_TIMEOUT_S: Final = 0.05


async def until_echo(
    lab: RunningLab,
    node: topology.MobileNode,
    timeout_s: float,
    source: IPv6Address | None = None,
) -> None:
    """Until the correspondent answers a node; StepFailed if not in time.

    source: an address that the node has or will have soon; None takes the one it has.
    """
    if source is None:
        view = await lab.links.view_of(node.name)
        if view.address is None:
            raise StepFailed(f"{node.name} has lost its address")
        source = view.address.address
    destination = topology.CORRESPONDENT_SIDE.ip
    deadline = time.monotonic() + timeout_s
    while await echo_round_trip_s(node.name, source, destination, _ECHO_TIMEOUT_S) is None:
        if time.monotonic() > deadline:
            found = await _why_not(lab, node, source)
            text = f"{node.name} has no traffic within {timeout_s:g} s: {found}{lab.logs()}"
            raise StepFailed(text)
        await asyncio.sleep(POLL_INTERVAL_S)


async def _why_not(lab: RunningLab, node: topology.MobileNode, source: IPv6Address) -> str:
    """How far packets come: what the node's kernel has, and what gateways have carried for it."""
    words = [await lab.links.sending_in_words(node.name, source)]
    for gateway in topology.GATEWAYS:
        with contextlib.suppress(AdminError):  # one that does not answer is for its log to tell
            if (row := await lab.binding_of(gateway.name, node.mn_id)) is not None:
                up, down = row["uplink_packets"], row["downlink_packets"]
                words.append(f"{gateway.name} has carried {up} packets up and {down} down")
    return "; ".join(words)
