"""Memory for each binding, in fresh processes: resident, after collection."""

import asyncio
import ctypes
import gc
import logging
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

import structlog

from mag.config.model import AttachTrigger
from mag.daemon.gateway import Gateway
from mag.dataplane.base import (
    DataplaneCounters,
    DataplaneError,
    DataplaneStatus,
    Ensure,
    ForwardingState,
    MobileNodeForwarding,
    Operation,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.services.mobility_transport import ReceiveError, ReceiveMessage
from mag.wire.iana import MobilityHeaderType
from perf.control_plane.core import AT_ANY_PACE, AT_ONCE, attach_all
from perf.control_plane.measurement import Measurement
from perf.control_plane.nodes import LMA_ADDRESS, mac, mn_id
from perf.control_plane.targets import OCTETS_PER_BINDING
from perf.control_plane.template_lma import TemplateLma
from perf.fresh_process import in_fresh_process
from support.fake_adapters import FakePort, FakeWorld, configuration, until

WARM_UP: Final = 1_000
"""Bindings before the first look: what comes once is not counted."""
_ACCESS: Final = "access1"
_MH_TYPE_OFFSET: Final = 2
_PAGE_OCTETS: Final = os.sysconf("SC_PAGE_SIZE")


def measure_memory(bindings: int) -> Iterator[Measurement]:
    """Octets of resident memory for each binding: the core alone, and the whole daemon."""
    for name, subject in (("core", _core), ("daemon", _daemon)):
        octets = in_fresh_process(subject, bindings)
        yield Measurement(f"{name}_octets_per_binding", "octets", [octets], OCTETS_PER_BINDING)


def _core(bindings: int) -> float:
    kept = [attach_all(WARM_UP)]
    before = resident_octets()
    kept.append(attach_all(bindings))
    octets = resident_octets() - before
    del kept
    return octets / bindings


def _daemon(bindings: int) -> float:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(_daemon_with(bindings))


async def _daemon_with(bindings: int) -> float:
    world = FakeWorld(configuration=configuration())
    world.transport = TemplateTransport()
    world.ports = {name: ForgetfulPort(name) for name in world.ports}
    world.dataplane = KnowingDataplane()
    async with asyncio.TaskGroup() as tasks:
        settings = world.configuration.protocol_settings()
        rng = random.Random(1)  # noqa: S311 - the same spread in every run
        core = MobileAccessGateway(settings, {LMA_ADDRESS: AT_ANY_PACE}, rng)
        gateway = Gateway(world.configuration, core, world.adapters(), tasks)
        await gateway.open()
        try:
            await _attach(gateway, 0, WARM_UP)
            before = resident_octets()
            await _attach(gateway, WARM_UP, WARM_UP + bindings)
            octets = resident_octets() - before
        finally:
            for entry in list(core.binding_update_list):
                core.clear(entry.binding_id, gateway.pump.now())
            await gateway.close()
    return octets / bindings


async def _attach(gateway: Gateway, first: int, end: int) -> None:
    for start in range(first, end, AT_ONCE):
        for number in range(start, min(start + AT_ONCE, end)):
            await gateway.attachments.attach(
                _ACCESS, mac(number), trigger=AttachTrigger.ADMIN, mn_id=mn_id(number)
            )
        await asyncio.sleep(0)
    entries = gateway.core.binding_update_list
    await until(lambda: len(entries) == end and all(entry.is_forwarding for entry in entries))


def resident_octets() -> int:
    """Of this process, once garbage is collected and free heap is given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    _, resident, *_ = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(resident) * _PAGE_OCTETS


class TemplateTransport:
    """Carries updates to a TemplateLma and keeps none."""

    received = lost = send_failures = 0
    is_congested = False

    def __init__(self) -> None:
        self._lma = TemplateLma()
        self._receive: ReceiveMessage | None = None

    def open(self, receive: ReceiveMessage, receive_error: ReceiveError) -> None:
        """See MobilityTransport."""
        self._receive = receive

    def send(self, data: bytes, destination: IPv6Address, next_header: int) -> bool:
        """The answer arrives with the loop's next turn."""
        if data[_MH_TYPE_OFFSET] == MobilityHeaderType.BINDING_UPDATE and self._receive is not None:
            answer = self._lma.answer(data)
            asyncio.get_running_loop().call_soon(self._receive, answer, LMA_ADDRESS)
        return True

    def on_room(self, listener: object) -> None:
        """See MobilityTransport; likewise below."""

    def catch_up(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """See MobilityTransport."""
        self._receive = None


class ForgetfulPort(FakePort):
    """Keeps no packets, and no known sources: those are in the kernel."""

    def know(self, mn_link_layer_address: bytes) -> None:
        """In the kernel's map."""

    def send(self, packet: bytes, mn_link_layer_address: bytes) -> bool:
        """Out of the machine."""
        return True


class KnowingDataplane:
    """Accepts everything, and remembers as much of it as the kernel's path does."""

    def __init__(self) -> None:
        self._known: dict[int, MobileNodeForwarding] = {}

    async def open(self) -> None:
        """See Dataplane; likewise below."""

    async def rebuild(self) -> None:
        pass

    async def losses(self, *left: object) -> Sequence[str]:
        return ()

    async def close(self, *, remove: bool) -> None:
        self._known.clear()

    async def dump(self) -> ForwardingState:
        return ForwardingState()

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        return ForwardingState()

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        for operation in operations:
            record = operation.record
            if isinstance(record, MobileNodeForwarding):
                if isinstance(operation, Ensure):
                    self._known[record.binding_id] = record
                else:
                    self._known.pop(record.binding_id, None)
        return [None] * len(operations)

    async def counters(self) -> DataplaneCounters:
        return DataplaneCounters()

    async def status(self) -> DataplaneStatus:
        return DataplaneStatus("perf", "1")
