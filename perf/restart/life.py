"""One life of a gateway: the whole daemon, over a real journal or none, until it is killed."""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

import structlog

from mag.config.loader import parse
from mag.config.model import AttachTrigger, Configuration
from mag.daemon.garbage import short_searches
from mag.daemon.gateway import Gateway
from mag.dataplane.base import (
    AccessLink,
    Dataplane,
    DataplaneCounters,
    DataplaneError,
    DataplaneStatus,
    Ensure,
    ForwardingState,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
    Record,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.services.journal.binding_journal import BindingJournal
from mag.services.journal.opening import open_journal
from mag.services.mobility_transport import ReceiveError, ReceiveMessage
from mag.wire.iana import MobilityHeaderType
from perf.control_plane.core import AT_ONCE
from perf.control_plane.memory import ForgetfulPort
from perf.control_plane.nodes import mac, mn_id
from perf.control_plane.template_lma import TemplateLma
from support.fake_adapters import FakeWorld

_MH_TYPE_OFFSET: Final = 2
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses and links that a packet path gives the gateway."""

    proxy_care_of_address: IPv6Address
    lma_address: IPv6Address
    access_interface: str
    core_interface: str

    def text(self, more: str = "") -> bytes:
        """A configuration file that serves everybody; `more`: further top-level keys."""
        return (
            f"proxy_care_of_address: {self.proxy_care_of_address}\n"
            f"lmas: {{lma1: {{address: '{self.lma_address}', updates_per_s: 1000000, "
            f"update_burst: 1000000}}}}\n"
            f"access_links: {{{self.access_interface}: {{}}}}\n"
            "policy: {default: {lma: lma1}}\n"
            f"dataplane: {{core_interfaces: [{self.core_interface}]}}\n"
            "shutdown: {policy: keep}\n"
            f"{more}"
        ).encode()

    def configuration(self) -> Configuration:
        """The same, read."""
        return parse(self.text(), "perf.yaml")


IN_MEMORY: Final = Place(
    IPv6Address("2001:db8:0:a::1"), IPv6Address("2001:db8:0:b::1"), "access", "core"
)


class CountingTransport:
    """Carries updates to an LMA that accepts everything; keeps none."""

    received = lost = send_failures = 0
    is_congested = False

    def __init__(self, place: Place) -> None:
        self.discarded: Counter[str] = Counter()
        self.updates = 0
        self._lma_address = place.lma_address
        self._lma = TemplateLma(place.lma_address, place.proxy_care_of_address)
        self._receive: ReceiveMessage | None = None

    def open(self, receive: ReceiveMessage, receive_error: ReceiveError) -> None:
        """See MobilityTransport; likewise below."""
        self._receive = receive

    def reach(self, lma_addresses: object) -> None:
        """Whoever it is."""

    def on_room(self, listener: object) -> None:
        """There is always room."""

    def catch_up(self) -> None:
        """Nothing waits."""

    def send(self, data: bytes, destination: IPv6Address, next_header: int) -> bool:
        if data[_MH_TYPE_OFFSET] == MobilityHeaderType.BINDING_UPDATE:
            self.updates += 1
            answer = self._lma.answer(data)
            asyncio.get_running_loop().call_soon(self._hand_on, answer)
        return True

    def close(self) -> None:
        self._receive = None

    def _hand_on(self, answer: bytes) -> None:
        if self._receive is not None:
            self._receive(answer, self._lma_address)


class RememberingDataplane:
    """A packet path in memory that is given what it has, as after a restart of the agent."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self._records: dict[object, Record] = {record.key: record for record in records}

    async def open(self) -> None:
        """See Dataplane; likewise below."""

    async def rebuild(self) -> None:
        pass

    async def losses(self, *left: object) -> Sequence[str]:
        return ()

    async def close(self, *, remove: bool) -> None:
        """Nothing to let go of."""

    async def dump(self) -> ForwardingState:
        return await asyncio.to_thread(self._state)

    def _state(self) -> ForwardingState:
        kept = self._records.values()
        return ForwardingState(
            {each.key: each for each in kept if isinstance(each, LmaTunnel)},
            {each.key: each for each in kept if isinstance(each, AccessLink)},
            {each.key: each for each in kept if isinstance(each, MobileNodeForwarding)},
        )

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        return await self.dump()

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        for operation in operations:
            if isinstance(operation, Ensure):
                self._records[operation.record.key] = operation.record
            else:
                self._records.pop(operation.record.key, None)
        return [None] * len(operations)

    async def counters(self) -> DataplaneCounters:
        return DataplaneCounters()

    async def status(self) -> DataplaneStatus:
        return DataplaneStatus("perf", "1")


@dataclass(frozen=True, slots=True)
class Life:
    """A gateway in service."""

    gateway: Gateway
    journal: BindingJournal | None
    transport: CountingTransport
    journal_opened_s: float
    """Of `started_s`."""
    started_s: float
    """From nothing until it serves, all bindings of its journal verified equal."""
    started_cpu_s: float


@contextlib.asynccontextmanager
async def live(place: Place, dataplane: Dataplane, journal: Path | None) -> AsyncIterator[Life]:
    """Start, serve, and be killed: the packet path stays, and the journal as far as it came."""
    logging_before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    world = FakeWorld(place.configuration())
    transport = CountingTransport(place)
    world.transport = transport
    world.ports = {name: ForgetfulPort(name) for name in world.ports}
    world.dataplane = dataplane
    settings = world.configuration.protocol_settings()
    rng = random.Random(1)  # noqa: S311 - the same spread in every run
    searches = contextlib.ExitStack()
    searches.enter_context(short_searches())
    begun, cpu_begun = time.monotonic(), time.process_time()
    opened = (
        await asyncio.to_thread(open_journal, journal, place.proxy_care_of_address, 1)
        if journal
        else None
    )
    opened_s = time.monotonic() - begun
    core = MobileAccessGateway(
        settings,
        world.configuration.lma_settings(),
        rng,
        restart_counter=opened.state.restart_counter if opened else 1,
        marks=opened.state.marks if opened else None,
    )
    written = opened.start() if opened else None
    tasks = asyncio.TaskGroup()
    await tasks.__aenter__()
    earlier = opened.state if opened else None
    gateway = Gateway(
        world.configuration, core, world.adapters(), tasks, journal=written, earlier=earlier
    )
    lock = opened.lock if opened else None
    del opened, earlier
    try:
        await gateway.open()
        started_s, cpu_s = time.monotonic() - begun, time.process_time() - cpu_begun
        yield Life(gateway, written, transport, opened_s, started_s, cpu_s)
    finally:
        await gateway.close()  # sessions are kept, as after a kill
        await tasks.__aexit__(None, None, None)
        if lock is not None:
            lock.release()
        searches.close()
        structlog.configure(**logging_before)


async def attach(gateway: Gateway, interface: str, bindings: int) -> None:
    """Nodes attach as fast as they are taken; returns when all are forwarded for."""
    for start in range(0, bindings, AT_ONCE):
        for number in range(start, min(start + AT_ONCE, bindings)):
            await gateway.attachments.attach(
                interface, mac(number), trigger=AttachTrigger.ADMIN, mn_id=mn_id(number)
            )
        await asyncio.sleep(0)
    entries = gateway.core.binding_update_list
    await until(lambda: len(entries) == bindings and all(each.is_forwarding for each in entries))


async def until(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError if it does not come true."""
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what loop and threads do
            await asyncio.sleep(0.01)
