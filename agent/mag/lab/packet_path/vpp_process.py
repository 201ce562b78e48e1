"""A VPP as a process of the caller's, for tests and measurements; the lab's are in namespaces."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mag.lab.errors import LabError
from mag.lab.packet_path.guard import Guard
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_startup import VppStartup

START_DEADLINE_S: Final = 60.0
STOP_DEADLINE_S: Final = 15.0
LAST_WORDS_S: Final = 2.0
"""Clients notice that VPP has died before it has told its last and is gone."""
_CLI_DEADLINE_S: Final = 30.0
_POLL_INTERVAL_S: Final = 0.01
_LOG_LINES: Final = 40
"""A crash is told in some thirty lines."""


class VppProcess:
    """Starts one VPP, again and again if need be, and ends it by its process id.

    It goes with us even when we are killed.
    """

    def __init__(
        self, installation: VppInstallation, startup: VppStartup, *, wrapper: tuple[str, ...] = ()
    ) -> None:
        """wrapper: a command that becomes VPP, which is given as its arguments."""
        self.files = startup.folder
        self._installation = installation
        self._startup = startup
        self._wrapper = wrapper
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def pid(self) -> int:
        """Of the running process. Raises LabError."""
        if self._process is None:
            raise LabError("VPP was not started")
        return self._process.pid

    def start(self, spawn: Callable[[Callable[[], object]], object] | None = None) -> None:
        """Start it and wait until it answers. Raises LabError, with its last words.

        spawn: calls what it is given, where the process shall be (in a network namespace).
        """
        for path in self.files.sockets:
            path.unlink(missing_ok=True)
        self.files.startup.write_text(self._startup.render(), encoding="utf-8")
        (spawn or (lambda call: call()))(self._spawn)
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            if not self.is_running() or time.monotonic() > deadline:
                fate = self.fate()
                self._end(signal.SIGTERM)
                raise LabError(f"VPP did not start: {fate}")
            time.sleep(_POLL_INTERVAL_S)

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def has_died(self) -> bool:
        """Whether it has ended, or does so within the moment that its last words take."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LAST_WORDS_S)
        return not self.is_running()

    def fate(self) -> str:
        """Whether it runs, and the last that it said."""
        status = self._process.poll() if self._process is not None else None
        state = "it runs" if status is None else f"it ended with {status}"
        said = self.files.output
        text = said.read_text(errors="replace") if said.exists() else ""
        return "\n".join([state, *text.splitlines()[-_LOG_LINES:]])

    def cli(self, command: str) -> str:
        """One command of VPP's CLI: what it prints."""
        done = subprocess.run(  # noqa: S603
            [
                self._installation.control_program,
                "-s",
                self.files.cli_socket,
                *command.split(),
            ],
            capture_output=True,
            text=True,
            timeout=_CLI_DEADLINE_S,
            check=True,
        )
        return done.stdout

    def kill(self) -> None:
        """End it without a chance to clean up, if it runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._end(signal.SIGTERM)

    def _spawn(self) -> None:
        with self.files.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                [*self._wrapper, str(self._installation.program), "-c", str(self.files.startup)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us; we end it.
                start_new_session=True,
            )
        self._guard = Guard(self._process.pid, [self.files.api_segment])

    def _answers(self) -> bool:
        files = self.files
        there = all(path.exists() for path in (files.stats_socket, files.punt_socket))
        return there and all(map(_is_listening, (files.api_socket, files.cli_socket)))

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None
        self.files.api_segment.unlink(missing_ok=True)


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
