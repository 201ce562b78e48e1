"""Scenario `lma-addresses`: gateways without a fixed link-local address (RFC 5213 §6.8).

The LMA gives one to each session. A node that moves finds the same router in the next cell, and
nodes of one cell have different ones.
"""

from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address
from typing import Final

from mag.lab.plan import LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.agreement import agreement_step
from mag.lab.scenarios.handover import HANDOVER
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.world import topology


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    return (
        *HANDOVER.steps(lab, findings),
        Step("routers_are_those_of_the_lma", partial(_judge_routers, lab), is_verdict=True),
        agreement_step(lab, len(lab.plan.nodes)),
    )


LMA_ADDRESSES: Final = ScenarioScript(
    "lma-addresses",
    "the LMA gives the gateways a link-local address for each node, and it moves with the node",
    _steps,
    LabPlan(protocol={"fixed_mag_link_local_address": "::"}),
)


async def _judge_routers(lab: RunningLab) -> Told:
    """Binding Cache, Binding Update Lists and nodes all have the same, and each node its own."""
    given = {row["mn_id"]: row["link_local_address"] for row in await lab.anchor.bindings()}
    known = {
        row["mn_id"]: row["gateway_link_local_address"]
        for gateway in lab.gateways.values()
        for row in await gateway.bindings()
    }
    nodes = topology.MOBILE_NODES
    seen = {node.mn_id: await _router_of(lab, node) for node in nodes}
    if not given == known == {mn_id: str(router) for mn_id, router in seen.items()}:
        raise StepFailed(f"the LMA gave {given}, gateways say {known}, nodes know {seen}")
    if len(set(seen.values())) != len(nodes):
        raise StepFailed(f"two nodes have one router: {seen}")
    return Told(", ".join(f"{node.name}'s router is {seen[node.mn_id]}" for node in nodes))


async def _router_of(lab: RunningLab, node: topology.MobileNode) -> IPv6Address | None:
    router = (await lab.links.view_of(node.name)).default_router
    return None if router is None else router.link_local_address
