"""Scenario `reject`: the LMA refuses with every status there is, and relents.

Each status meets a node that has service: its gateway is told of a handoff, asks again, naming the
prefix, and is refused. Three nodes take turns at the statuses at the same time.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from mag.frozen import frozen
from mag.lab.anchor.faults import Fault, MessageKind, Reject, Where
from mag.lab.event_feed import LabEvent
from mag.lab.plan import LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.attach import attach_steps, reaches
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.world import topology
from mag.protocol.status_reaction import Pace, reaction_to
from mag.wire.iana import FIRST_REJECTING_STATUS, BindingStatus, status_name

_TIMEOUT_S: Final = 10.0
_MAX_BINDACK_TIMEOUT_S: Final = 0.4
_PROTOCOL: Final = {
    "initial_bindack_timeout_s": 0.1,
    "max_bindack_timeout_s": _MAX_BINDACK_TIMEOUT_S,
}
STATUSES: Final = tuple(each for each in BindingStatus if each >= FIRST_REJECTING_STATUS)


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    turns = _Turns(lab)
    return (
        *attach_steps(lab, findings),
        Step("refusals_started", turns.start),
        *(
            Step(f"status_{status.value}", partial(turns.outcome_of, status), is_verdict=True)
            for status in STATUSES
        ),
        *(
            Step(f"{node.name}_reaches_correspondent_again", partial(reaches, lab, node))
            for node in topology.MOBILE_NODES
        ),
    )


REJECT: Final = ScenarioScript(
    "reject",
    "the LMA refuses with every status there is; service comes back when it relents",
    _steps,
    LabPlan(protocol=_PROTOCOL),
)


class _Turns:
    """The statuses, dealt out to the nodes."""

    def __init__(self, lab: RunningLab) -> None:
        self._lab = lab
        self._outcomes: dict[BindingStatus, asyncio.Future[Told]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Told:
        loop = asyncio.get_running_loop()
        self._outcomes = {status: loop.create_future() for status in STATUSES}
        nodes = topology.MOBILE_NODES
        for number, node in enumerate(nodes):
            mine = STATUSES[number :: len(nodes)]
            self._tasks.append(asyncio.create_task(self._take_turns(node, mine)))
        names = ", ".join(node.name for node in nodes)
        return Told(f"{names} take turns at {len(STATUSES)} statuses")

    async def outcome_of(self, status: BindingStatus) -> Told:
        return await self._outcomes[status]

    async def _take_turns(
        self, node: topology.MobileNode, statuses: Sequence[BindingStatus]
    ) -> None:
        for status in statuses:
            try:
                told = await _Refusal(self._lab, node, status).run()
            except Exception as error:
                # Whatever it is: it belongs to the step that waits for this status.
                self._outcomes[status].set_exception(error)
            else:
                self._outcomes[status].set_result(told)


@frozen
class _Refusal:
    """One status and one node that has service."""

    lab: RunningLab
    node: topology.MobileNode
    status: BindingStatus

    @property
    def gateway(self) -> str:
        return topology.gateway_of(self.node.cell).name

    async def run(self) -> Told:
        lab, node = self.lab, self.node
        started = time.time()
        meant = Where(mn_id=node.mn_id.encode(), kind=MessageKind.REGISTRATION)
        fault = await lab.anchor.misbehave(Fault(Reject(self.status), meant))
        access, mac = lab.packet_path.access_interface, node.link_layer_address
        await lab.gateways[self.gateway].attach(access, mac, handoff="between_gateways")
        await self._said("binding_rejected", started)
        await self._said("prefix_withdrawal_sent", started)
        await self._check_no_service()
        reaction = await self._reaction(started)
        relented = time.time()
        await lab.anchor.relent(fault)
        if reaction_to(self.status).pace is Pace.NEVER:
            await lab.gateways[self.gateway].clear(node.mn_id)
        await self._said("forwarding_installed", relented)
        await self._check_service()
        sentence = (
            f"{status_name(self.status)}: {node.name} without prefix, {reaction}, served again"
        )
        return Told(sentence, ms=(time.time() - started) * 1000)

    async def _reaction(self, started: float) -> str:
        """What the gateway does about it, in words; StepFailed if that is not what it should."""
        expected = reaction_to(self.status)
        (first, *_) = self._rejections(started)
        if expected.pace is Pace.NEVER:
            row = await self.lab.binding_of(self.gateway, self.node.mn_id)
            state = row and row["state"]
            if (state, first.facts["retry_in_s"]) != ("held", None):
                raise StepFailed(f"{self._name}: not held but {state}: {first.facts}")
            return "held until an operator cleared it"
        await self._said("binding_rejected", math.nextafter(first.at, math.inf))
        first, second, *_ = self._rejections(started)
        self._check_pace(first, expected.pace)
        self._check_prefixes(started, expects_forgotten=expected.forget_prefixes)
        words = f"asked again after {(second.at - first.at) * 1000:.0f} ms"
        return f"{words} without the prefix" if expected.forget_prefixes else words

    def _check_pace(self, rejection: LabEvent, pace: Pace) -> None:
        retry_in_s = rejection.facts["retry_in_s"]
        is_right = {
            Pace.AT_ONCE: retry_in_s == 0,
            Pace.SLOW: retry_in_s == _MAX_BINDACK_TIMEOUT_S,
            Pace.IN_STEP: retry_in_s == 0,  # all of the lab have one clock (INT-07)
            Pace.BACK_OFF: retry_in_s is not None and 0 < retry_in_s <= _MAX_BINDACK_TIMEOUT_S,
        }
        if not is_right[pace]:
            raise StepFailed(f"{self._name}: asks again in {retry_in_s} s; expected: {pace.value}")

    def _check_prefixes(self, started: float, *, expects_forgotten: bool) -> None:
        """Each PBU named the prefixes that the node had, until they are to be forgotten."""
        asked = [
            event.facts["asked"]
            for event in self.lab.feed.events(self.node.mn_id, started)
            if event.name == "fault_applied"
        ]
        if not asked[0] or bool(asked[1]) is expects_forgotten:
            raise StepFailed(f"{self._name}: the PBUs named {asked}")

    async def _check_no_service(self) -> None:
        row = await self.lab.binding_of(self.gateway, self.node.mn_id)
        if row is None or row["home_network_prefixes"] or row["is_forwarding"]:
            raise StepFailed(f"{self._name}: still served: {row}")

    async def _check_service(self) -> None:
        """Gateway and LMA agree."""
        row = await self.lab.binding_of(self.gateway, self.node.mn_id)
        entries = [
            entry
            for entry in await self.lab.anchor.bindings()
            if entry["mn_id"] == self.node.mn_id and not entry["is_deregistered"]
        ]
        prefixes = row and row["home_network_prefixes"]
        if [entry["home_network_prefixes"] for entry in entries] != [prefixes]:
            raise StepFailed(f"{self._name}: the gateway has {prefixes}, the LMA {entries}")

    def _rejections(self, since: float) -> list[LabEvent]:
        return [
            event
            for event in self.lab.feed.events(self.node.mn_id, since)
            if event.name == "binding_rejected" and event.facts["status"] == self.status
        ]

    async def _said(self, name: str, since: float) -> None:
        await self.lab.said(self.gateway, name, self.node.mn_id, since, _TIMEOUT_S)

    @property
    def _name(self) -> str:
        return status_name(self.status)
