"""How other commands find a lab that is held, and run something in one of its nodes.

Every lab has a name in the abstract Unix socket space of the network namespace it was started in:
nothing lies on disk, and the name is gone with the lab. While it is held, the lab's first process
listens there; the kernel vouches for its pid (SO_PEERCRED), under which its mounts and namespaces
are found in /proc.
"""

import asyncio
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from mag.frozen import frozen
from mag.lab.errors import LabError
from mag.lab.world import linux_calls, topology
from mag.lab.world.private_namespaces import GATEWAY_RUN_DIRECTORY, NETWORK_NAMESPACES

_NAME_PREFIX: Final = "mag-lab-"
_MAX_LABS: Final = 64
_REPLY_TIMEOUT_S: Final = 2.0
_CREDENTIALS: Final = struct.Struct("@iII")
_COMMAND_NOT_EXECUTABLE: Final = 126
_COMMAND_NOT_FOUND: Final = 127


@frozen
class HeldLab:
    """A lab that waits for its end."""

    name: str
    pid: int
    """Of its first process, as seen from here."""
    held_since: float
    """Seconds since 1970."""
    nodes: tuple[str, ...]
    gateway_sockets: dict[str, Path]
    """Admin sockets by gateway, reachable from here."""
    anchor_socket: Path
    """Control socket of the LMA, likewise."""

    @property
    def root(self) -> Path:
        """The lab's file system."""
        return Path(f"/proc/{self.pid}/root")


def gateway_socket(gateway: str) -> Path:
    """A gateway's admin socket inside the lab."""
    return GATEWAY_RUN_DIRECTORY / f"{gateway}.sock"


def anchor_socket() -> Path:
    """The LMA's control socket inside the lab."""
    return GATEWAY_RUN_DIRECTORY / f"{topology.LOCAL_MOBILITY_ANCHOR}.sock"


def take_name() -> tuple[str, socket.socket]:
    """Take the first free name; it is held as long as the socket, which does not listen yet.

    To be called in the network namespace whose users shall find the lab.
    """
    for number in range(1, _MAX_LABS + 1):
        name = f"{_NAME_PREFIX}{number}"
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0{name}")
        except OSError:
            holder.close()
            continue
        return name, holder
    raise LabError(f"{_MAX_LABS} labs run here already")


async def answer_seekers(name: str, holder: socket.socket, held_since: float) -> asyncio.Server:
    """Listen on the lab's name and tell whoever connects what there is; by its first process."""
    sockets = {gateway.name: str(gateway_socket(gateway.name)) for gateway in topology.GATEWAYS}
    document = {
        "name": name,
        "held_since": held_since,
        "nodes": topology.NODES,
        "gateway_sockets": sockets,
        "anchor_socket": str(anchor_socket()),
    }
    reply = json.dumps(document).encode()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()

    return await asyncio.start_unix_server(answer, sock=holder)


def find_held_lab(name: str | None = None) -> HeldLab | None:
    """The lab of that name, or the one that has been held for the shortest time; None: none."""
    labs = [lab for each in _names() if (lab := _ask(each)) is not None]
    if name is not None:
        labs = [lab for lab in labs if lab.name == name]
    return max(labs, key=lambda lab: lab.held_since, default=None)


def _names() -> Iterator[str]:
    """Names taken in this network namespace, whether held or not."""
    table = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
    paths = (line.split()[-1] for line in table.splitlines())
    # A listening socket and each connection to it have a line of their own.
    return iter({path[1:] for path in paths if path.startswith(f"@{_NAME_PREFIX}")})


def _ask(name: str) -> HeldLab | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as seeker:
        seeker.settimeout(_REPLY_TIMEOUT_S)
        try:
            seeker.connect(f"\0{name}")
            pid = _vouched_pid(seeker)
            reply = b"".join(iter(lambda: seeker.recv(4096), b""))
        except OSError:
            return None
    return None if pid is None else _held_lab(pid, json.loads(reply))


def _vouched_pid(seeker: socket.socket) -> int | None:
    """The listener's pid; None if it is neither root's nor ours: anybody can take a name."""
    size = _CREDENTIALS.size
    credentials = seeker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return pid if uid in (0, os.geteuid()) else None


def _held_lab(pid: int, reply: dict[str, Any]) -> HeldLab:
    root = Path(f"/proc/{pid}/root")
    sockets = reply["gateway_sockets"].items()
    return HeldLab(
        name=reply["name"],
        pid=pid,
        held_since=reply["held_since"],
        nodes=tuple(reply["nodes"]),
        gateway_sockets={gateway: root / path.lstrip("/") for gateway, path in sockets},
        anchor_socket=root / reply["anchor_socket"].lstrip("/"),
    )


def exec_in_lab(node: str, command: Sequence[str], lab_name: str | None = None) -> int:
    """Run a command in a node of a held lab with our standard streams.

    Returns its exit status; 128 + N for one that signal N ended, 127 and 126 as a shell does,
    1 with one line on standard error when there is no such lab or node.
    """
    try:
        return _exec(_seek(node, lab_name), node, command)
    except LabError as error:
        print(f"mag lab exec: {error}", file=sys.stderr)
        return 1


def _seek(node: str, lab_name: str | None) -> HeldLab:
    lab = find_held_lab(lab_name)
    if lab is None:
        which = "no lab" if lab_name is None else f"no lab {lab_name}"
        raise LabError(f"{which} is held here: start one with mag lab --hold")
    if node not in lab.nodes:
        raise LabError(f"unknown node {node}: there are {', '.join(lab.nodes)}")
    return lab


def _exec(lab: HeldLab, node: str, command: Sequence[str]) -> int:
    namespaces = Path(f"/proc/{lab.pid}/ns")
    try:
        pids = os.open(namespaces / "pid", os.O_RDONLY | os.O_CLOEXEC)
        mounts = os.open(namespaces / "mnt", os.O_RDONLY | os.O_CLOEXEC)
        handle = lab.root / NETWORK_NAMESPACES.relative_to("/") / node
        network = os.open(handle, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise LabError("entering a lab needs root") from error
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux_calls.enter_namespace(pids, linux_calls.CLONE_NEWPID)
        try:
            pid = os.fork()
            if pid == 0:
                _become(command, network, mounts)
        finally:
            linux_calls.enter_namespace(home, linux_calls.CLONE_NEWPID)
    except PermissionError as error:
        raise LabError("entering a lab needs root") from error
    finally:
        for descriptor in (pids, mounts, network, home):
            os.close(descriptor)
    with _keyboard_left_to_the_command():
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(command: Sequence[str], network: int, mounts: int) -> NoReturn:
    """The child: enter the rest, then be the command."""
    try:
        linux_calls.die_with_parent()
        here = Path.cwd()
        linux_calls.enter_namespace(network, linux_calls.CLONE_NEWNET)
        linux_calls.enter_namespace(mounts, linux_calls.CLONE_NEWNS)
        os.chdir(here)
        os.execvp(command[0], list(command))  # noqa: S606 - running it is what was asked for
    except FileNotFoundError as error:
        print(f"mag lab exec: {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(_COMMAND_NOT_FOUND)
    except OSError as error:
        print(f"mag lab exec: {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(_COMMAND_NOT_EXECUTABLE)


@contextmanager
def _keyboard_left_to_the_command() -> Iterator[None]:
    """Ctrl-C goes to both of us; the command decides what it means."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
