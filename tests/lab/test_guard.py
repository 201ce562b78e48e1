"""A process under guard goes with its watcher, and a watcher that goes in order costs nothing."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.lab_process import wait_until
from mag.lab.packet_path.guard import Guard

PATIENCE_S = 20.0
WATCHER = """
import subprocess, sys, time
from pathlib import Path
from mag.lab.packet_path.guard import Guard
process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
Guard(process.pid, [Path(sys.argv[1])])
print(process.pid, flush=True)
time.sleep(60)
"""


def ends(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], PATIENCE_S)[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_process_goes_with_its_watcher_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    leftover = tmp_path / "segment"
    leftover.touch()
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(leftover)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert watcher.stdout is not None
    process = os.pidfd_open(int(watcher.stdout.readline()))
    watcher.send_signal(number)
    watcher.communicate()
    try:
        assert ends(process)
        wait_until(lambda: not leftover.exists(), "the file is gone")
    finally:
        os.close(process)


def test_guard_that_is_dismissed_ends_and_leaves_files_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch()
    process = subprocess.Popen([sys.executable, "-c", ""])
    guard = Guard(process.pid, [kept])
    process.wait()
    guard.dismiss()
    assert kept.exists()
