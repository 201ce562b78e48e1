"""All paths of one size in one VPP: installed, warmed up, measured in turn."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from perf.dataplane.frames import MobileNodes
from perf.dataplane.measure import Comparison, Visit, visits, warm_up
from perf.dataplane.own import Own
from perf.dataplane.path import Arm, ForwardingPath, make_lane
from perf.dataplane.plain_forwarding import PlainForwarding
from perf.dataplane.plain_route import PlainRoute
from perf.dataplane.svs_ipip import SvsIpip
from perf.dataplane.targets import comparisons
from perf.dataplane.vpp_process import VppProcess, VppSettings

PROGRESS_EVERY: Final = 10

Say = Callable[[str], None]
"""Told of progress."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    slice_s: float
    pairs: int
    """Good pairs of slices that each ratio takes at least."""
    longest_s: float
    """For the slices of one size, whatever they say by then."""


@dataclass(frozen=True, slots=True)
class SizeResult:
    """What was measured with so many bindings."""

    bindings: int
    arms: Sequence[str]
    visits: Sequence[Visit]
    comparisons: Sequence[Comparison]


def measure_size(settings: VppSettings, nodes: MobileNodes, effort: Effort, say: Say) -> SizeResult:
    """Every path with a binding for each node; ours if there is a plugin.

    Raises VppProcessError.
    """
    with VppProcess(settings) as vpp:
        arms = _install(vpp, nodes, say)
        wanted = comparisons([arm.name for arm in arms], nodes.count)
        warm_up(vpp, arms, nodes.count)
        deadline = time.monotonic() + effort.longest_s
        seen: list[Visit] = []
        for visit in visits(
            vpp,
            arms,
            wanted,
            slice_s=effort.slice_s,
            pairs=effort.pairs,
            stop=lambda: time.monotonic() > deadline,
        ):
            seen.append(visit)
            if len(seen) % PROGRESS_EVERY == 0:
                say(f"{nodes.count:,} bindings: {len(seen)} slices of each path")
    return SizeResult(nodes.count, [arm.name for arm in arms], seen, wanted)


def _install(vpp: VppProcess, nodes: MobileNodes, say: Say) -> list[Arm]:
    paths: list[ForwardingPath] = [SvsIpip(), PlainRoute(), PlainForwarding()]
    if vpp.settings.has_plugin:
        paths.insert(0, Own())
    arms: list[Arm] = []
    for number, path in enumerate(paths):
        begun = time.monotonic()
        arms += path.install(vpp, make_lane(vpp, number), nodes)
        say(f"{nodes.count:,} bindings: {path.name} is up in {time.monotonic() - begun:.1f} s")
    return arms
