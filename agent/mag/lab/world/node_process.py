"""Processes of the lab: started inside a node's namespace, watched, and ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import mag
from mag.lab.errors import LabError
from mag.lab.world.network_namespace import inside_network_namespace
from mag.lab.world.private_namespaces import GATEWAY_RUN_DIRECTORY

_LOG_TAIL_LINES: Final = 12


class NodeProcess:
    """One running process. It cannot outlive the lab: the pid namespace ends with it."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], log: Path, log_starts_at: int
    ) -> None:
        """log: where its standard error goes, behind that of earlier ones of the name."""
        self.name = name
        self._process = process
        self._log = log
        self._log_starts_at = log_starts_at
        self._output: asyncio.StreamReader | None = None

    @property
    def pid(self) -> int:
        """Its pid inside the lab."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def tell(self, line: str) -> None:
        """Write a line to its standard input; that it has ended is no error here."""
        if self._process.stdin is not None and self.exit_status is None:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    async def next_line(self, timeout_s: float) -> str:
        """The next line of its standard output; LabError when none comes or it has ended."""
        if self._output is None:
            self._output = await _stream(self._process.stdout)
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._output.readline()
        except TimeoutError as error:
            raise LabError(f"{self.name} says nothing for {timeout_s:g} s") from error
        if not line:
            raise LabError(f"{self.name} has ended{self.log_tail()}")
        return line.decode().rstrip("\n")

    async def stop(self, timeout_s: float) -> int:
        """Ask it to end (SIGTERM), wait; returns its exit status, LabError when it does not."""
        self._process.send_signal(signal.SIGTERM)
        return await self.wait(timeout_s)

    async def kill(self, timeout_s: float) -> None:
        """End it without a chance to clean up (SIGKILL); LabError when it does not."""
        self._process.kill()
        await self.wait(timeout_s)

    async def wait(self, timeout_s: float) -> int:
        """Its exit status once it has ended; LabError when it does not in time."""
        status = self.exit_status
        if status is not None:
            return status
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        handle = os.pidfd_open(self._process.pid)
        loop.add_reader(handle, ended.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ended.wait()
        except TimeoutError as error:
            raise LabError(f"{self.name} does not end within {timeout_s:g} s") from error
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        return self._process.wait()

    def log_tail(self) -> str:
        """The end of its log, as lines that go below an error."""
        return "".join(f"\n    {line}" for line in self.log_lines()[-_LOG_TAIL_LINES:])

    def log_lines(self) -> list[str]:
        """What it has written to its log so far."""
        octets = self._log.read_bytes()[self._log_starts_at :]
        return octets.decode(errors="replace").splitlines()


def start_python(
    node: str,
    name: str,
    arguments: Sequence[str],
    *,
    reads_output: bool = True,
    passed: Sequence[int] = (),
) -> NodeProcess:
    """Run this Python with `arguments` in a node's namespace.

    name: for messages and for its log under /run/mag. reads_output: the caller takes what it
    prints with next_line; otherwise that goes to the log. passed: descriptors it inherits.
    """
    command = (sys.executable, *arguments)
    return start_program(node, name, command, reads_output=reads_output, passed=passed)


def start_program(
    node: str,
    name: str,
    command: Sequence[str],
    *,
    reads_output: bool,
    passed: Sequence[int] = (),
) -> NodeProcess:
    """Run a program in a node's namespace; the rest as for start_python."""
    log = GATEWAY_RUN_DIRECTORY / f"{name}.log"
    with log.open("ab") as errors, inside_network_namespace(node):
        log_starts_at = errors.tell()
        process = subprocess.Popen(  # noqa: S603 - programs of ours and VPP, arguments as a list
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if reads_output else errors,
            stderr=errors,
            env=_environment(),
            pass_fds=passed,
        )
    return NodeProcess(name, process, log, log_starts_at)


def _environment() -> dict[str, str]:
    """Ours, with the import root of this very package in front."""
    import_root = str(Path(mag.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join((import_root, inherited)) if inherited else import_root
    return {**os.environ, "PYTHONPATH": path}


async def _stream(pipe: IO[bytes] | None) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1 << 28)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
