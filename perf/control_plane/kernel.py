"""How fast the kernel's packet path takes bindings, in namespaces of the measurement's own."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv6Network
from typing import Final

from dataplane.contract.bench import ACCESS_LINKS, LMA_A, TUNNELS
from dataplane.contract.kernel_bench import KernelBench
from mag.dataplane.base import DataplaneError, Ensure, MobileNodeForwarding, Operation, Remove
from mag.dataplane.kernel.backend import KernelDataplane
from perf.control_plane.measurement import Measurement
from perf.control_plane.nodes import mac
from perf.control_plane.targets import KERNEL_BINDINGS_PER_S
from perf.control_plane.template_lma import POOL
from support.namespaces import namespace_pair

_HERE, _THERE = (link.interface for link in ACCESS_LINKS)
_BASE: Final = int(POOL.network_address)


def measure_kernel(bindings: int, repeats: int) -> Iterator[Measurement]:
    """Bindings per second by the wall clock: added, moved to another link, read, removed.

    Raises DataplaneError if the kernel refuses one.
    """
    runs = [asyncio.run(_run(bindings)) for _ in range(repeats)]
    for what in ("added", "moved", "read", "removed"):
        samples = [bindings / run[what] for run in runs]
        target = KERNEL_BINDINGS_PER_S if what == "added" else None
        yield Measurement(f"kernel_{what}_per_s", "1/s", samples, target)


async def _run(bindings: int) -> dict[str, float]:
    """Seconds each."""
    records = [
        MobileNodeForwarding(
            binding_id=number + 1,
            home_network_prefixes=(IPv6Network((_BASE + (number << 64), 64)),),
            access_interface=_HERE,
            mn_link_layer_address=mac(number),
            lma_address=LMA_A,
        )
        for number in range(bindings)
    ]
    moved = [replace(record, access_interface=_THERE) for record in records]
    with namespace_pair() as (gateway, world):
        bench = KernelBench(gateway, world)
        path = bench.dataplane
        try:
            await path.open()
            await _apply(path, [Ensure(record) for record in (*TUNNELS, *ACCESS_LINKS)])
            seconds = {
                "added": await _apply(path, [Ensure(record) for record in records]),
                "moved": await _apply(path, list(map(Ensure, moved, records))),
            }
            begun = time.monotonic()
            found = await path.dump()
            seconds["read"] = time.monotonic() - begun
            if dict(found.mobile_nodes) != {record.key: record for record in moved}:
                raise DataplaneError("dump", "the kernel does not have what was asked for")
            seconds["removed"] = await _apply(path, [Remove(record) for record in moved])
        finally:
            await path.close(remove=False)
            bench.close()
    return seconds


async def _apply(path: KernelDataplane, operations: Sequence[Operation]) -> float:
    begun = time.monotonic()
    outcomes = await path.apply(operations)
    seconds = time.monotonic() - begun
    for error in outcomes:
        if error is not None:
            raise error
    return seconds
