"""Scenario `agent-restart`: a gateway's agent is killed under live traffic and started again.

Three times: while nothing but traffic happens, while a node's registration is under way, and while
its handover is. The LMA holds its answer back, so that the agent dies with a request outstanding.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

from mag.lab.anchor.faults import Delay, Fault, MessageKind, Where
from mag.lab.running_lab import POLL_INTERVAL_S, RunningLab
from mag.lab.scenarios.agreement import agreement_step
from mag.lab.scenarios.attach import attach_steps, configured, reaches
from mag.lab.scenarios.handover import report_as_access_points_do
from mag.lab.scenarios.node_unchanged import node_verdicts
from mag.lab.scenarios.reaching import until_echo
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.scenarios.with_crowd import crowd_at_will_steps, crowd_mn_ids
from mag.lab.scenarios.with_traffic import traffic_steps, traffic_verdicts
from mag.lab.world import topology
from mag.lab.world.reachability import advertised_within_s

_ANSWER_DELAY_S: Final = 0.8
"""Enough to be killed meanwhile on a busy machine too, and less than the gateway's patience before
it asks again (INITIAL_BINDACK_TIMEOUT)."""
_TIMEOUT_S: Final = 10.0
_QUIET_S: Final = 1.0
_SEQUENCE_NUMBERS: Final = 1 << 16
_REQUESTS: Final = frozenset(
    {
        *("binding_registered", "binding_moved", "binding_extended", "binding_deregistered"),
        *("request_rejected", "message_ignored"),
    }
)
"""What the LMA says of a Proxy Binding Update, one or another of each."""


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    first, second, late = topology.MOBILE_NODES
    has_crowd = lab.plan.crowd > 0
    here, there = topology.gateway_of(first.cell), topology.gateway_of(late.cell)
    mn_ids = (first.mn_id, second.mn_id, *crowd_mn_ids(lab))
    amid_traffic = _Restart(lab, findings, here.name, mn_ids)
    amid_handover = _Restart(lab, findings, here.name, mn_ids)
    amid_registration = _Restart(lab, findings, there.name, ())
    meanwhile = (
        Step(f"{here.name}_killed_amid_traffic", amid_traffic.kill_and_start),
        Step("no_update_after_restart", amid_traffic.judge_silence, is_verdict=True),
        Step(f"{first.name}_solicits_and_is_advertised_to", partial(_advertised, lab, first)),
        Step(
            f"{there.name}_killed_amid_registration",
            partial(_amid_registration, amid_registration, late),
        ),
        Step(f"{late.name}_configured", partial(configured, lab, late)),
        Step(f"{late.name}_reaches_correspondent", partial(reaches, lab, late)),
        Step(
            f"{here.name}_killed_amid_handover",
            partial(_amid_handover, amid_handover, late, there, here),
        ),
        Step("no_update_for_others", amid_handover.judge_silence, is_verdict=True),
    )
    return (
        *attach_steps(lab, findings, (first, second)),
        *crowd_at_will_steps(lab, findings),
        *traffic_steps(lab, findings, first, meanwhile, beside=(second,), with_crowd=has_crowd),
        *node_verdicts(findings),
        *traffic_verdicts(findings),
        Step(f"{late.name}_reaches_correspondent_again", partial(reaches, lab, late)),
        agreement_step(lab, len(lab.plan.nodes)),
    )


AGENT_RESTART: Final = ScenarioScript(
    "agent-restart",
    "gateways' agents are killed under live traffic and started again; nodes lose nothing",
    _steps,
    takes_crowd=True,
)


class _Restart:
    """One end of an agent, and the next start."""

    def __init__(
        self, lab: RunningLab, findings: Findings, gateway: str, mn_ids: Collection[str]
    ) -> None:
        """mn_ids: whom the gateway serves with a binding that nothing happens to."""
        self.lab = lab
        self.gateway = gateway
        self._findings = findings
        self._mn_ids = mn_ids
        self._killed_at = 0.0

    async def kill_and_start(self) -> Told:
        """Until the next agent serves everybody; StepFailed if it touched anything."""
        await self.kill()
        return await self.start()

    async def kill(self) -> None:
        """SIGKILL."""
        self._killed_at = time.time()
        await self.lab.kill_gateway(self.gateway)

    async def start(self) -> Told:
        """The next agent; see kill_and_start."""
        await self.lab.start_gateway_again(self.gateway)
        await self._until_served()
        away_ms = (time.time() - self._killed_at) * 1000
        restored = self._restored()
        node = topology.MOBILE_NODES[0]
        self._findings.views.append(await self.lab.links.view_of(node.name))
        return Told(
            f"agent of {self.gateway} killed (SIGKILL) and started again: {restored} bindings go "
            "on, their packet path found as it is to be and left alone",
            ms=away_ms,
        )

    async def _until_served(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        wanted = set(self._mn_ids)
        while True:
            rows = await self.lab.gateways[self.gateway].bindings()
            missing = wanted - {row["mn_id"] for row in rows if row["is_forwarding"]}
            if not missing:
                return
            if time.monotonic() > deadline:
                raise StepFailed(f"{len(missing)} nodes without service{self.lab.logs()}")
            await asyncio.sleep(POLL_INTERVAL_S)

    def _restored(self) -> int:
        log = self.lab.gateway_log(self.gateway)
        changed = [line for line in log if line["event"] == "packet_path_changed"]
        if changed:
            raise StepFailed(f"the packet path was changed: {changed}")
        served = sum(line["served"] for line in log if line["event"] == "bindings_restored")
        if served != len(self._mn_ids):
            raise StepFailed(f"{served} bindings restored in service, not {len(self._mn_ids)}")
        return int(served)

    async def judge_silence(self) -> Told:
        """No PBU storm: who has a binding is not registered again."""
        await asyncio.sleep(max(0.0, self._killed_at + _QUIET_S - time.time()))
        heard = [
            event
            for mn_id in self._mn_ids
            for event in self.lab.feed.events(mn_id, self._killed_at)
            if event.source == topology.LOCAL_MOBILITY_ANCHOR and event.name in _REQUESTS
        ]
        spent_s = time.time() - self._killed_at
        sentence = (
            f"{len(heard)} Proxy Binding Updates at the LMA for these {len(self._mn_ids)} nodes in "
            f"{spent_s:.1f} s"
        )
        if heard:
            raise StepFailed(sentence)
        return Told(sentence)


async def _advertised(lab: RunningLab, node: topology.MobileNode) -> Told:
    """Router Advertisements go on: the next agent answers a solicitation."""
    spent_s = await advertised_within_s(node.name, _TIMEOUT_S)
    if spent_s is None:
        raise StepFailed(f"no Router Advertisement for {node.name}{lab.logs()}")
    return Told(f"{node.name} solicited and was advertised to", ms=spent_s * 1000)


async def _amid_registration(restart: _Restart, node: topology.MobileNode) -> Told:
    """The node switches on; its agent dies after the LMA has accepted and before it is told."""
    lab = restart.lab
    since = time.time()
    await _hold_answers_back(lab, node)
    await lab.links.switch_on(node.name)
    before = await _killed_before_the_answer(restart, node, "binding_registered", since)
    await restart.start()
    after = await _asked_again(lab, node, before)
    return Told(
        f"agent of {restart.gateway} killed between the LMA's decision on {node.name} and its "
        f"answer, started again: registered, {_prefixes(after)} as the LMA had decided",
        lab.feed.events(node.mn_id, since),
        since,
    )


async def _amid_handover(
    restart: _Restart, node: topology.MobileNode, old: topology.Gateway, new: topology.Gateway
) -> Told:
    lab = restart.lab
    since = time.time()
    view = await lab.links.view_of(node.name)
    await _hold_answers_back(lab, node)
    await lab.links.move_radio(node.name, new.cell)
    await report_as_access_points_do(lab, node, old, new)
    before = await _killed_before_the_answer(restart, node, "binding_moved", since)
    await restart.start()
    after = await _asked_again(lab, node, before)
    await until_echo(lab, node, _TIMEOUT_S)
    now = await lab.links.view_of(node.name)
    if (now.address, now.default_router) != (view.address, view.default_router):
        raise StepFailed(f"{node.name} had {view}, now {now}")
    return Told(
        f"agent of {restart.gateway} killed while {node.name} moved to {new.cell}, started again: "
        f"{node.name} has {_prefixes(after)}, its address and its router as before",
        lab.feed.events(node.mn_id, since),
        since,
    )


async def _hold_answers_back(lab: RunningLab, node: topology.MobileNode) -> None:
    """All of them: a node that is heard before it is reported is registered twice."""
    meant = Where(mn_id=node.mn_id.encode(), kind=MessageKind.REGISTRATION)
    await lab.anchor.misbehave(Fault(Delay(_ANSWER_DELAY_S), meant))


async def _killed_before_the_answer(
    restart: _Restart, node: topology.MobileNode, decision: str, since: float
) -> dict[str, Any]:
    """Kill the agent when the LMA has decided; the session that the next agent goes on with."""
    lab = restart.lab
    for name in (decision, "fault_applied"):
        await lab.said(topology.LOCAL_MOBILITY_ANCHOR, name, node.mn_id, since, _TIMEOUT_S)
    await restart.kill()
    await lab.anchor.relent()
    return await _session(lab, node)


async def _session(lab: RunningLab, node: topology.MobileNode) -> dict[str, Any]:
    rows = [row for row in await lab.anchor.bindings() if row["mn_id"] == node.mn_id]
    if len(rows) != 1:
        raise StepFailed(f"the LMA has {len(rows)} sessions of {node.mn_id}")
    return rows[0]


async def _asked_again(
    lab: RunningLab, node: topology.MobileNode, before: dict[str, Any]
) -> dict[str, Any]:
    """The LMA's session once it has accepted a request of the next agent (SEQ-04)."""
    deadline = time.monotonic() + _TIMEOUT_S
    while (after := await _session(lab, node))["sequence"] == before["sequence"]:
        if time.monotonic() > deadline:
            raise StepFailed(f"{node.name} was not registered again{lab.logs()}")
        await asyncio.sleep(POLL_INTERVAL_S)
    ahead = (after["sequence"] - before["sequence"]) % _SEQUENCE_NUMBERS
    if not 0 < ahead < _SEQUENCE_NUMBERS // 2:
        raise StepFailed(f"sequence number {after['sequence']} after {before['sequence']}")
    if after["timestamp_ticks"] <= before["timestamp_ticks"]:
        raise StepFailed("the timestamp of the next agent is not a later one")
    if after["home_network_prefixes"] != before["home_network_prefixes"]:
        raise StepFailed(f"{_prefixes(before)} was accepted, and now it is {_prefixes(after)}")
    return after


def _prefixes(session: dict[str, Any]) -> str:
    return ", ".join(session["home_network_prefixes"])
