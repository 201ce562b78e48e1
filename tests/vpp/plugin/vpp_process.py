"""A private VPP with the plugin: own sockets, own shared memory, ended by its process id."""

import contextlib
import json
import os
import queue
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpp_papi import VPPApiClient
from vpp_papi.vpp_stats import VPPStats

START_TIMEOUT_SECONDS = 30
MORE_TO_COME = -165
"""VNET_API_ERROR_EAGAIN: go on with the cursor."""
BUILD = Path(os.environ.get("MAG_PLUGIN_BUILD") or Path(__file__).parents[3] / "build" / "plugin")

STARTUP = """
unix {{ nodaemon nosyslog cli-listen {run}/cli.sock runtime-dir {run} log {run}/vpp.log }}
api-segment {{ prefix {name} }}
socksvr {{ socket-name {run}/api.sock }}
statseg {{ socket-name {run}/stats.sock size 128M page-size 4k }}
memory {{ main-heap-size 512M main-heap-page-size 4k }}
buffers {{ buffers-per-numa 16384 page-size 4k }}
cpu {{ {cpu} }}
mag {{ max-bindings {max_bindings} }}
plugins {{
  path {installed}:{built}
  plugin default {{ disable }}
  plugin mag_plugin.so {{ enable }}
  plugin ping_plugin.so {{ enable }}
}}
"""


@dataclass(frozen=True, slots=True)
class VppInstallation:
    """Where VPP and the plugin are."""

    binary: Path
    plugins: Path
    api_definitions: tuple[Path, ...]
    built_plugins: Path

    @classmethod
    def find(cls) -> "VppInstallation | str":
        """By VPP_PREFIX, then PATH, then /opt/vpp; the reason in words if anything is missing."""
        by_prefix = Path(os.environ.get("VPP_PREFIX") or "/opt/vpp") / "bin/vpp"
        candidates = [by_prefix, Path(shutil.which("vpp") or by_prefix), Path("/opt/vpp/bin/vpp")]
        if not os.environ.get("VPP_PREFIX"):
            candidates = candidates[1:]
        binary = next((candidate for candidate in candidates if candidate.is_file()), None)
        if binary is None:
            return "no VPP: none at VPP_PREFIX, in PATH or under /opt/vpp"
        plugin = next(BUILD.rglob("mag_plugin.so"), None)
        own_api = BUILD / "mag" / "mag.api.json"
        if plugin is None or not own_api.is_file():
            return "the plugin is not built: make plugin"
        prefix = binary.resolve().parents[1]
        installed = next(prefix.glob("lib/**/vpp_plugins"), None)
        if installed is None:
            return f"no vpp_plugins below {prefix}"
        core = sorted((prefix / "share/vpp/api/core").glob("*.api.json"))
        return cls(binary, installed, (*core, own_api), plugin.parent)


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


class VppProcess:
    """A running VPP. api: see CheckedApi."""

    def __init__(
        self, installation: VppInstallation, run: Path, *, workers: int, max_bindings: int
    ) -> None:
        self.run = run
        self.workers = workers
        self._installation = installation
        name = f"mag-test-{os.getpid()}-{run.name}"
        self._configuration = STARTUP.format(
            run=run,
            name=name,
            cpu=f"main-core 0 workers {workers} use-pthreads" if workers else "main-core 0",
            max_bindings=max_bindings,
            installed=installation.plugins,
            built=installation.built_plugins,
        )
        self._shared_memory = Path("/dev/shm") / f"{name}-vpe-api"  # noqa: S108
        self._totals: dict[str, int] = {}
        self._forgotten: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._client: VPPApiClient | None = None
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.api: Any = None

    def start(self) -> None:
        """Start and connect; raises RuntimeError with VPP's output if it does not come up."""
        startup = self.run / "startup.conf"
        startup.write_text(self._configuration)
        command = [str(self._installation.binary), "-c", str(startup)]
        if self.workers + 1 > (os.cpu_count() or 1):
            command = self._with_pretended_cores(command)
        with (self.run / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._client = VPPApiClient(
            apifiles=[str(p) for p in self._installation.api_definitions],
            server_address=str(self.run / "api.sock"),
            read_timeout=20,
        )
        self._connect()
        self._client.register_event_callback(lambda _name, event: self._events.put(event))
        self.api = CheckedApi(self._client.api)

    def _with_pretended_cores(self, command: list[str]) -> list[str]:
        """VPP wants a core per thread, and with use-pthreads puts all workers on core 0: in a mount
        namespace of its own it believes that there are enough."""
        online = self.run / "online"
        online.write_text(f"0-{self.workers}\n")
        script = f'mount --bind {online} /sys/devices/system/cpu/online && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", *command]

    def _connect(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("VPP did not start: " + (self.run / "output").read_text())
            if (self.run / "api.sock").is_socket() and (self.run / "stats.sock").is_socket():
                with contextlib.suppress(OSError):
                    self._client.connect("mag-test")
                    return
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process; raises RuntimeError if it had ended by itself."""
        with contextlib.suppress(OSError):
            self._client.disconnect()
        ended_by_itself = self._process.poll() is not None
        if not ended_by_itself:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._shared_memory.unlink(missing_ok=True)
        if ended_by_itself:
            raise RuntimeError(
                f"VPP died with {self._process.returncode}: {(self.run / 'output').read_text()}"
            )

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

    def resident_kilobytes(self) -> int:
        """Memory of the process that is in RAM."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    @contextlib.contextmanager
    def statistics(self) -> Iterator[VPPStats]:
        """The stats segment."""
        statistics = VPPStats(str(self.run / "stats.sock"))
        statistics.connect()
        try:
            yield statistics
        finally:
            statistics.disconnect()

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

    def messages(self) -> set[str]:
        """Names of the messages that mag.api defines."""
        document = json.loads(self._installation.api_definitions[-1].read_text())
        return {message[0] for message in document["messages"]}
