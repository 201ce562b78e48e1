"""Scenario `handover`: a node with live traffic moves to the other cell and back."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from mag.lab.event_feed import LabEvent
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.attach import attach_steps
from mag.lab.scenarios.node_unchanged import node_verdicts
from mag.lab.scenarios.steps import Findings, Handover, ScenarioScript, Step, Told
from mag.lab.scenarios.with_traffic import traffic_steps, traffic_verdicts
from mag.lab.traffic.traffic_statistics import NS_PER_S, Period
from mag.lab.world import topology

_HANDOVER_TIMEOUT_S: Final = 5.0
_RELEASE_TIMEOUT_S: Final = 5.0


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    node = topology.MOBILE_NODES[0]
    here, there = topology.GATEWAYS
    moves = (
        Step(f"{node.name}_to_{there.name}", partial(_move, lab, findings, node, here, there)),
        Step(f"{node.name}_back_to_{here.name}", partial(_move, lab, findings, node, there, here)),
    )
    return (
        *attach_steps(lab, findings),
        *traffic_steps(lab, findings, node, moves),
        *node_verdicts(findings),
        *traffic_verdicts(findings),
    )


HANDOVER: Final = ScenarioScript(
    "handover", "a mobile node with live traffic moves to the other radio cell and back", _steps
)


async def _move(
    lab: RunningLab,
    findings: Findings,
    node: topology.MobileNode,
    old: topology.Gateway,
    new: topology.Gateway,
) -> Told:
    moved_ns = time.time_ns()
    moved_at = moved_ns / NS_PER_S
    await lab.links.move_radio(node.name, new.cell)
    await report_as_access_points_do(lab, node, old, new)

    async def said(gateway: str, name: str, timeout_s: float) -> LabEvent:
        return await lab.said(gateway, name, node.mn_id, moved_at, timeout_s)

    forwarding = await said(new.name, "forwarding_installed", _HANDOVER_TIMEOUT_S)
    advertised = await said(new.name, "router_advertisement_sent", _HANDOVER_TIMEOUT_S)
    # The old gateway holds its entry until the LMA answers or a second has passed (DEREG-06).
    await said(old.name, "binding_lost", _RELEASE_TIMEOUT_S)
    done_ns = round(max(forwarding.at, advertised.at) * NS_PER_S)
    events = lab.feed.events(node.mn_id, moved_at)
    signalling_ms = float(forwarding.facts["setup_ms"])
    period = Period(moved_ns, done_ns)
    findings.handovers.append(Handover(node.name, old.name, new.name, period, signalling_ms))
    findings.views.append(await lab.links.view_of(node.name))
    sentence = (
        f"{node.name} moved from {old.cell} to {new.cell}: {new.name} forwards "
        f"{signalling_ms:.1f} ms after it heard of the node"
    )
    return Told(sentence, events, moved_at, ms=period.length_ms)


async def report_as_access_points_do(
    lab: RunningLab, node: topology.MobileNode, old: topology.Gateway, new: topology.Gateway
) -> None:
    """Tell the new gateway of a handover and the old one that the node has left; may raise
    AdminError."""
    access, mac = lab.packet_path.access_interface, node.link_layer_address
    await asyncio.gather(
        lab.gateways[new.name].attach(access, mac, handoff="between_gateways"),
        lab.gateways[old.name].detach(link_layer_address=mac, access_interface=access),
    )
