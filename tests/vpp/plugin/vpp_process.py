"""A private VPP with the plugin: own sockets, own shared memory, ended by its process id."""

import contextlib
import os
import queue
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vpp_papi import VPPApiClient
from vpp_papi.vpp_stats import VPPStats

from mag.lab.packet_path import vpp_process
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_startup import VppFolder, VppStartup

MORE_TO_COME = -165
"""VNET_API_ERROR_EAGAIN: go on with the cursor."""


class VppRefused(Exception):
    """VPP answered a call with an error number."""

    def __init__(self, call: str, retval: int) -> None:
        self.retval = retval
        super().__init__(f"{call}: {retval}")


class CheckedApi:
    """papi's calls by name; each raises VppRefused if the reply's retval is an error."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._api, name)

        def checked(**arguments: Any) -> Any:
            answer = call(**arguments)
            reply = answer[0] if isinstance(answer, tuple) and len(answer) == 2 else answer
            retval = getattr(reply, "retval", 0)
            if retval not in (0, MORE_TO_COME):
                raise VppRefused(name, retval)
            return answer

        return checked


class VppProcess(vpp_process.VppProcess):
    """A running VPP. api: see CheckedApi."""

    def __init__(
        self, installation: VppInstallation, run: Path, *, workers: int, max_bindings: int
    ) -> None:
        self.run = run
        self.workers = workers
        needs_more_cores = workers + 1 > (os.cpu_count() or 1)
        placement = (
            f"workers {workers} use-pthreads"
            if needs_more_cores
            else f"corelist-workers 1-{workers}"
        )
        cpu = f"main-core 0 {placement}" if workers else "main-core 0"
        startup = VppStartup(
            folder=VppFolder(run),
            plugin_folders=installation.plugin_folders,
            plugins=("ping_plugin.so",),
            max_bindings=max_bindings,
            stats_segment_mebibytes=128,
            sections=(f"cpu {{ {cpu} }}",),
        )
        wrapper = _pretended_cores(run, workers) if needs_more_cores else ()
        super().__init__(installation, startup, wrapper=wrapper)
        self._totals: dict[str, int] = {}
        self._forgotten: dict[str, int] = {}
        self._client: VPPApiClient | None = None
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.api: Any = None

    def start(self, spawn: Callable[[Callable[[], object]], object] | None = None) -> None:
        """Start and connect; raises LabError with VPP's output if it does not come up."""
        super().start(spawn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # papi reads its own files so
            self._client = VPPApiClient(
                bootstrapapi=True, server_address=str(self.files.api_socket), read_timeout=20
            )
        self._client.connect("mag-test")
        self._client.register_event_callback(lambda _name, event: self._events.put(event))
        self.api = CheckedApi(self._client.api)

    def stop(self) -> None:
        """End the process; raises RuntimeError if it had ended by itself."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.disconnect()
        died = not self.is_running()
        fate = self.fate()
        super().stop()
        if died:
            raise RuntimeError(f"VPP died: {fate}")

    def cli(self, command: str) -> str:
        """What VPP's command line answers."""
        return self.api.cli_inband(cmd=command).reply

    def configure(self, command: str) -> None:
        """A command that answers nothing unless it fails."""
        answer = self.cli(command)
        assert answer.strip() == "", f"{command}: {answer}"

    def call_packed(self, name: str, body: bytes) -> Any:
        """A call whose fields after the context are packed already; the reply."""
        client = self._client
        index = client.transport.get_msg_index(f"{name}_{client.messages[name].crc[2:]}")
        header = struct.pack("!HII", index, client.transport.socket_index, client.get_context())
        client.transport.suspend()
        try:
            client.transport.write(header + body)
            return client.read_blocking(timeout=20)
        finally:
            client.transport.resume()

    @contextlib.contextmanager
    def workers_on_one_core(self) -> Iterator[None]:
        """They take turns: while one of them runs, for milliseconds on end, no other does."""
        tasks = Path(f"/proc/{self.pid}/task")
        threads = [int(task.name) for task in tasks.iterdir() if _is_worker(task)]
        assert len(threads) == self.workers
        before = {thread: os.sched_getaffinity(thread) for thread in threads}
        for thread in threads:
            os.sched_setaffinity(thread, {min(os.sched_getaffinity(0))})
        try:
            yield
        finally:
            for thread, cores in before.items():
                os.sched_setaffinity(thread, cores)

    def resident_kilobytes(self) -> int:
        """Memory of the process that is in RAM."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def buffers_in_use(self) -> int:
        """Packet buffers that are neither free nor in a thread's cache."""
        *_, line = self.cli("show buffers").strip().splitlines()
        return int(line.split()[-1])

    @contextlib.contextmanager
    def statistics(self) -> Iterator[VPPStats]:
        """The stats segment."""
        statistics = VPPStats(str(self.files.stats_socket))
        statistics.connect()
        try:
            yield statistics
        finally:
            statistics.disconnect()

    def received_packets(self, sw_if_index: int) -> int:
        """What came in on an interface."""
        with self.statistics() as statistics:
            return sum(thread[sw_if_index]["packets"] for thread in statistics["/if/rx"])

    def error_counters(self) -> dict[str, int]:
        """Counters of our nodes as `node/name` since forget_counters, those at 0 left out."""
        with self.statistics() as statistics:
            totals = {
                name.removeprefix("/err/"): int(statistics.get_err_counter(name))
                for name in statistics.ls(["^/err/mag-"])
            }
        self._totals = totals
        since = {name: total - self._forgotten.get(name, 0) for name, total in totals.items()}
        return {name: count for name, count in since.items() if count}

    def forget_counters(self) -> None:
        """Count from 0 again."""
        self.error_counters()
        self._forgotten = self._totals

    def wait_until(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Come back when the condition holds; raises AssertionError if it does not in time."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "the condition does not come true"
            time.sleep(0.01)

    def wait_for_events(self, count: int, timeout: float = 3.0) -> list[Any]:
        """Events since the last call; fewer than count only if they do not come in time."""
        found: list[Any] = []
        deadline = time.monotonic() + timeout
        while len(found) < count and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                found.append(self._events.get(timeout=0.05))
        return found


def _is_worker(task: Path) -> bool:
    return (task / "comm").read_text().startswith("vpp_wk")


def _pretended_cores(run: Path, workers: int) -> tuple[str, ...]:
    """VPP wants a core per thread, and with use-pthreads puts all workers on core 0: in a mount
    namespace of its own it believes that there are enough."""
    online = run / "online"
    online.write_text(f"0-{workers}\n")
    script = f'mount --bind {online} /sys/devices/system/cpu/online && exec "$@"'
    return "unshare", "--mount", "sh", "-c", script, "sh"
