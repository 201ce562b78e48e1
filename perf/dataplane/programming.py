"""How fast bindings get into VPP through its API, and what memory they take there."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mag.dataplane.vpp.client import VppClient
from perf.dataplane.bindings import DELETE, ENSURE, binding_messages, pack_records, send_all
from perf.dataplane.bindings import forwarding as record_of
from perf.dataplane.frames import MobileNodes
from perf.dataplane.memory import used_octets
from perf.dataplane.own import make_gateway
from perf.dataplane.path import make_lane
from perf.dataplane.vpp_process import CALL_TIMEOUT_S, VppProcess, VppSettings


@dataclass(frozen=True, slots=True)
class Rates:
    """Bindings per second, with the client's time in it."""

    added_from_records: float
    """The agent's records packed on the way: what a resynchronisation takes."""
    deleted: float
    added: float
    """From messages packed before: what VPP and its socket take."""
    replaced: float


@dataclass(frozen=True, slots=True)
class ProgrammingResult:
    """What a number of bindings takes."""

    bindings: int
    rates: Rates
    octets_per_binding: float
    """Memory with all bindings, less that of the same VPP without our plugin."""


def measure_programming(settings: VppSettings) -> ProgrammingResult:
    """Add, delete, add and replace the settings' number of bindings. Raises VppProcessError."""
    with VppProcess(replace(settings, has_plugin=False)) as bare:
        make_lane(bare, 0)
        bare_octets = used_octets(bare)
    with VppProcess(settings) as vpp:
        lane = make_lane(vpp, 0)
        make_gateway(vpp, lane)
        access = vpp.interface(lane.access).sw_if_index
        rates = asyncio.run(_rates(vpp, MobileNodes(settings.bindings), access))
        octets = used_octets(vpp) - bare_octets
    return ProgrammingResult(settings.bindings, rates, octets / settings.bindings)


async def _rates(vpp: VppProcess, nodes: MobileNodes, access: int) -> Rates:
    everyone = range(nodes.count)
    ensure = list(binding_messages(nodes, everyone, access, ENSURE))
    delete = list(binding_messages(nodes, everyone, access, DELETE))
    records = [record_of(nodes, node) for node in everyone]
    client = VppClient(str(vpp.api_socket), name="mag-perf-programming", timeout_s=CALL_TIMEOUT_S)
    await client.connect()
    try:
        return Rates(
            added_from_records=nodes.count / await _seconds(client, pack_records(records, access)),
            deleted=nodes.count / await _seconds(client, delete),
            added=nodes.count / await _seconds(client, ensure),
            replaced=nodes.count / await _seconds(client, ensure),
        )
    finally:
        await client.close()


async def _seconds(client: VppClient, messages: Iterable[bytes]) -> float:
    begun = time.monotonic()
    await send_all(client, messages)
    return time.monotonic() - begun
