"""A process tree in private mount, network and pid namespaces that cannot leave anything behind.

The tree's first process is process 1 of the pid namespace: when it ends, for whatever reason, the
kernel kills all others of the tree, and with the last of them go namespaces, mounts and links. It
ends itself when the process that started it does (PR_SET_PDEATHSIG), SIGKILL included.
"""

import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from mag.lab.errors import LabError
from mag.lab.world import linux_calls

RUN_DIRECTORY: Final = Path("/run")
NETWORK_NAMESPACES: Final = RUN_DIRECTORY / "netns"
"""Where names of network namespaces live, for us as for iproute2."""
GATEWAY_RUN_DIRECTORY: Final = RUN_DIRECTORY / "mag"

# Logs and sockets of one lab; a runaway log must not eat the machine's memory.
_RUN_OPTIONS: Final = "size=64m,mode=755"


def start_in_private_namespaces(main: Callable[[], int]) -> int:
    """Run `main` as process 1 of new namespaces; returns its pid as the caller sees it.

    The exit status of that process is what `main` returns, 1 after an exception. The caller
    stays in its own namespaces. Raises LabError when the kernel does not permit them.
    """
    this_process = os.pidfd_open(os.getpid())
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _unshare(linux_calls.CLONE_NEWPID)
        try:
            pid = os.fork()
            if pid == 0:
                _be_first_process(main, this_process)
        finally:
            linux_calls.enter_namespace(home, linux_calls.CLONE_NEWPID)
    finally:
        os.close(home)
        os.close(this_process)
    return pid


def _unshare(namespaces: int) -> None:
    try:
        linux_calls.unshare(namespaces)
    except OSError as error:
        raise LabError(f"private namespaces are not permitted here: {error.strerror}") from error


def _be_first_process(main: Callable[[], int], parent: int) -> NoReturn:
    """A forked child must not unwind into what the parent was doing."""
    status = 1
    try:
        linux_calls.die_with_parent()
        if _has_ended(parent):
            os._exit(status)
        # A session of its own: Ctrl-C reaches the starter alone, which tells us in order.
        os.setsid()
        _enter_private_namespaces()
        status = main()
    except LabError as error:
        print(f"mag lab: {error}", file=sys.stderr)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _has_ended(process: int) -> bool:
    """process: a pidfd, readable once its process has ended."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))


def _enter_private_namespaces() -> None:
    _unshare(linux_calls.CLONE_NEWNS | linux_calls.CLONE_NEWNET)
    try:
        # Before anything is mounted: nothing of ours may propagate to the machine.
        linux_calls.mount("none", Path("/"), flags=linux_calls.MS_REC | linux_calls.MS_PRIVATE)
        guarded = linux_calls.MS_NOSUID | linux_calls.MS_NODEV | linux_calls.MS_NOEXEC
        linux_calls.mount("proc", Path("/proc"), "proc", guarded)
        linux_calls.mount("tmpfs", RUN_DIRECTORY, "tmpfs", guarded, _RUN_OPTIONS)
    except OSError as error:
        raise LabError(f"private mounts are not permitted here: {error}") from error
    NETWORK_NAMESPACES.mkdir()
    GATEWAY_RUN_DIRECTORY.mkdir()
