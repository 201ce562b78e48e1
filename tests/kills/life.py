"""One life of the gateway process: it starts, comes to rest, and then nodes come, move and go."""

import asyncio
import logging
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from kills.outside import Served
from mag.config.model import Configuration
from mag.daemon.gateway import Gateway
from mag.dataplane.base import (
    DataplaneCounters,
    DataplaneError,
    DataplaneStatus,
    ForwardingState,
    MobileNodeForwarding,
    Operation,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import TICKS_PER_S, TIMESTAMP_BLOCK_TICKS, OrderingMarks
from mag.protocol.registration import RegistrationState
from mag.protocol.stored_state import StateChange
from mag.services.journal.binding_journal import BindingJournal
from mag.services.journal.file import JournalFile
from mag.services.journal.opening import open_journal
from mag.wire.iana import MobilityHeaderType
from support.fake_adapters import (
    LMA_ADDRESS,
    MH_TYPE_OFFSET,
    PROXY_CARE_OF_ADDRESS,
    FakeTransport,
    FakeWorld,
    configuration,
)

NODES = 8
LINKS = ("access1", "access2")
REST_S = 30.0
START_S = TIMESTAMP_BLOCK_TICKS / TICKS_PER_S
"""What a start of the process takes, at least."""
LOOK_S = 0.001
LOOKS = 3
"""In a row: what an answer sets in motion takes some turns of the loop."""
PATIENT_S = 60.0
"""For the journal: on a busy machine too, nothing is sent before it has it."""
MOST_TURNS = 4
"""Of the loop between two things that nodes do: some then meet what is still under way."""
TIMERS = "protocol: {initial_bindack_timeout_s: 0.1, max_bindack_timeout_s: 0.2}\n"


class Remote:
    """Asks the world, which may end us at any question."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, what: str, *arguments: Any) -> Any:
        """Returns when it has been carried out."""
        with self._lock:
            self._connection.send((what, arguments))
            return self._connection.recv()


class RemoteDataplane:
    """Implements Dataplane over the packet path outside."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def open(self) -> None:
        self._remote("open")

    async def rebuild(self) -> None:
        self._remote("open")

    async def losses(self, *left: object) -> Sequence[str]:
        return []

    async def close(self, *, remove: bool) -> None:
        pass

    async def dump(self) -> ForwardingState:
        state: ForwardingState = self._remote("dump")
        return state

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        return await self.dump()

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        return [self._remote("operate", operation) for operation in operations]

    async def counters(self) -> DataplaneCounters:
        return DataplaneCounters()

    async def status(self) -> DataplaneStatus:
        return DataplaneStatus("kills", "0")


class RemoteTransport(FakeTransport):
    """To the LMA outside, whose answers are fetched a turn of the loop later."""

    def __init__(self, world: FakeWorld, remote: Remote) -> None:
        super().__init__(world.lma)
        self._remote = remote

    def send(self, data: bytes, destination: Any, next_header: Any = None) -> bool:
        if data[MH_TYPE_OFFSET] != MobilityHeaderType.HEARTBEAT:
            self._remote("update", data)
            asyncio.get_running_loop().call_soon(self._fetch)
        return True

    def _fetch(self) -> None:
        for answer in self._remote("answers"):
            self._hand_on(answer, LMA_ADDRESS)


class WatchedFile:
    """The journal's file, with the world looking on."""

    def __init__(self, file: JournalFile, remote: Remote) -> None:
        self.file = file
        self._remote = remote

    def write(self, change: StateChange) -> None:
        self._remote("commit")
        self.file.write(change)
        self._remote("committed")

    def close(self) -> None:
        self.file.close()


def live(connection: Connection, path: Path, seed: str, start: int, fault: str) -> None:
    """Until it is killed, or `remote` has no more to ask of it. fault: one of FAULTS, or none."""
    remote = Remote(connection)
    try:
        set_clock_ahead(start * START_S)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        with FAULTS[fault]():
            asyncio.run(_live(remote, path, random.Random(seed), start))
    except BaseException:
        remote("failed", traceback.format_exc())


def set_clock_ahead(seconds: float) -> None:
    """Of this process; timestamps must not gain on the clock for starts that take no time."""
    clock = time.time
    time.time = lambda: clock() + seconds


async def _live(remote: Remote, path: Path, rng: random.Random, start: int) -> None:
    opened = open_journal(path, PROXY_CARE_OF_ADDRESS, start)
    assert opened.file is not None
    settings = _configuration()
    world = FakeWorld(settings)
    world.transport = RemoteTransport(world, remote)
    world.dataplane = RemoteDataplane(remote)  # type: ignore[assignment]
    core = MobileAccessGateway(
        settings.protocol_settings(),
        settings.lma_settings(),
        rng,
        restart_counter=opened.state.restart_counter,
        marks=opened.state.marks,
    )
    ids = (binding.binding_id for binding in opened.state.bindings)
    journal = BindingJournal(
        path,
        WatchedFile(opened.file, remote),  # type: ignore[arg-type]
        reopen=opened.reopen,
        highest_id=max(ids, default=0),
        patience_s=PATIENT_S,
    )
    async with asyncio.TaskGroup() as tasks:
        gateway = Gateway(
            settings, core, world.adapters(), tasks, journal=journal, earlier=opened.state
        )
        await gateway.open()
        await _rest(gateway)
        is_last = remote("at_rest", _bindings(gateway))
        while not is_last:
            _something_happens(gateway, world, rng)
            for _ in range(rng.randrange(MOST_TURNS)):
                await asyncio.sleep(0)
        await gateway.close()
    remote("left", len(core.binding_update_list))


def _configuration() -> Configuration:
    nodes = "".join(
        f"    mn{number}@example.net:"
        f' {{lma: lma1, link_layer_addresses: ["{_mac(number).hex(":")}"]}}\n'
        for number in range(NODES)
    )
    text = (
        f"identity: mag1\nproxy_care_of_address: {PROXY_CARE_OF_ADDRESS}\n"
        f"lmas: {{lma1: {{address: {LMA_ADDRESS}}}}}\n"
        f"access_links: {{{', '.join(f'{link}: {{presence: link_layer}}' for link in LINKS)}}}\n"
        f"policy:\n  nodes:\n{nodes}dataplane: {{core_interfaces: [core]}}\n{TIMERS}"
    )
    return configuration(text.encode())


def _mac(number: int) -> bytes:
    return bytes((2, 0, 0, 0, 0, number))


def _something_happens(gateway: Gateway, world: FakeWorld, rng: random.Random) -> None:
    mac = _mac(rng.randrange(NODES))
    link = rng.choice(LINKS)
    if rng.random() < 0.7:
        world.ports[link].frame(mac)
        return
    entry = gateway.core.binding_update_list.by_link(link, mac)
    # Ended twice, a binding is given up without its LMA, which then may keep it after a kill.
    if entry is not None and entry.state is not RegistrationState.DEREGISTERING:
        end = rng.choice((gateway.core.detach, gateway.core.clear))
        end(entry.binding_id, gateway.pump.now())
        gateway.pump.wake()


async def _rest(gateway: Gateway) -> None:
    """Until nothing is under way; nodes keep silent meanwhile."""
    bindings = gateway.core.binding_update_list
    looks = 0
    async with asyncio.timeout(REST_S):
        while looks < LOOKS:
            await gateway.journal.written()
            await asyncio.sleep(LOOK_S)
            is_settled = gateway.reconciler.dirty_count == 0 and all(
                entry.state is RegistrationState.ACTIVE and entry.is_forwarding
                for entry in bindings
            )
            looks = looks + 1 if is_settled else 0


def _bindings(gateway: Gateway) -> dict[int, Served]:
    return {
        entry.binding_id: Served(
            entry.mn_id,
            entry.home_network_prefixes,
            entry.attachment.access_interface,
            entry.mn_link_layer_id,
        )
        for entry in gateway.core.binding_update_list
    }


# Gateways that break a promise: what a run must find.


@contextmanager
def _replaced(owner: Any, name: str, other: Any) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def _wire_before_journal() -> Any:
    return _replaced(BindingJournal, "when_written", lambda journal, callback: callback())


def _ends_not_journalled() -> Any:
    write = JournalFile.write

    def write_what_is_there(file: JournalFile, change: StateChange) -> None:
        there = {key: binding for key, binding in change.bindings.items() if binding is not None}
        write(file, StateChange(there, change.marks, change.lma_restart_counters))

    return _replaced(JournalFile, "write", write_what_is_there)


def _numbers_from_the_start() -> Any:
    load = JournalFile.load

    def load_with_old_marks(file: JournalFile, owner: Any) -> Any:
        state = load(file, owner)
        if state is not None:
            object.__setattr__(state, "marks", OrderingMarks(1, 0))
        return state

    return _replaced(JournalFile, "load", load_with_old_marks)


def _packet_path_not_looked_at() -> Any:
    async def leave_it(gateway: Gateway) -> None:
        for record in (await gateway.dataplane.dump()).mobile_nodes.values():
            gateway.reconciler._actual[record.key] = record
            gateway.reconciler._mark(record.key)

    return _replaced(Gateway, "_take_over_packet_path", leave_it)


@contextmanager
def _none() -> Iterator[None]:
    yield


FAULTS: Mapping[str, Callable[[], Any]] = {
    "": _none,
    "wire before journal": _wire_before_journal,
    "ends not journalled": _ends_not_journalled,
    "numbers from the start": _numbers_from_the_start,
    "bindings forgotten": lambda: _replaced(Gateway, "_restore", lambda gateway: asyncio.sleep(0)),
}
