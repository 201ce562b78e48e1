"""Steps about live traffic, shared by scenarios: start it, stop it, judge it."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from mag.lab.errors import LabError
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.steps import Findings, Handover, Step, StepFailed, Told
from mag.lab.traffic.probe_traffic import PROBES_PER_S, ProbeTraffic, TrafficResult
from mag.lab.traffic.tcp_session import (
    TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS,
    TcpSession,
)
from mag.lab.traffic.traffic_statistics import DirectionStatistics, Period
from mag.lab.world import topology

LONGEST_GAP_MS: Final = 100.0
_STEADY_S: Final = 1.0
_DRAIN_S: Final = 0.3
_TCP_FINISH_TIMEOUT_S: Final = 5.0
# What was on its way when the radio moved had been sent a little earlier.
_IN_FLIGHT_NS: Final = 10_000_000


def traffic_steps(
    lab: RunningLab,
    findings: Findings,
    node: topology.MobileNode,
    meanwhile: Sequence[Step] = (),
) -> Sequence[Step]:
    """Traffic between a node and the correspondent around the steps `meanwhile`."""
    traffic = _LiveTraffic(lab, findings, node)
    return (
        Step("traffic_started", traffic.start),
        *meanwhile,
        Step("traffic_stopped", traffic.stop),
    )


def traffic_verdicts(findings: Findings) -> Sequence[Step]:
    """What must be true of any traffic."""
    return (
        Step("nothing_lost_outside_handovers", partial(_judge_loss, findings), is_verdict=True),
        Step("longest_gap_within_100_ms", partial(_judge_gap, findings), is_verdict=True),
        Step("tcp_survived", partial(_judge_tcp, findings), is_verdict=True),
    )


class _LiveTraffic:
    def __init__(self, lab: RunningLab, findings: Findings, node: topology.MobileNode) -> None:
        self._lab = lab
        self._findings = findings
        self._node = node
        self._probes: ProbeTraffic | None = None
        self._tcp: TcpSession | None = None

    async def start(self) -> Told:
        view = await self._lab.links.view_of(self._node.name)
        if view.address is None:
            raise StepFailed(f"{self._node.name} has no address")
        self._findings.views.append(view)
        self._probes = await ProbeTraffic.ready(self._node.name, view.address.address)
        self._tcp = await TcpSession.connected(self._node.name, view.address.address)
        self._probes.send()
        self._tcp.start()
        await asyncio.sleep(_STEADY_S)
        return Told(
            f"{PROBES_PER_S} probes/s each way between {self._node.name} and the correspondent, "
            "and one TCP connection"
        )

    async def stop(self) -> Told:
        if self._probes is None or self._tcp is None:
            raise LabError("there is no traffic to stop")
        await asyncio.sleep(_STEADY_S)
        self._probes.stop()
        self._findings.tcp = await self._tcp.finish(_TCP_FINISH_TIMEOUT_S)
        await asyncio.sleep(_DRAIN_S)
        result = await self._probes.result()
        self._findings.traffic = result
        sent = sum(direction.sent for direction in result.directions)
        received = sum(direction.received for direction in result.directions)
        return Told(f"{sent} probes sent, {received} received")


def lost_in_handover(direction: DirectionStatistics, handover: Handover) -> int:
    """Probes of one direction that a handover cost."""
    return direction.lost_during(_widened(handover.period))


def handover_gap_ms(direction: DirectionStatistics, handover: Handover) -> float:
    """The longest silence of one direction around a handover."""
    gap = direction.longest_gap_during(_widened(handover.period))
    return 0.0 if gap is None else gap.length_ms


def _widened(period: Period) -> Period:
    return Period(period.start_ns - _IN_FLIGHT_NS, period.end_ns + _IN_FLIGHT_NS)


def _traffic(findings: Findings) -> TrafficResult:
    if findings.traffic is None:
        raise StepFailed("there was no traffic")
    for direction, name in zip(findings.traffic.directions, ("up", "down"), strict=True):
        if direction.received == 0:
            raise StepFailed(f"none of {direction.sent} probes arrived on the way {name}")
    return findings.traffic


async def _judge_loss(findings: Findings) -> Told:
    periods = [_widened(handover.period) for handover in findings.handovers]
    up, down = (direction.lost_outside(periods) for direction in _traffic(findings).directions)
    if up or down:
        raise StepFailed(f"lost while nothing moved: {up} up, {down} down")
    return Told("no probe was lost while nothing moved")


async def _judge_gap(findings: Findings) -> Told:
    up, down = _traffic(findings).directions
    sentence = f"longest silence {up.longest_gap_ms:.1f} ms up, {down.longest_gap_ms:.1f} ms down"
    if max(up.longest_gap_ms, down.longest_gap_ms) <= LONGEST_GAP_MS:
        return Told(sentence)
    pause_ms = max(up.longest_sender_pause_ms, down.longest_sender_pause_ms)
    if pause_ms > LONGEST_GAP_MS:
        sentence += f"; a sender itself paused for {pause_ms:.1f} ms: this host is overloaded"
    raise StepFailed(f"{sentence}; {LONGEST_GAP_MS:g} ms are allowed")


async def _judge_tcp(findings: Findings) -> Told:
    tcp = findings.tcp
    if tcp is None or not tcp.survived:
        raise StepFailed("the TCP connection broke or lost data")
    sentence = f"TCP lives: {tcp.echoed} echoes, longest stall {tcp.longest_stall_ms:.1f} ms"
    if tcp.longest_stall_ms >= TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS:
        sentence += (
            f" (a lost segment waits for TCP's minimum retransmission time-out of "
            f"{TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS} ms: the sender's rule, not the gateway's)"
        )
    return Told(sentence)
