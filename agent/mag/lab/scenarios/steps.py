"""A scenario is a list of steps over a running lab; each holds or fails, and says so in words."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from mag.frozen import frozen
from mag.lab.errors import LabError
from mag.lab.event_feed import LabEvent
from mag.lab.plan import USUAL, LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.traffic.probe_traffic import TrafficResult
from mag.lab.traffic.tcp_session import TcpResult
from mag.lab.traffic.traffic_statistics import Period
from mag.lab.world.mobile_node import NodeView
from mag.services.unix_http_client import UnixHttpError


class StepFailed(Exception):
    """The step did not hold; the text says in words what was found instead."""


@frozen
class Told:
    """What a step that held has to say."""

    sentence: str
    events: tuple[LabEvent, ...] = ()
    """What gateways and LMA did meanwhile, for the timeline."""
    since: float | None = None
    """Zero of the events' clock, seconds since 1970."""
    ms: float | None = None
    """How long what it shows took, where that is not how long the step took."""


@frozen
class StepResult:
    """A step after it was tried."""

    name: str
    ok: bool
    ms: float
    told: Told


@frozen
class Handover:
    """One move of a mobile node, for the summary."""

    node: str
    from_gateway: str
    to_gateway: str
    period: Period
    """From the radio's move until the new gateway had done its part."""
    signalling_ms: float
    """The new gateway's attach event until its packets were forwarded."""


@frozen
class Outage:
    """A packet path that was away, for the summary."""

    gateway: str
    period: Period
    """From its end until an echo request of a node it serves was answered."""


@frozen
class CrowdService:
    """How soon a crowd was served that switched on at one moment, for the summary."""

    nodes: int
    served_ms: tuple[float, ...]
    """For each node, from the switching on until it was told its prefix; sorted."""
    setup_ms: tuple[float, ...]
    """For each node, the gateway's attach event until its packets were forwarded; sorted."""

    @staticmethod
    def quantile(times_ms: Sequence[float], part: float) -> float:
        """The time within which that part of the nodes was done."""
        return times_ms[min(len(times_ms) - 1, int(part * len(times_ms)))]


@dataclass(slots=True)
class Findings:
    """What steps hand on to later ones and to the summary."""

    switched_on_at: float = 0.0
    """Seconds since 1970."""
    views: list[NodeView] = field(default_factory=list)
    """Of the node with the traffic: before, and after each handover or outage."""
    handovers: list[Handover] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    crowd: CrowdService | None = None
    traffic: TrafficResult | None = None
    tcp: TcpResult | None = None


@frozen
class Step:
    """One step to try."""

    name: str
    """Stable: programs read it."""
    action: Callable[[], Awaitable[Told]]
    is_verdict: bool = False
    """It only judges what is there: those after it are tried even if it fails."""


@frozen
class ScenarioScript:
    """A name and its steps."""

    name: str
    sentence: str
    """What it shows, for a person."""
    steps: Callable[[RunningLab, Findings], Sequence[Step]]
    plan: LabPlan = USUAL
    takes_crowd: bool = False
    """Whether any number of nodes may be there beside the usual ones."""


async def tried(steps: Sequence[Step]) -> AsyncIterator[StepResult]:
    """Try the steps in order; what builds on a step that failed is not tried."""
    for step in steps:
        started = time.monotonic()
        try:
            told, ok = await step.action(), True
        except (StepFailed, LabError, UnixHttpError) as error:
            told, ok = Told(str(error)), False
        spent_ms = (time.monotonic() - started) * 1000
        yield StepResult(step.name, ok, spent_ms if told.ms is None else told.ms, told)
        if not ok and not step.is_verdict:
            return
