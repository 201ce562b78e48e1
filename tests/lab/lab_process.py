"""`mag lab` as a process of its own, and what it must not leave behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mag.lab.world import linux_calls, topology

PATIENCE_S = 30.0


class LabProcess:
    """A running `mag lab`."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "mag", "lab", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )

    def first_process(self) -> int:
        """Pid of process 1 inside, as seen from here."""
        pid = self.popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        wait_until(lambda: bool(children.read_text().split()), "the lab has a first process")
        return int(children.read_text().split()[0])

    def namespace(self) -> str:
        """Its pid namespace, once it has processes beside the first."""
        namespace = str(Path(f"/proc/{self.first_process()}/ns/pid").readlink())
        wait_until(lambda: len(processes_in(namespace)) > 2, "the lab runs daemons")
        return namespace

    def signal(self, number: signal.Signals) -> float:
        """Send a signal, wait for the end; seconds that took."""
        started = time.monotonic()
        self.popen.send_signal(number)
        # Not for the ends of its pipes: what it left behind would hold them open.
        self.popen.wait(timeout=PATIENCE_S)
        return time.monotonic() - started


def exec_in(node: str, *command: str) -> subprocess.CompletedProcess[str]:
    """`mag lab exec` in the lab that is held, with a line on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "mag", "lab", "exec", node, *command],
        capture_output=True,
        text=True,
        check=False,
        input="typed\n",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@contextmanager
def running(*arguments: str) -> Iterator[LabProcess]:
    """A lab that is gone at the end, whatever happens."""
    lab = LabProcess(*arguments)
    try:
        yield lab
    finally:
        lab.popen.kill()
        lab.popen.communicate()


def processes_in(namespace: str) -> set[int]:
    """Pids of all processes in a pid namespace."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "ns" / "pid").readlink()) == namespace:
                found.add(int(process.name))
        except OSError:
            continue
    return found


def left_behind(namespace: str) -> list[str]:
    """Processes of a lab, and whatever of it can be seen from outside."""
    interfaces = [
        line.split(":")[0].strip()
        for line in Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()
        if ":" in line
    ]
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    sockets = Path("/proc/self/net/unix").read_text(encoding="utf-8")
    return [
        *(f"process {pid}" for pid in processes_in(namespace)),
        *(f"interface {name}" for name in interfaces if name != "lo"),
        # One name for all: others on this machine may well have an `lma`.
        *(["a mount"] if f"/run/netns/{topology.RADIO} " in mounts else []),
        *(["a name"] if "@mag-lab-" in sockets else []),
    ]


@contextmanager
def network_of_its_own() -> Iterator[None]:
    """An empty network namespace for this thread and what it starts: labs of others, with the
    names they take and what they leave, are not to be seen from it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    linux_calls.unshare(linux_calls.CLONE_NEWNET)
    try:
        yield
    finally:
        linux_calls.enter_namespace(home, linux_calls.CLONE_NEWNET)
        os.close(home)


def wait_until(condition: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    """Return as soon as it holds; fail naming it when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not so: {what}"
        time.sleep(0.01)
