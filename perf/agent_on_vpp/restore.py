"""VPP is killed and started again: how long until all bindings are back in it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from dataplane.contract.bench import ACCESS_LINKS, LINKS, LMA_A, LMA_B, PROXY_COA, TUNNELS
from dataplane.contract.kernel_bench import CORE
from dataplane.contract.vpp_bench import VppBench
from mag.daemon.garbage import short_searches
from mag.dataplane.base import DataplaneError, MobileNodeForwarding
from mag.dataplane.reconciler import Reconciler
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS
from mag.services.event_log import LogEntry
from mag.services.vpp_adapters import VppAdapters, VppSettings
from perf.agent_on_vpp.targets import RESTORED_WITHIN_S
from perf.control_plane.measurement import Measurement
from perf.control_plane.nodes import mac
from perf.control_plane.template_lma import POOL
from support.namespaces import namespace_pair

_BASE: Final = int(POOL.network_address)
_ACCESS: Final = LINKS[0]
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Restart:
    vpp_start_s: float
    restore_s: float
    restore_cpu_s: float
    """Of the agent; what is missing to `restore_s` is waiting, for VPP or for the core."""


def measure_restore(
    installation: VppInstallation, bindings: int, repeats: int
) -> Iterator[Measurement]:
    """Seconds until VPP has its interfaces again, and from then until it has all bindings.

    Raises DataplaneError if VPP refuses one.
    """
    with short_searches():  # as the agent has it
        runs = asyncio.run(_runs(installation, bindings, repeats))
    yield Measurement("vpp_start_s", "s", [run.vpp_start_s for run in runs])
    yield Measurement(
        f"restore_{bindings}_s", "s", [run.restore_s for run in runs], RESTORED_WITHIN_S
    )
    cpu = [run.restore_cpu_s for run in runs]
    yield Measurement(f"restore_{bindings}_agent_cpu_s", "s", cpu)


async def _runs(installation: VppInstallation, bindings: int, repeats: int) -> list[_Restart]:
    with TemporaryDirectory(prefix="mag-perf-") as name, namespace_pair() as (gateway, world):
        bench = VppBench(gateway, world, installation, Path(name))
        adapters = _adapters(bench, Path(name))
        reconciler = Reconciler(adapters.dataplane)
        try:
            await adapters.dataplane.open()
            for record in (*TUNNELS, *ACCESS_LINKS, *map(_record, range(bindings))):
                reconciler.want(record)
            await _resync(reconciler)
            return [await _restart(bench, adapters, reconciler, bindings) for _ in range(repeats)]
        finally:
            adapters.transport.close()
            await adapters.dataplane.close(remove=False)
            bench.close()


async def _restart(
    bench: VppBench, adapters: VppAdapters, reconciler: Reconciler, bindings: int
) -> _Restart:
    is_restored = asyncio.Event()

    def note(entry: LogEntry) -> None:
        if entry.name == "vpp_restored":
            is_restored.set()

    watch = asyncio.create_task(adapters.keep_connected(lambda: _resync(reconciler), note))
    await asyncio.sleep(0)
    bench.vpp.kill()
    begun = time.monotonic()
    await asyncio.to_thread(bench.start_vpp)
    ready, cpu = time.monotonic(), time.process_time()
    async with asyncio.timeout(_TIMEOUT_S):
        await is_restored.wait()
    restart = _Restart(ready - begun, time.monotonic() - ready, time.process_time() - cpu)
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    found = await adapters.dataplane.dump()
    if len(found.mobile_nodes) != bindings:
        raise DataplaneError("restore", f"{len(found.mobile_nodes)} bindings are back")
    return restart


async def _resync(reconciler: Reconciler) -> None:
    for outcome in await reconciler.resync():
        if outcome.error is not None:
            raise outcome.error


def _adapters(bench: VppBench, folder: Path) -> VppAdapters:
    return VppAdapters(
        VppSettings(
            core_interfaces=(CORE,),
            punt_socket=str(folder / "agent.sock"),
            api_socket=bench.vpp.api_socket,
            stats_socket=bench.vpp.stats_socket,
        ),
        proxy_care_of_address=PROXY_COA,
        lma_addresses=(LMA_A, LMA_B),
        gateway_link_layer_address=RESERVED_LINK_LAYER_ADDRESS,
        access_links=dict.fromkeys(LINKS, True),
    )


def _record(number: int) -> MobileNodeForwarding:
    return MobileNodeForwarding(
        binding_id=number + 1,
        home_network_prefixes=(IPv6Network((_BASE + (number << 64), 64)),),
        access_interface=_ACCESS,
        mn_link_layer_address=mac(number),
        lma_address=LMA_A,
    )
