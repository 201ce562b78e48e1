"""Scenario `lma-restart`: the LMA loses all its bindings while traffic runs."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from mag.lab.anchor.unsolicited import Telegram, UnsolicitedHeartbeat
from mag.lab.event_feed import LabEvent
from mag.lab.gateway_config import UPDATES_PER_S
from mag.lab.plan import LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.agreement import agreement_step
from mag.lab.scenarios.attach import attach_steps
from mag.lab.scenarios.node_unchanged import node_verdicts
from mag.lab.scenarios.reaching import until_echo
from mag.lab.scenarios.steps import Findings, Outage, ScenarioScript, Step, StepFailed, Told
from mag.lab.scenarios.with_crowd import crowd_gateway, crowd_mn_ids, crowd_steps
from mag.lab.scenarios.with_traffic import LONGEST_OUTAGE_MS, outage_verdicts, traffic_steps
from mag.lab.traffic.traffic_statistics import Period
from mag.lab.world import topology

_CROWD: Final = 50
_TIMEOUT_S: Final = 10.0
# What the event loop was late for goes out at once; over the whole that averages out.
_TOLERANCE: Final = 1.1


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    node = topology.MOBILE_NODES[0]
    restart = _Restart(lab, findings, node)
    meanwhile = (
        Step("lma_restarted", restart.restart),
        Step(f"{node.name}_traffic_back", restart.wait_for_traffic),
        Step("all_registered_again", restart.wait_for_registrations),
    )
    return (
        *attach_steps(lab, findings),
        *crowd_steps(lab, findings),
        Step("restart_counter_known", partial(_tell_restart_counter, lab)),
        *traffic_steps(lab, findings, node, meanwhile),
        *node_verdicts(findings),
        *outage_verdicts(findings),
        Step("rate_limit_kept", restart.judge_rate, is_verdict=True),
        agreement_step(lab, len(lab.plan.nodes)),
    )


LMA_RESTART: Final = ScenarioScript(
    "lma-restart",
    "the LMA loses all bindings under live traffic; the gateways notice and register them again",
    _steps,
    LabPlan(crowd=_CROWD),
)


async def _tell_restart_counter(lab: RunningLab) -> Told:
    """As the first answer to a heartbeat would; the RFC's interval is too long to wait for."""
    for gateway in topology.GATEWAYS:
        telegram = Telegram(gateway.proxy_care_of_address, UnsolicitedHeartbeat())
        await lab.anchor.send(telegram)
    counters = [await _restart_counter(lab, gateway.name) for gateway in topology.GATEWAYS]
    return Told(f"the LMA tells both gateways its restart counter, {counters[0]}")


async def _restart_counter(lab: RunningLab, gateway: str) -> int:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        (peer,) = await lab.gateways[gateway].peers()
        counter = peer["heartbeat"]["restart_counter"]
        if counter is not None:
            return int(counter)
    raise StepFailed(f"{gateway} does not know the LMA's restart counter")


class _Restart:
    def __init__(self, lab: RunningLab, findings: Findings, node: topology.MobileNode) -> None:
        self._lab = lab
        self._findings = findings
        self._node = node
        self._lost_ns = 0

    @property
    def _lost_at(self) -> float:
        return self._lost_ns / 1e9

    async def restart(self) -> Told:
        self._lost_ns = time.time_ns()
        lost = await self._lab.anchor.restart()
        if lost != len(self._lab.plan.nodes):
            raise StepFailed(f"the LMA had {lost} bindings")
        noticed = []
        for gateway in topology.GATEWAYS:
            event = await self._lab.feed.wait_for(
                partial(self._is_notice, gateway.name),
                _TIMEOUT_S,
                f"{gateway.name} has not noticed the restart{self._lab.logs()}",
            )
            noticed.append(f"{gateway.name} with {event.facts['bindings']} bindings")
        return Told(
            f"the LMA lost {lost} bindings and their forwarding; another restart counter told "
            f"{' and '.join(noticed)}"
        )

    def _is_notice(self, gateway: str, event: LabEvent) -> bool:
        is_restart = (event.source, event.name) == (gateway, "lma_restarted")
        return is_restart and event.at >= self._lost_at

    async def wait_for_traffic(self) -> Told:
        await until_echo(self._lab, self._node, LONGEST_OUTAGE_MS / 1000)
        outage = Outage(topology.LOCAL_MOBILITY_ANCHOR, Period(self._lost_ns, time.time_ns()))
        self._findings.outages.append(outage)
        self._findings.views.append(await self._lab.links.view_of(self._node.name))
        events = self._lab.feed.events(self._node.mn_id, self._lost_at)
        sentence = f"{self._node.name} was registered again and has traffic"
        return Told(sentence, events, self._lost_at, ms=outage.period.length_ms)

    async def wait_for_registrations(self) -> Told:
        mn_ids = [node.mn_id for node in self._lab.plan.nodes]
        anchor = topology.LOCAL_MOBILITY_ANCHOR
        registered = await self._lab.feed.first_of_each(
            anchor, "binding_registered", mn_ids, self._lost_at, _TIMEOUT_S
        )
        last = max(event.at for event in registered.values())
        spent_ms = (last - self._lost_at) * 1000
        return Told(f"all {len(registered)} nodes are registered again", ms=spent_ms)

    async def judge_rate(self) -> Told:
        """INT-08: the LMA that comes back is not met by everybody at once."""
        sent = sorted(
            event.at
            for mn_id in crowd_mn_ids(self._lab)
            for event in self._lab.feed.events(mn_id, self._lost_at)
            if event.is_of(crowd_gateway(self._lab).name, "proxy_binding_update_sent", mn_id)
        )
        if len(sent) < _CROWD:
            raise StepFailed(f"{len(sent)} Proxy Binding Updates for {_CROWD} nodes")
        rate = (_CROWD - 1) / (sent[_CROWD - 1] - sent[0])
        sentence = f"the crowd came back at {rate:.0f} a second, {UPDATES_PER_S} are allowed"
        if rate > UPDATES_PER_S * _TOLERANCE:
            raise StepFailed(sentence)
        return Told(sentence)
