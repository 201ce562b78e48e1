"""Nodes that attach to a real `mag run` on a real VPP: from their first frame to their prefix."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from dataplane.contract.bench import LINKS, LMA_A, PROXY_COA
from dataplane.contract.kernel_bench import CORE, tap_of
from dataplane.contract.vpp_bench import VppBench
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.services.admin_client import AdminClient, AdminError
from perf.agent_on_vpp.outside import Attaches, Outside
from perf.agent_on_vpp.targets import LATENCY_P99_MS, STORM_PER_S, UNSERVED
from perf.control_plane.measurement import Measurement
from support.namespaces import in_namespace, namespace_pair

AGENT_CORE: Final = 0
OTHER_CORE: Final = 1
"""Of VPP, the LMA and the nodes."""
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 60.0
_WARM_UP: Final = 500
_SECONDS_AT_EACH_RATE: Final = 4
_ACCESS: Final = LINKS[0]
_ADMIN_SOCKET: Final = "mag.sock"
_REPOSITORY: Final = Path(__file__).resolve().parents[2]

_CONFIGURATION: Final = """
identity: bench
proxy_care_of_address: {coa}
lmas: {{lma1: {{address: {lma}, updates_per_s: 1000000, update_burst: 1000000}}}}
access_links: {{{access}: {{attach_triggers: [router_solicitation], presence: link_layer}}}}
policy:
  default: {{lma: lma1, mn_id_from_link_layer_address: "{{mac}}@bench.example.net"}}
protocol: {{max_bindings: 131072}}
shutdown: {{timeout_s: 0}}
journal: {{path: {folder}/mag.journal}}
admin: {{socket: {folder}/mag.sock}}
dataplane:
  kind: vpp
  core_interfaces: [{core}]
  vpp: {{api_socket: {folder}/api.sock, stats_socket: {folder}/stats.sock,
         punt_socket: {folder}/agent.sock}}
"""


def measure_storm(
    installation: VppInstallation, rates: Sequence[int], repeats: int
) -> Iterator[Measurement]:
    """Nodes served per second and their latencies, at each rate of attaches that is offered.

    The agent has one core; VPP, the nodes and the LMA share the other one. The first half of the
    rates is judged by latency, the highest by what is served.
    """
    runs = [_run(installation, rates) for _ in range(repeats)]
    for number, rate in enumerate(rates):
        seen = [attaches[number] for attaches, *_ in runs]
        is_highest = rate == max(rates)
        served = [len(each.latencies_s) / each.took_s for each in seen]
        target = STORM_PER_S if is_highest else None
        yield Measurement(f"attach_{rate}_served_per_s", "1/s", served, target)
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            is_judged = name == "p99" and not is_highest
            yield Measurement(
                f"attach_{rate}_{name}_ms",
                "ms",
                [1000 * _percentile(each.latencies_s, share) for each in seen],
                LATENCY_P99_MS if is_judged else None,
            )
        unserved = [each.attached - len(each.latencies_s) for each in seen]
        yield Measurement(f"attach_{rate}_unserved", "nodes", unserved, UNSERVED)
        again = [each.updates - each.attached for each in seen]
        yield Measurement(f"attach_{rate}_updates_sent_again", "PBUs", again)
        for who, spent in (
            ("agent", [costs[number] for _, costs, _ in runs]),
            ("outside", [each.cpu_s for each in seen]),
        ):
            yield Measurement(
                f"attach_{rate}_{who}_cpu_us",
                "us",
                [1e6 * cpu_s / each.attached for cpu_s, each in zip(spent, seen, strict=True)],
            )
    lost = [counters["signalling"]["lost_before_us"] for *_, counters in runs]
    yield Measurement("punted_packets_lost", "packets", lost, UNSERVED)


def _percentile(values: Sequence[float], share: float) -> float:
    if not values:
        return float("inf")
    return sorted(values)[int(share * (len(values) - 1))]


def _run(
    installation: VppInstallation, rates: Sequence[int]
) -> tuple[list[Attaches], list[float], dict[str, Any]]:
    """What nodes saw at each rate, processor seconds of the agent for each, its last counters."""
    # Not below the caller's own directory: the address of a socket holds 107 octets.
    with (
        TemporaryDirectory(prefix="mag-perf-") as name,
        namespace_pair() as (gateway, world),
        _wires(gateway, world, installation, Path(name)) as bench,
        _agent(Path(name), bench) as agent,
    ):
        taps = in_namespace(world, lambda: {link: tap_of(link) for link in (CORE, _ACCESS)})
        outside = Outside(taps[CORE], taps[_ACCESS])
        try:
            outside.attach(0, _WARM_UP, 500)
            first, seen, costs = _WARM_UP, [], []
            for rate in rates:
                count = rate * _SECONDS_AT_EACH_RATE
                before = processor_seconds(agent.pid)
                seen.append(outside.attach(first, count, rate))
                costs.append(processor_seconds(agent.pid) - before)
                first += count
            return seen, costs, asyncio.run(_ask(Path(name) / _ADMIN_SOCKET))
        finally:
            for tap in taps.values():
                tap.close()


@contextmanager
def _wires(
    gateway: str, world: str, installation: VppInstallation, folder: Path
) -> Iterator[VppBench]:
    bench = VppBench(gateway, world, installation, folder)
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(bench.vpp.pid, {OTHER_CORE})
        os.sched_setaffinity(0, {OTHER_CORE})
        yield bench
    finally:
        os.sched_setaffinity(0, cores)
        bench.close()


@contextmanager
def _agent(folder: Path, bench: VppBench) -> Iterator[subprocess.Popen[bytes]]:
    """`mag run` on a core of its own, its log in a file as a service's is."""
    configuration = folder / "mag.yaml"
    configuration.write_text(
        _CONFIGURATION.format(coa=PROXY_COA, lma=LMA_A, core=CORE, access=_ACCESS, folder=folder)
    )
    command = [sys.executable, "-m", "mag", "run", str(configuration)]
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY / "agent")}
    with (folder / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = in_namespace(
            bench.gateway,
            lambda: subprocess.Popen(  # noqa: S603
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            ),
        )
    try:
        os.sched_setaffinity(process.pid, {AGENT_CORE})
        _wait_until_served(folder / _ADMIN_SOCKET, process, folder / "log")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_served(admin_socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if asyncio.run(_serves(admin_socket)):
                return
        except AdminError:
            time.sleep(0.05)
    raise RuntimeError(f"the gateway does not serve: {log.read_text()[-2000:]}")


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    _, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")
    user, system = rest.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def _serves(admin_socket: Path) -> bool:
    async with AdminClient(admin_socket) as client:
        return _ACCESS in (await client.dataplane())["access_links"]


async def _ask(admin_socket: Path) -> dict[str, Any]:
    async with AdminClient(admin_socket) as client:
        return await client.counters()
