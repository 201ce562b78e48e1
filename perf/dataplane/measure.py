"""Slices of traffic through each path in turn, and what becomes of a slice.

All arms are visited in some order, then in that order turned round (A B C, C B A): a machine that
gets slower or faster meanwhile does so for all of them. The order is drawn anew every other visit,
since an arm that always follows another one finds what that one left in the caches.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from perf.dataplane.path import FULL_FRAME, Arm
from perf.dataplane.ratio import Ratio, paired_ratio
from perf.dataplane.runtime import PathCost, parse_runtime, path_cost
from perf.dataplane.vpp_process import WORKER_CORE, WORKER_THREAD, VppProcess
from perf.dataplane.worker_time import LostTime

MOST_PAIRS: Final = 200
TOLERATED_LOSS_OF_TIME: Final = 0.01
"""Share of a slice that the worker may be without its core."""
_LEAST_FRAME_FILL: Final = 250 / FULL_FRAME
_WARM_UP_PASSES: Final = 2
_LONGEST_WARM_UP_S: Final = 10.0
_LEAD_IN: Final = 0.2
"""Share of a slice's time that goes before it, uncounted: caches still hold another arm's data."""
_SEED: Final = 5213


@dataclass(frozen=True, slots=True)
class Slice:
    """One arm's traffic for a moment."""

    arm: str
    seconds: float
    cost: PathCost
    rejected: str = ""
    """Why it must not be compared; empty if it may."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms whose costs are put in relation."""

    subject: str
    reference: str
    target: float | None = None
    """The ratio must not be above it."""


Visit = dict[str, Slice]
"""One slice of each arm, measured one after the other."""


def run_slice(vpp: VppProcess, arm: Arm, seconds: float) -> Slice:
    """Switch a stream on for so long and read what its packets cost."""
    tid = vpp.worker_tid()
    vpp.cli(f"packet-generator enable-stream {arm.stream}")
    try:
        time.sleep(_LEAD_IN * seconds)
        before = LostTime.of_thread(vpp.pid, tid, WORKER_CORE)
        begun = time.monotonic()
        vpp.cli("clear runtime")
        time.sleep(seconds)
    finally:
        vpp.cli(f"packet-generator disable-stream {arm.stream}")
    took = time.monotonic() - begun
    lost = LostTime.of_thread(vpp.pid, tid, WORKER_CORE).since(before) / 1e9
    cost = path_cost(parse_runtime(vpp.cli("show runtime"))[WORKER_THREAD], arm.egress)
    return Slice(arm.name, took, cost, rejection(cost, arm.frame_limit, lost / took))


def rejection(cost: PathCost, frame_limit: int, lost_share: float) -> str:
    """Why a slice must not be compared; empty if it may.

    Costs at different frame sizes are not comparable, and a packet that is dropped is cheap.
    """
    if cost.delivered != cost.generated:
        return "packets lost"
    if cost.vectors_per_call < _LEAST_FRAME_FILL * frame_limit:
        return "small frames"
    if lost_share > TOLERATED_LOSS_OF_TIME:
        return "core lost"
    return ""


def warm_up(vpp: VppProcess, arms: Sequence[Arm], bindings: int) -> None:
    """Two passes of each arm over all its packets."""
    for arm in arms:
        remaining = _WARM_UP_PASSES * bindings
        deadline = time.monotonic() + _LONGEST_WARM_UP_S
        while remaining > 0 and time.monotonic() < deadline:
            remaining -= run_slice(vpp, arm, 0.1).cost.generated


def visits(
    vpp: VppProcess,
    arms: Sequence[Arm],
    comparisons: Sequence[Comparison],
    *,
    slice_s: float,
    pairs: int,
    stop: Callable[[], bool],
) -> Iterator[Visit]:
    """Visit all arms until so many pairs of each comparison are good and their intervals narrow.

    It gives up after 200 visits, or when stop says so.
    """
    seen: list[Visit] = []
    order = list(arms)
    shuffle = random.Random(_SEED).shuffle  # noqa: S311
    while len(seen) < MOST_PAIRS and not stop():
        if len(seen) % 2 == 0:
            shuffle(order)
        else:
            order.reverse()
        seen.append({arm.name: run_slice(vpp, arm, slice_s) for arm in order})
        yield seen[-1]
        if len(seen) >= pairs and len(seen) % 10 == 0 and is_settled(seen, comparisons, pairs):
            return


def is_settled(seen: Sequence[Visit], comparisons: Sequence[Comparison], pairs: int) -> bool:
    """Whether every comparison has so many good pairs and an interval that can decide."""
    for comparison in comparisons:
        good = good_pairs(seen, comparison)
        if len(good) < pairs or not paired_ratio(good).is_decisive:
            return False
    return True


def good_pairs(seen: Sequence[Visit], comparison: Comparison) -> list[tuple[float, float]]:
    """Costs of subject and reference from visits in which both slices may be compared."""
    return [
        (visit[comparison.subject].cost.clocks_per_packet, reference.cost.clocks_per_packet)
        for visit in seen
        if not visit[comparison.subject].rejected
        and not (reference := visit[comparison.reference]).rejected
    ]


def compare(seen: Sequence[Visit], comparison: Comparison) -> Ratio | None:
    """The ratio; None when no pair of slices was good."""
    good = good_pairs(seen, comparison)
    return paired_ratio(good) if good else None
