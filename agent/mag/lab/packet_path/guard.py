"""Ends a process when whoever watches over it has ended, however that came about.

Run as `python guard.py PID FILE…`, with standard input a pipe that nobody writes to and whose other
end only the watcher holds: it is closed by the kernel when the watcher is killed. Then the process
is killed and the files it would have left are deleted. PR_SET_PDEATHSIG would look at the thread
that made the process, and threads end earlier.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class Guard:
    """Over one process of ours, until `dismiss`."""

    def __init__(self, pid: int, leftovers: Sequence[Path] = ()) -> None:
        """leftovers: files that go when the process had to be killed."""
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-I", "-S", __file__, str(pid), *map(str, leftovers)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # whoever ends our group must not end the guard first
        )

    def dismiss(self) -> None:
        """The process has ended; returns when the guard has too."""
        self._process.communicate()


def _guard(pid: int, leftovers: Sequence[str]) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    while os.read(sys.stdin.fileno(), 1):
        pass
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
        for leftover in leftovers:
            Path(leftover).unlink(missing_ok=True)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2:])
