"""A VPP of the tests' own: small, private sockets, our plugin, gone with its fixture."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PLUGIN_FILE: Final = "mag_plugin.so"
PLUGIN_FOLDER: Final = "vpp_plugins"
START_DEADLINE_S: Final = 20.0
STOP_DEADLINE_S: Final = 10.0

STARTUP: Final = """
unix {{ nodaemon nosyslog cli-listen {folder}/cli.sock runtime-dir {folder} log {folder}/vpp.log }}
api-segment {{ prefix {prefix} }}
socksvr {{ socket-name {folder}/api.sock }}
statseg {{ socket-name {folder}/stats.sock size 32m page-size 4k }}
punt {{ socket {folder}/punt.sock }}
memory {{ main-heap-size 256m main-heap-page-size 4k }}
buffers {{ buffers-per-numa 8192 page-size 4k }}
{mag_section}
plugins {{ path {plugin_path}
  plugin default {{ disable }}
  plugin af_packet_plugin.so {{ enable }}
  plugin ping_plugin.so {{ enable }}
  {mag} }}
"""


@dataclass(frozen=True, slots=True)
class VppInstallation:
    """Where VPP and our plugin are."""

    program: Path
    plugin_path: str
    """For `plugins { path … }`; empty if the plugin is in VPP's own folder."""


def find_vpp() -> VppInstallation | str:
    """VPP_PREFIX, then PATH, then /opt/vpp; in words what is missing."""
    program = _program()
    if program is None:
        return "no VPP in VPP_PREFIX, PATH or /opt/vpp"
    own = [
        folder
        for folder in program.parent.parent.glob(f"lib*/**/{PLUGIN_FOLDER}")
        if folder.is_dir()
    ]
    if any((folder / PLUGIN_FILE).exists() for folder in own):
        return VppInstallation(program, ":".join(map(str, own)))
    built = sorted((REPOSITORY / "build" / "plugin").glob(f"**/{PLUGIN_FOLDER}/{PLUGIN_FILE}"))
    if not built:
        return f"no {PLUGIN_FILE} in build/plugin or beside VPP (make plugin)"
    return VppInstallation(program, ":".join(map(str, [*own, built[0].parent])))


def _program() -> Path | None:
    prefix = os.environ.get("VPP_PREFIX")
    if prefix:
        program = Path(prefix) / "bin" / "vpp"
        return program if program.exists() else None
    if found := shutil.which("vpp"):
        return Path(found)
    program = Path("/opt/vpp/bin/vpp")
    return program if program.exists() else None


class VppProcess:
    """One VPP; `start` again after `kill` brings it back with the same start-up commands."""

    def __init__(
        self,
        installation: VppInstallation,
        folder: Path,
        *,
        commands: str = "",
        has_plugin: bool = True,
    ) -> None:
        """folder: for sockets and logs; its path must be short. commands: of VPP's CLI."""
        self.api_socket = str(folder / "api.sock")
        self.stats_socket = str(folder / "stats.sock")
        self.punt_socket = str(folder / "punt.sock")
        self.commands = commands
        self._folder = folder
        self._program = installation.program
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "startup.conf").write_text(
            STARTUP.format(
                folder=folder,
                prefix=folder.name,
                plugin_path=installation.plugin_path,
                mag=f"plugin {PLUGIN_FILE} {{ enable }}" if has_plugin else "",
                mag_section="mag { max-bindings 131072 }" if has_plugin else "",
            )
        )

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self, spawn: Callable[[Callable[[], object]], object] | None = None) -> None:
        """Start and wait until it has done its start-up commands.

        spawn: calls what it is given, where the process shall be (in a network namespace).
        """
        for name in ("api.sock", "stats.sock", "punt.sock", "cli.sock"):
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / "exec.cli").write_text(self.commands)
        (spawn or (lambda call: call()))(self._spawn)
        try:
            self._await_answer()
            # Not by `unix { exec }`, for which VPP waits two seconds.
            self.cli(f"exec {self._folder}/exec.cli")
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, if it runs."""
        self._end(signal.SIGTERM)

    def log(self) -> str:
        """What it said."""
        return (self._folder / "out.log").read_text()[-2000:]

    def cli(self, command: str) -> str:
        """One command of VPP's CLI, for what has no API."""
        vppctl = self._program.with_name("vppctl")
        done = subprocess.run(
            [vppctl, "-s", str(self._folder / "cli.sock"), *command.split()],
            capture_output=True,
            text=True,
            timeout=START_DEADLINE_S,
            check=True,
        )
        return done.stdout

    def _spawn(self) -> None:
        with (self._folder / "out.log").open("wb") as out:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._folder / "startup.conf")],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            assert self._process is not None
            assert self._process.poll() is None, f"VPP ended: {self.log()}"
            assert time.monotonic() < deadline, f"VPP does not start: {self.log()}"
            time.sleep(0.01)

    def _answers(self) -> bool:
        files_are_there = all(
            (self._folder / name).exists() for name in ("stats.sock", "punt.sock")
        )
        return files_are_there and all(
            self._is_listening(self._folder / name) for name in ("api.sock", "cli.sock")
        )

    @staticmethod
    def _is_listening(path: Path) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_DEADLINE_S)
        self._process = None


@contextmanager
def running_vpp(
    installation: VppInstallation, folder: Path, *, commands: str = "", has_plugin: bool = True
) -> Iterator[VppProcess]:
    """Started, and gone in the end."""
    vpp = VppProcess(installation, folder, commands=commands, has_plugin=has_plugin)
    try:
        vpp.start()
        yield vpp
    finally:
        vpp.stop()
