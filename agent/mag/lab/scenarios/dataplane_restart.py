"""Scenario `dataplane-restart`: the packet path dies under live traffic and comes back.

Then once more, and the gateway's agent with it.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.agreement import agreement_step
from mag.lab.scenarios.attach import attach_steps, reaches
from mag.lab.scenarios.node_unchanged import node_verdicts
from mag.lab.scenarios.reaching import until_echo
from mag.lab.scenarios.steps import Findings, Outage, ScenarioScript, Step, Told
from mag.lab.scenarios.with_crowd import crowd_at_will_steps
from mag.lab.scenarios.with_traffic import LONGEST_OUTAGE_MS, outage_verdicts, traffic_steps
from mag.lab.traffic.traffic_statistics import Period
from mag.lab.world import topology

_LONGEST_OUTAGE_S: Final = LONGEST_OUTAGE_MS / 1000
_NEWCOMER_TIMEOUT_S: Final = 5.0


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    node, neighbour, newcomer = topology.MOBILE_NODES
    gateway = topology.gateway_of(node.cell)
    crash = _Crash(lab, findings, node, gateway)
    meanwhile = (
        Step("packet_path_killed", crash.kill),
        Step(f"{node.name}_traffic_back", crash.wait_for_traffic),
        Step("packet_path_and_agent_killed", crash.kill_both),
        Step(f"{node.name}_traffic_back_again", crash.wait_for_traffic),
    )
    return (
        *attach_steps(lab, findings),
        *crowd_at_will_steps(lab, findings),
        *traffic_steps(lab, findings, node, meanwhile),
        *node_verdicts(findings),
        *outage_verdicts(findings),
        agreement_step(lab, len(lab.plan.nodes)),
        Step(
            f"{neighbour.name}_reaches_correspondent_again",
            partial(reaches, lab, neighbour),
            is_verdict=True,
        ),
        Step(
            f"{newcomer.name}_served_by_{gateway.name}",
            partial(_newcomer, lab, newcomer, gateway),
            is_verdict=True,
        ),
    )


DATAPLANE_RESTART: Final = ScenarioScript(
    "dataplane-restart",
    "the packet path is killed under live traffic and started again, and nobody helps",
    _steps,
    takes_crowd=True,
)


class _Crash:
    def __init__(
        self,
        lab: RunningLab,
        findings: Findings,
        node: topology.MobileNode,
        gateway: topology.Gateway,
    ) -> None:
        self._lab = lab
        self._findings = findings
        self._node = node
        self._gateway = gateway
        self._killed_ns = 0

    async def kill(self) -> Told:
        self._killed_ns = time.time_ns()
        await self._lab.packet_path.crash(self._gateway.name)
        return Told(
            f"{self._lab.packet_path.words} of {self._gateway.name} killed (SIGKILL) and started "
            "again; nobody told the gateway"
        )

    async def kill_both(self) -> Told:
        self._killed_ns = time.time_ns()
        await self._lab.kill_gateway(self._gateway.name)
        await self._lab.packet_path.crash(self._gateway.name)
        await self._lab.start_gateway_again(self._gateway.name)
        return Told(
            f"{self._lab.packet_path.words} and agent of {self._gateway.name} killed (SIGKILL), "
            "both started again as supervisors do"
        )

    async def wait_for_traffic(self) -> Told:
        await until_echo(self._lab, self._node, _LONGEST_OUTAGE_S)
        outage = Outage(self._gateway.name, Period(self._killed_ns, time.time_ns()))
        self._findings.outages.append(outage)
        self._findings.views.append(await self._lab.links.view_of(self._node.name))
        sentence = f"{self._gateway.name} put everything back, {self._node.name} has traffic again"
        return Told(sentence, ms=outage.period.length_ms)


async def _newcomer(lab: RunningLab, node: topology.MobileNode, gateway: topology.Gateway) -> Told:
    """Bindings are not all: a packet path that came back notices nodes and carries signalling."""
    moved_at = time.time()
    await lab.links.move_radio(node.name, gateway.cell)
    await until_echo(lab, node, _NEWCOMER_TIMEOUT_S)
    sentence = (
        f"{node.name} moved to {gateway.cell}; {gateway.name} noticed its packets and serves it"
    )
    return Told(sentence, lab.feed.events(node.mn_id, moved_at), moved_at)
