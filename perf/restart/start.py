"""A gateway starts over what an earlier one left: its journal, and a packet path that is equal."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from dataplane.contract.bench import LINKS, LMA_A, PROXY_COA
from dataplane.contract.kernel_bench import CORE, KernelBench
from mag.dataplane.base import (
    AccessLink,
    Dataplane,
    DataplaneError,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
    Record,
)
from mag.dataplane.kernel.backend import KernelDataplane
from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS, RESERVED_LINK_LOCAL_ADDRESS
from mag.protocol.stored_state import StateChange
from mag.services.journal.file import JournalFile
from mag.services.journal.opening import open_journal
from perf.control_plane.measurement import Measurement
from perf.control_plane.memory import resident_octets
from perf.fresh_process import in_fresh_process
from perf.restart.life import IN_MEMORY, Place, RememberingDataplane, live
from perf.restart.stalls import watch_stalls
from perf.restart.stored import attached_at
from perf.restart.targets import LONGEST_STALL_MS
from support.namespaces import namespace_pair

KERNEL: Final = Place(PROXY_COA, LMA_A, LINKS[0], CORE)
_TUNNEL_MTU: Final = 1460


@dataclass(frozen=True, slots=True)
class _Start:
    journal_s: float
    seconds: float
    cpu_seconds: float
    stall_ms: float
    resync_s: float
    resync_stall_ms: float
    octets: float
    """Of resident memory, for each binding."""


def measure_start_in_memory(bindings: int, repeats: int) -> Iterator[Measurement]:
    """From a journal to verified equal, on a packet path that answers at once."""
    with TemporaryDirectory(prefix="mag-perf-") as folder:
        journal = Path(folder, "journal.db")
        in_fresh_process(_fill, IN_MEMORY, journal, bindings)
        starts = [
            in_fresh_process(_start, IN_MEMORY, _Remembered(journal), journal, bindings)
            for _ in range(repeats)
        ]
    yield from _measurements("memory", starts)


def measure_start_on_kernel(bindings: int, repeats: int) -> Iterator[Measurement]:
    """The same on the kernel's packet path, in namespaces of the measurement's own.

    Before that once over an empty one: agent and packet path were lost together.
    """
    with TemporaryDirectory(prefix="mag-perf-") as folder, namespace_pair() as (gateway, world):
        bench = KernelBench(gateway, world)
        journal = Path(folder, "journal.db")
        path = _KernelPath(gateway)
        try:
            in_fresh_process(_fill, KERNEL, journal, bindings)
            put_back_s = in_fresh_process(_put_back, KERNEL, path, journal, bindings)
            starts = [
                in_fresh_process(_start, KERNEL, path, journal, bindings) for _ in range(repeats)
            ]
        finally:
            bench.close()
    yield Measurement("kernel_put_back_s", "s", [put_back_s])
    yield from _measurements("kernel", starts)


def _measurements(path: str, starts: Sequence[_Start]) -> Iterator[Measurement]:
    yield Measurement(f"{path}_journal_read_s", "s", [each.journal_s for each in starts])
    yield Measurement(f"{path}_verified_equal_s", "s", [each.seconds for each in starts])
    yield Measurement(f"{path}_verified_equal_cpu_s", "s", [each.cpu_seconds for each in starts])
    yield Measurement(f"{path}_start_stall_ms", "ms", [each.stall_ms for each in starts])
    yield Measurement(f"{path}_resync_s", "s", [each.resync_s for each in starts])
    stalls = [each.resync_stall_ms for each in starts]
    yield Measurement(f"{path}_resync_stall_ms", "ms", stalls, LONGEST_STALL_MS)
    yield Measurement(f"{path}_octets_per_binding", "octets", [each.octets for each in starts])


@dataclass(frozen=True, slots=True)
class _KernelPath:
    """Makes the packet path of a namespace; crosses to another process."""

    namespace: str

    def __call__(self) -> Dataplane:
        return KernelDataplane(PROXY_COA, (CORE,), netns=self.namespace)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Makes a packet path that has what a journal says."""

    journal: Path

    def __call__(self) -> Dataplane:
        opened = open_journal(self.journal, IN_MEMORY.proxy_care_of_address, 1)
        if opened.file is not None:
            opened.file.close()
        if opened.lock is not None:
            opened.lock.release()
        records: list[Record] = [
            MobileNodeForwarding(
                each.binding_id,
                each.home_network_prefixes,
                each.attachment.access_interface,
                each.attachment.mn_link_layer_id,
                each.lma_address,
            )
            for each in opened.state.bindings
        ]
        tunnel = LmaTunnel(IN_MEMORY.proxy_care_of_address, IN_MEMORY.lma_address, _TUNNEL_MTU)
        link = AccessLink(
            IN_MEMORY.access_interface, RESERVED_LINK_LOCAL_ADDRESS, RESERVED_LINK_LAYER_ADDRESS
        )
        return RememberingDataplane([tunnel, link, *records])


class _Witness:
    """A packet path, and how many operations were asked of it."""

    def __init__(self, path: Dataplane) -> None:
        self._path = path
        self.open, self.close, self.status = path.open, path.close, path.status
        self.dump, self.take_stock = path.dump, path.take_stock
        self.counters = path.counters
        self.rebuild, self.losses = path.rebuild, path.losses
        self.operations = 0

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        """See Dataplane."""
        self.operations += len(operations)
        return await self._path.apply(operations)


def _fill(place: Place, path: Path, bindings: int) -> None:
    """A journal as a gateway leaves it whose nodes attached a moment ago."""
    kept, marks = attached_at(time.time(), bindings)
    here = {
        binding.binding_id: replace(
            binding,
            lma_address=place.lma_address,
            attachment=replace(binding.attachment, access_interface=place.access_interface),
        )
        for binding in kept
    }
    journal = JournalFile.open(path)
    journal.begin(place.proxy_care_of_address, 1)
    journal.write(StateChange(here, marks))
    journal.close()


def _put_back(place: Place, make: Callable[[], Dataplane], journal: Path, bindings: int) -> float:
    return asyncio.run(_put_back_with(place, _Witness(make()), journal, bindings))


async def _put_back_with(place: Place, path: _Witness, journal: Path, bindings: int) -> float:
    async with live(place, path, journal) as life:
        if path.operations < bindings:
            raise RuntimeError(f"{path.operations} operations: the packet path was not empty")
        return life.started_s


def _start(place: Place, make: Callable[[], Dataplane], journal: Path, bindings: int) -> _Start:
    return asyncio.run(_start_with(place, _Witness(make()), journal, bindings))


async def _start_with(place: Place, path: _Witness, journal: Path, bindings: int) -> _Start:
    before = resident_octets()
    async with contextlib.AsyncExitStack() as gateway:
        async with watch_stalls() as at_start:
            life = await gateway.enter_async_context(live(place, path, journal))
        if len(life.gateway.core.binding_update_list) != bindings or path.operations:
            raise RuntimeError(f"{path.operations} operations: the start did not find all equal")
        octets = (resident_octets() - before) / bindings
        async with watch_stalls() as at_resync:
            begun = time.monotonic()
            await path.open()
            await life.gateway.reconciler.resync()
            resync_s = time.monotonic() - begun
        return _Start(
            life.journal_opened_s,
            life.started_s,
            life.started_cpu_s,
            at_start.longest_ms,
            resync_s,
            at_resync.longest_ms,
            octets,
        )
