"""Steps about live traffic, shared by scenarios: start it, stop it, judge it."""

import asyncio
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address
from typing import Final

from mag.lab.errors import LabError
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.steps import Findings, Handover, Outage, Step, StepFailed, Told
from mag.lab.traffic.probe_traffic import PROBES_PER_S, ProbeTraffic, TrafficResult, in_sum
from mag.lab.traffic.tcp_session import (
    TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS,
    TcpSession,
)
from mag.lab.traffic.traffic_statistics import DirectionStatistics, Period
from mag.lab.world import topology

LONGEST_GAP_MS: Final = 100.0
LONGEST_OUTAGE_MS: Final = 10_000.0
_STEADY_S: Final = 1.0
_DRAIN_S: Final = 0.3
# After an outage TCP's next attempt may be as far away as the outage was long.
_TCP_FINISH_TIMEOUT_S: Final = 12.0
# What was on its way when the radio moved had been sent a little earlier.
_IN_FLIGHT_NS: Final = 10_000_000
# What the packet path had taken in when it was killed died with it.
_TAKEN_IN_NS: Final = 100_000_000


def traffic_steps(
    lab: RunningLab,
    findings: Findings,
    node: topology.MobileNode,
    meanwhile: Sequence[Step] = (),
    *,
    beside: Sequence[topology.MobileNode] = (),
    with_crowd: bool = False,
) -> Sequence[Step]:
    """Traffic between a node and the correspondent around the steps `meanwhile`.

    beside: nodes that have as much. with_crowd: the nodes of the crowd together have as much too.
    """
    traffic = _LiveTraffic(lab, findings, (node, *beside), with_crowd=with_crowd)
    return (
        Step("traffic_started", traffic.start),
        *meanwhile,
        Step("traffic_stopped", traffic.stop),
    )


def traffic_verdicts(findings: Findings) -> Sequence[Step]:
    """What must be true of any traffic while the packet path is there."""
    return (
        Step("nothing_lost_outside_handovers", partial(_judge_loss, findings), is_verdict=True),
        Step("longest_gap_within_100_ms", partial(_judge_gap, findings), is_verdict=True),
        Step("tcp_survived", partial(_judge_tcp, findings), is_verdict=True),
    )


def outage_verdicts(findings: Findings) -> Sequence[Step]:
    """What must be true of traffic over a packet path that went and came back."""
    return (
        Step("nothing_lost_outside_outages", partial(_judge_loss, findings), is_verdict=True),
        Step("outage_within_10_s", partial(_judge_outages, findings), is_verdict=True),
        Step("tcp_survived", partial(_judge_tcp, findings), is_verdict=True),
    )


class _LiveTraffic:
    def __init__(
        self,
        lab: RunningLab,
        findings: Findings,
        nodes: Sequence[topology.MobileNode],
        *,
        with_crowd: bool,
    ) -> None:
        """nodes: the first has a TCP connection too, and is looked at."""
        self._lab = lab
        self._findings = findings
        self._nodes = nodes
        self._with_crowd = with_crowd
        self._probes: list[ProbeTraffic] = []
        self._tcp: TcpSession | None = None

    async def start(self) -> Told:
        for node in self._nodes:
            address = await self._address_of(node)
            addresses = {topology.NODE_INTERFACE: address}
            self._probes.append(await ProbeTraffic.ready(node.name, addresses, len(self._probes)))
        if self._with_crowd:
            addresses = await self._lab.links.crowd_addresses()
            crowd = await ProbeTraffic.ready(topology.CROWD, addresses, len(self._probes))
            self._probes.append(crowd)
        first = self._nodes[0]
        self._findings.views.append(await self._lab.links.view_of(first.name))
        self._tcp = await TcpSession.connected(first.name, await self._address_of(first))
        for probes in self._probes:
            probes.send()
        self._tcp.start()
        await asyncio.sleep(_STEADY_S)
        each = " and as many " if len(self._nodes) > 1 else " "
        names = each.join(f"between {node.name} and the correspondent" for node in self._nodes)
        crowd_words = f", as many with {self._lab.plan.crowd} more in turn" * self._with_crowd
        return Told(
            f"{PROBES_PER_S} probes/s each way {names}{crowd_words}, and one TCP connection"
        )

    async def _address_of(self, node: topology.MobileNode) -> IPv6Address:
        view = await self._lab.links.view_of(node.name)
        if view.address is None:
            raise StepFailed(f"{node.name} has no address")
        return view.address.address

    async def stop(self) -> Told:
        if self._tcp is None:
            raise LabError("there is no traffic to stop")
        await asyncio.sleep(_STEADY_S)
        for probes in self._probes:
            probes.stop()
        self._findings.tcp = await self._tcp.finish(_TCP_FINISH_TIMEOUT_S)
        await asyncio.sleep(_DRAIN_S)
        result = in_sum([await probes.result() for probes in self._probes])
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


def lost_in_outage(direction: DirectionStatistics, outage: Outage) -> int:
    """Probes of one direction that an outage cost."""
    return direction.lost_during(_with_what_was_taken_in(outage.period))


def outage_gap_ms(direction: DirectionStatistics, outage: Outage) -> float | None:
    """The longest silence of one direction around an outage; None: nothing came after it."""
    gap = direction.longest_gap_during(outage.period)
    return None if gap is None else gap.length_ms


def _widened(period: Period) -> Period:
    return Period(period.start_ns - _IN_FLIGHT_NS, period.end_ns + _IN_FLIGHT_NS)


def _with_what_was_taken_in(period: Period) -> Period:
    return Period(period.start_ns - _TAKEN_IN_NS, period.end_ns + _IN_FLIGHT_NS)


def _traffic(findings: Findings) -> TrafficResult:
    if findings.traffic is None:
        raise StepFailed("there was no traffic")
    for direction, name in zip(findings.traffic.directions, ("up", "down"), strict=True):
        if direction.received == 0:
            raise StepFailed(f"none of {direction.sent} probes arrived on the way {name}")
    return findings.traffic


async def _judge_loss(findings: Findings) -> Told:
    handovers = [_widened(handover.period) for handover in findings.handovers]
    outages = [_with_what_was_taken_in(outage.period) for outage in findings.outages]
    periods = handovers + outages
    up, down = (direction.lost_outside(periods) for direction in _traffic(findings).directions)
    if up or down:
        raise StepFailed(f"lost while nothing {_what_happened(findings)}: {up} up, {down} down")
    return Told(f"no probe was lost while nothing {_what_happened(findings)}")


def _what_happened(findings: Findings) -> str:
    return "was down" if findings.outages else "moved"


async def _judge_gap(findings: Findings) -> Told:
    up, down = _traffic(findings).directions
    sentence = f"longest silence {up.longest_gap_ms:.1f} ms up, {down.longest_gap_ms:.1f} ms down"
    if max(up.longest_gap_ms, down.longest_gap_ms) <= LONGEST_GAP_MS:
        return Told(sentence)
    pause_ms = max(up.longest_sender_pause_ms, down.longest_sender_pause_ms)
    if pause_ms > LONGEST_GAP_MS:
        sentence += f"; a sender itself paused for {pause_ms:.1f} ms: this host is overloaded"
    raise StepFailed(f"{sentence}; {LONGEST_GAP_MS:g} ms are allowed")


async def _judge_outages(findings: Findings) -> Told:
    up, down = _traffic(findings).directions
    if not findings.outages:
        raise StepFailed("there was no outage")
    sentences = []
    for outage in findings.outages:
        gaps = outage_gap_ms(up, outage), outage_gap_ms(down, outage)
        if any(gap is None or gap > LONGEST_OUTAGE_MS for gap in gaps):
            raise StepFailed(
                f"outage of {outage.gateway}: silence of {gaps[0]} ms up, {gaps[1]} ms down; "
                f"{LONGEST_OUTAGE_MS:g} ms are allowed"
            )
        sentences.append(f"outage of {outage.gateway}: {gaps[0]:.0f} ms up, {gaps[1]:.0f} ms down")
    return Told("; ".join(sentences))


async def _judge_tcp(findings: Findings) -> Told:
    tcp = findings.tcp
    if tcp is None or not tcp.survived:
        raise StepFailed("the TCP connection broke or lost data")
    sentence = f"TCP lives: {tcp.echoed} echoes, longest stall {tcp.longest_stall_ms:.1f} ms"
    if findings.outages:
        sentence += " (the outage, and TCP's wait for its next attempt)"
    elif tcp.longest_stall_ms >= TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS:
        sentence += (
            f" (a lost segment waits for TCP's minimum retransmission time-out of "
            f"{TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS} ms: the sender's rule, not the gateway's)"
        )
    return Told(sentence)
