"""A VPP of our own: started in a directory of its own, ended with whoever started it."""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from vpp_papi import VPPApiClient

from mag.lab.errors import LabError
from mag.lab.packet_path import vpp_process
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_startup import VppFolder, VppStartup

CALL_TIMEOUT_S: Final = 300
"""A CLI file with a million lines is one call."""
MAIN_CORE: Final = 0
WORKER_CORE: Final = 1
WORKER_THREAD: Final = 1
_LEAST_HASH_BUCKETS: Final = 65_536
_MEBIBYTE: Final = 1 << 20


class VppProcessError(Exception):
    """VPP is absent, did not start, died, or refused what the measurement needs."""


@dataclass(frozen=True, slots=True)
class VppSettings:
    """What the start-up configuration depends on."""

    installation: VppInstallation
    has_plugin: bool
    """Without it VPP's own means only are measured."""
    bindings: int
    page_size: str = "4k"
    """Of main heap, buffers and stats segment: 4k or 2M; the latter must have been reserved."""


def startup_of(settings: VppSettings, directory: Path) -> VppStartup:
    """For one main thread and one worker.

    Every table is sized by the number of bindings, with two hash buckets for each: fewer make
    chains, many more make each probe a cache miss of its own.
    """
    n = settings.bindings
    buckets = max(_LEAST_HASH_BUCKETS, 1 << (2 * n - 1).bit_length())
    return VppStartup(
        folder=VppFolder(directory),
        plugin_folders=settings.installation.plugin_folders,
        plugins=None,
        max_bindings=n + n // 10 + 1024 if settings.has_plugin else None,
        main_heap_mebibytes=_whole_pages(1024 + n * 8192 // _MEBIBYTE),
        stats_segment_mebibytes=_whole_pages(256 + n * 2048 // _MEBIBYTE),
        page_size=settings.page_size,
        sections=(
            f"cpu {{ main-core {MAIN_CORE} corelist-workers {WORKER_CORE} }}",
            f"ip6 {{ hash-buckets {buckets} heap-size {256 + n * 1024 // _MEBIBYTE}M }}",
        ),
    )


def _whole_pages(mebibytes: int) -> int:
    """As a stats segment of 2 MB pages has to be: VPP does not start with a part of one."""
    return mebibytes + mebibytes % 2


class VppProcess:
    """A running VPP and its API. A context manager: leaving it ends the process, by its pid."""

    def __init__(self, settings: VppSettings) -> None:
        self.settings = settings
        self.directory = Path(tempfile.mkdtemp(prefix="mag-perf-"))
        # Whatever ends this process ends VPP, SIGKILL included.
        setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        self._process = vpp_process.VppProcess(
            settings.installation,
            startup_of(settings, self.directory),
            wrapper=(setpriv, "--pdeathsig", "KILL"),
        )
        self._client: VPPApiClient | None = None

    @property
    def api_socket(self) -> Path:
        """For clients beside the one in here."""
        return self._process.files.api_socket

    @property
    def stats_socket(self) -> Path:
        """For readers of the stats segment."""
        return self._process.files.stats_socket

    @property
    def pid(self) -> int:
        """Of the running process."""
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
        died = error is not None and self._process.has_died()
        fate = self._process.fate()
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
            self._process.has_died()
            raise VppProcessError(f"{message}: {error}: {self._process.fate()}") from error
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
        try:
            self._process.start()
        except LabError as error:
            raise VppProcessError(str(error)) from error
        self._client = VPPApiClient(
            bootstrapapi=True, server_address=str(self.api_socket), read_timeout=CALL_TIMEOUT_S
        )
        try:
            self._client.connect("mag-perf")
        except OSError as error:
            self._process.has_died()
            raise VppProcessError(f"no API: {error}: {self._process.fate()}") from error

    def _stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
        self._process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
