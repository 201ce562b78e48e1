"""Another configuration for a gateway with many sessions: how long its loop stands still."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from functools import partial
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
    "of_all": "log: {level: warning}\nrouter_advertisement: {max_interval_s: 500}\n",
}
"""Further keys of the configuration file, by whom they concern."""


def measure_reload(bindings: int) -> Iterator[Measurement]:
    """A plan and a reload of each change, of one gateway: seconds, and the longest stall."""
    for name, (seconds, stall_ms) in in_fresh_process(_reload, bindings).items():
        yield Measurement(f"{name}_s", "s", [seconds])
        yield Measurement(f"{name}_stall_ms", "ms", [stall_ms], LONGEST_STALL_MS)


def _reload(bindings: int) -> dict[str, tuple[float, float]]:
    """Seconds and milliseconds, by verb and change."""
    with TemporaryDirectory(prefix="mag-perf-") as folder:
        return asyncio.run(_reload_with(bindings, Path(folder, "mag.yaml")))


async def _reload_with(bindings: int, file: Path) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    async with live(IN_MEMORY, RememberingDataplane(), None) as life:
        await attach(life.gateway, IN_MEMORY.access_interface, bindings)
        reload = Reload(life.gateway, file)
        for name, change in CHANGES.items():
            octets = IN_MEMORY.text(change)
            await asyncio.to_thread(file.write_bytes, octets)
            plan = partial(reload.plan, octets, str(file))
            for verb, carry_out in {"plan": plan, "reload": reload.reload}.items():
                async with watch_stalls() as stalls:
                    begun = time.monotonic()
                    await carry_out()
                    seconds = time.monotonic() - begun
                found[f"{verb}_{name}"] = seconds, stalls.longest_ms
    return found
