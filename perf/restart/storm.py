"""What a journal costs while nodes attach as fast as they can."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perf.control_plane.measurement import Measurement
from perf.fresh_process import in_fresh_process
from perf.restart.life import IN_MEMORY, RememberingDataplane, attach, live
from perf.restart.targets import RATE_KEPT


@dataclass(frozen=True, slots=True)
class _Storm:
    seconds: float
    cpu_seconds: float
    rows: int = 0
    transactions: int = 0
    file_octets: int = 0
    late: int = 0
    """Waits for the disk that were given up."""


def measure_storm(bindings: int, folder: Path | None) -> Iterator[Measurement]:
    """Attach storms without and with a journal; all by the wall clock but the last.

    folder: on the disk to measure; None for that of temporary files.
    """
    without = in_fresh_process(_storm, bindings, None)
    with TemporaryDirectory(prefix="mag-perf-", dir=folder) as name:
        written = in_fresh_process(_storm, bindings, Path(name, "journal.db"))
    bare_rate, rate = bindings / without.seconds, bindings / written.seconds
    yield Measurement("attaches_without_journal_per_s", "1/s", [bare_rate])
    yield Measurement("attaches_with_journal_per_s", "1/s", [rate])
    yield Measurement("attach_rate_kept", "", [rate / bare_rate], RATE_KEPT)
    yield Measurement("journal_rows_per_s", "1/s", [written.rows / written.seconds])
    yield Measurement("journal_transactions_per_s", "1/s", [written.transactions / written.seconds])
    yield Measurement("journal_octets_per_binding", "octets", [written.file_octets / bindings])
    yield Measurement("journal_waits_given_up", "", [written.late])
    cpu = 1e6 * (written.cpu_seconds - without.cpu_seconds) / bindings
    yield Measurement("journal_cpu_per_binding", "us", [cpu])


def _storm(bindings: int, journal: Path | None) -> _Storm:
    return asyncio.run(_storm_on(bindings, journal))


async def _storm_on(bindings: int, journal: Path | None) -> _Storm:
    async with live(IN_MEMORY, RememberingDataplane(), journal) as life:
        begun, cpu_begun = time.monotonic(), time.process_time()
        await attach(life.gateway, IN_MEMORY.access_interface, bindings)
        await life.gateway.journal.written()
        seconds, cpu_seconds = time.monotonic() - begun, time.process_time() - cpu_begun
        if journal is None or life.journal is None:
            return _Storm(seconds, cpu_seconds)
        octets = sum(each.stat().st_size for each in journal.parent.glob(f"{journal.name}*"))
        written = life.journal
        return _Storm(
            seconds, cpu_seconds, written.rows, written.writes, octets, written.failures["late"]
        )
