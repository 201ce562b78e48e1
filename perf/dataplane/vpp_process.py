"""A VPP of our own: started in a directory of its own, ended with whoever started it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from vpp_papi import VPPApiClient

CALL_TIMEOUT_S: Final = 300
"""A CLI file with a million lines is one call."""
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
MAIN_CORE: Final = 0
WORKER_CORE: Final = 1
WORKER_THREAD: Final = 1
_LEAST_HASH_BUCKETS: Final = 65_536
_MEBIBYTE: Final = 1 << 20
_LAST_WORDS_S: Final = 2.0
_LOG_LINES: Final = 40
"""A crash is told in some thirty lines."""


class VppProcessError(Exception):
    """VPP is absent, did not start, died, or refused what the measurement needs."""


@dataclass(frozen=True, slots=True)
class VppSettings:
    """What the start-up configuration depends on."""

    prefix: Path
    """Where VPP is installed: bin/vpp below it."""
    plugin_directory: Path | None
    """Directory with mag_plugin.so; None measures VPP's own means only."""
    bindings: int
    page_size: str = "4k"
    """Of main heap, buffers and stats segment: 4k or 2M; the latter must have been reserved."""


def find_vpp() -> Path:
    """VPP's installation prefix: VPP_PREFIX, then PATH, then /opt/vpp. Raises VppProcessError."""
    if prefix := os.environ.get("VPP_PREFIX"):
        candidate = Path(prefix)
    elif binary := shutil.which("vpp"):
        candidate = Path(binary).resolve().parent.parent
    else:
        candidate = Path("/opt/vpp")
    if not (candidate / "bin" / "vpp").is_file():
        raise VppProcessError(f"no VPP under {candidate}: set VPP_PREFIX")
    return candidate


def find_plugin(repository: Path) -> Path:
    """Directory of the mag_plugin.so that was built there. Raises VppProcessError."""
    build = repository / "build" / "plugin"
    for library in sorted(build.rglob("vpp_plugins/mag_plugin.so")):
        return library.parent
    raise VppProcessError(f"no mag_plugin.so under {build}: build it (make plugin)")


def startup_configuration(settings: VppSettings, directory: Path) -> str:
    """startup.conf for one main thread and one worker.

    Every table is sized by the number of bindings, with two hash buckets for each: fewer make
    chains, many more make each probe a cache miss of its own.
    """
    n = settings.bindings
    buckets = max(_LEAST_HASH_BUCKETS, 1 << (2 * n - 1).bit_length())
    page = settings.page_size
    directories = sorted(settings.prefix.glob("lib*/**/vpp_plugins"))
    if settings.plugin_directory:
        directories.append(settings.plugin_directory)
    lines = [
        f"unix {{ nodaemon runtime-dir {directory} cli-listen {directory}/cli.sock }}",
        f"api-segment {{ prefix {directory.name} }}",
        f"socksvr {{ socket-name {directory}/api.sock }}",
        f"statseg {{ size {256 + n * 2048 // _MEBIBYTE}M page-size {page}"
        f" socket-name {directory}/stats.sock }}",
        f"cpu {{ main-core {MAIN_CORE} corelist-workers {WORKER_CORE} }}",
        f"buffers {{ buffers-per-numa 16384 page-size {page} }}",
        f"memory {{ main-heap-size {1024 + n * 8192 // _MEBIBYTE}M main-heap-page-size {page} }}",
        f"ip6 {{ hash-buckets {buckets} heap-size {256 + n * 1024 // _MEBIBYTE}M }}",
        f"plugins {{ path {':'.join(map(str, directories))} }}",
    ]
    if settings.plugin_directory:
        lines.append(f"mag {{ max-bindings {n + n // 10 + 1024} }}")
    return "\n".join(lines) + "\n"


class VppProcess:
    """A running VPP and its API. A context manager: leaving it ends the process, by its pid."""

    def __init__(self, settings: VppSettings) -> None:
        self.settings = settings
        self.directory = Path(tempfile.mkdtemp(prefix="mag-perf-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._client: VPPApiClient | None = None

    @property
    def api_socket(self) -> Path:
        """For clients beside the one in here."""
        return self.directory / "api.sock"

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self._process is None:
            raise VppProcessError("VPP was not started")
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        died = error is not None and self._has_died()
        fate = self._fate()
        self._stop()
        if died and not isinstance(error, VppProcessError):
            raise VppProcessError(fate) from error

    def call(self, message: str, **fields: Any) -> Any:
        """One binary API request. Raises VppProcessError for a negative return value."""
        if self._client is None:
            raise VppProcessError("VPP was not started")
        try:
            reply = getattr(self._client.api, message)(**fields)
        except OSError as error:
            self._has_died()
            raise VppProcessError(f"{message}: {error}: {self._fate()}") from error
        if getattr(reply, "retval", 0) < 0:
            raise VppProcessError(f"{message}: VPP refuses with {reply.retval}: {fields}")
        return reply

    def cli(self, line: str) -> str:
        """One CLI command: what it prints."""
        return str(self.call("cli_inband", cmd=line).reply)

    def configure(self, lines: Iterable[str]) -> None:
        """CLI commands that print nothing when they succeed. Raises VppProcessError."""
        for line in lines:
            if said := self.cli(line).strip():
                raise VppProcessError(f"{line}: {said}")

    def execute(self, lines: Iterable[str]) -> None:
        """A great many CLI commands at once, by way of a file. Raises VppProcessError."""
        script = self.directory / "commands"
        with script.open("w") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.configure([f"exec {script}"])
        script.unlink()

    def create_interface(self, number: int, table: int) -> str:
        """A packet generator interface pgN with IPv6 in a table (made if need be); its name."""
        name = f"pg{number}"
        self.cli(f"create packet-generator interface {name}")
        self.configure(
            [
                f"ip6 table add {table}",
                f"set interface ip6 table {name} {table}",
                f"set interface state {name} up",
                f"enable ip6 interface {name}",
            ]
        )
        return name

    def interface(self, name: str) -> Any:
        """sw_interface_details of an interface. Raises VppProcessError."""
        for details in self.call("sw_interface_dump"):
            if details.interface_name == name:
                return details
        raise VppProcessError(f"VPP has no interface {name}")

    def worker_tid(self) -> int:
        """Kernel thread id of the worker."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            if (task / "comm").read_text().startswith("vpp_wk"):
                return int(task.name)
        raise VppProcessError("this VPP has no worker thread")

    def _start(self) -> None:
        configuration = self.directory / "startup.conf"
        configuration.write_text(startup_configuration(self.settings, self.directory))
        # Whatever ends this process ends VPP, SIGKILL included.
        setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        binary = self.settings.prefix / "bin" / "vpp"
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [setpriv, "--pdeathsig", "KILL", str(binary), "-c", str(configuration)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.api_socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise VppProcessError(f"VPP did not start: {self._fate()}")
            time.sleep(0.05)
        self._client = VPPApiClient(
            bootstrapapi=True, server_address=str(self.api_socket), read_timeout=CALL_TIMEOUT_S
        )
        self._client.connect("mag-perf")

    def _stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _has_died(self) -> bool:
        # Clients notice before the process has told its last and is gone.
        if self._process is None:
            return True
        try:
            self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _fate(self) -> str:
        status = self._process.poll() if self._process is not None else None
        state = "it runs" if status is None else f"it ended with {status}"
        log = self.directory / "log"
        last = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
        return "\n".join([state, *last])
