"""Bindings come, change and go while others carry full traffic: the others must lose nothing."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import Final

from mag.dataplane.vpp.client import VppClient
from perf.dataplane.bindings import DELETE, ENSURE, Operation, binding_messages, send
from perf.dataplane.frames import MobileNodes
from perf.dataplane.own import Own
from perf.dataplane.path import Arm, Lane, make_lane
from perf.dataplane.runtime import GENERATOR, NodeRuntime, parse_runtime
from perf.dataplane.vpp_process import WORKER_THREAD, VppProcess, VppSettings

BINDS_PER_SECOND: Final = 1_000
_TICK_S: Final = 0.01
_PER_TICK: Final = int(BINDS_PER_SECOND * _TICK_S)
_MOST_COMING_AND_GOING: Final = 1_000
"""Beside those with traffic, within the spare room that VPP is started with."""
_UPDATE_PERCENTILE: Final = 0.99


@dataclass(frozen=True, slots=True)
class ChurnResult:
    """What the bindings that stayed noticed of those that did not."""

    bindings: int
    """With traffic, both ways, from first to last."""
    seconds: float
    bound: int
    replaced: int
    deleted: int
    binds_per_s: float
    generated: int
    lost: int
    """Of the packets generated; every one belongs to a binding that stayed."""
    update_p99_ms: float
    """Of one API message with the churn of a hundredth of a second."""

    @property
    def is_good(self) -> bool:
        """Nothing lost, and the rate was kept up."""
        return self.lost == 0 and self.binds_per_s >= 0.95 * BINDS_PER_SECOND


def measure_churn(settings: VppSettings, seconds: float) -> ChurnResult:
    """Churn under traffic for so long. Raises VppProcessError, also when VPP dies of it."""
    nodes = MobileNodes(settings.bindings)
    with VppProcess(settings) as vpp:
        lane = make_lane(vpp, 0)
        arms = [arm for arm in Own().install(vpp, lane, nodes) if arm.stream != "own-down-limit"]
        vpp.cli("clear runtime")
        for arm in arms:
            vpp.cli(f"packet-generator enable-stream {arm.stream}")
        begun = time.monotonic()
        bound, latencies = asyncio.run(_churn(vpp, lane, nodes.count, seconds))
        took = time.monotonic() - begun
        for arm in arms:
            vpp.cli(f"packet-generator disable-stream {arm.stream}")
        runtime = parse_runtime(vpp.cli("show runtime"))[WORKER_THREAD]
    generated, delivered = _packets(runtime, arms)
    return ChurnResult(
        nodes.count,
        took,
        bound,
        bound,
        max(0, bound - _MOST_COMING_AND_GOING),
        bound / took,
        generated,
        generated - delivered,
        1000 * sorted(latencies)[int(_UPDATE_PERCENTILE * (len(latencies) - 1))],
    )


def _packets(runtime: list[NodeRuntime], arms: list[Arm]) -> tuple[int, int]:
    transmits = {f"{arm.egress}-tx" for arm in arms}
    generated = sum(node.vectors for node in runtime if node.name == GENERATOR)
    return generated, sum(node.vectors for node in runtime if node.name in transmits)


async def _churn(
    vpp: VppProcess, lane: Lane, first: int, seconds: float
) -> tuple[int, list[float]]:
    """Bind, replace and delete nodes from the first on; how many, and seconds of each message."""
    client = VppClient(str(vpp.api_socket), name="mag-perf-churn")
    access = (await asyncio.to_thread(vpp.interface, lane.access)).sw_if_index
    await client.connect()
    latencies: list[float] = []
    bound = 0
    begun = time.monotonic()
    try:
        for tick in itertools.count(1):
            for which, operation in _steps(first, bound):
                latencies.append(await _update(client, which, access, operation))
            bound += _PER_TICK
            now = time.monotonic() - begun
            if now >= seconds:
                break
            await asyncio.sleep(max(0.0, tick * _TICK_S - now))
    finally:
        await client.close()
    return bound, latencies


def _steps(first: int, bound: int) -> list[tuple[range, Operation]]:
    new = range(first + bound, first + bound + _PER_TICK)
    steps = [(new, ENSURE), (new, ENSURE)]
    if bound >= _MOST_COMING_AND_GOING:
        oldest = first + bound - _MOST_COMING_AND_GOING
        steps.append((range(oldest, oldest + _PER_TICK), DELETE))
    return steps


async def _update(client: VppClient, which: range, sw_if_index: int, operation: Operation) -> float:
    begun = time.monotonic()
    nodes = MobileNodes(which.stop)
    for body in binding_messages(nodes, which, sw_if_index, operation):
        await send(client, body)
    return time.monotonic() - begun
