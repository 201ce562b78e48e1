"""Another configuration for a gateway with many sessions: how long its loop stands still."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mag.daemon.reload import Reload
from perf.control_plane.measurement import Measurement
from perf.fresh_process import in_fresh_process
from perf.restart.life import IN_MEMORY, RememberingDataplane, attach, live
from perf.restart.stalls import watch_stalls
from perf.restart.targets import LONGEST_STALL_MS

CHANGES: Final[Mapping[str, str]] = {
    "of_nobody": "log: {level: warning}\n",
    "of_all": "router_advertisement: {max_interval_s: 500}\n",
}
"""Further keys of the configuration file, by whom they concern."""


def measure_reload(bindings: int) -> Iterator[Measurement]:
    """A plan and a reload of each change: seconds, and the longest stall of the loop."""
    for name, change in CHANGES.items():
        for verb, (seconds, stall_ms) in in_fresh_process(_reload, bindings, change).items():
            yield Measurement(f"{verb}_{name}_s", "s", [seconds])
            yield Measurement(f"{verb}_{name}_stall_ms", "ms", [stall_ms], LONGEST_STALL_MS)


def _reload(bindings: int, change: str) -> dict[str, tuple[float, float]]:
    """Seconds and milliseconds, by verb."""
    with TemporaryDirectory(prefix="mag-perf-") as folder:
        file = Path(folder, "mag.yaml")
        file.write_bytes(IN_MEMORY.text(change))
        return asyncio.run(_reload_with(bindings, file, file.read_bytes()))


async def _reload_with(bindings: int, file: Path, octets: bytes) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    async with live(IN_MEMORY, RememberingDataplane(), None) as life:
        await attach(life.gateway, IN_MEMORY.access_interface, bindings)
        reload = Reload(life.gateway, file)
        verbs = {"plan": lambda: reload.plan(octets, str(file)), "reload": reload.reload}
        for verb, carry_out in verbs.items():
            async with watch_stalls() as stalls:
                begun = time.monotonic()
                await carry_out()
                seconds = time.monotonic() - begun
            found[verb] = seconds, stalls.longest_ms
    return found
