"""Named network namespaces: making them, and doing something inside one."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mag.lab.errors import LabError
from mag.lab.world import linux_calls
from mag.lab.world.private_namespaces import NETWORK_NAMESPACES

_THIS_THREADS_NAMESPACE: Final = Path("/proc/thread-self/ns/net")


def create_network_namespace(name: str) -> None:
    """Make an empty network namespace known as `name`; it lives as long as the lab's mounts."""
    handle = NETWORK_NAMESPACES / name
    handle.touch(exist_ok=False)
    failures: list[OSError] = []

    def become_and_name() -> None:
        try:
            linux_calls.unshare(linux_calls.CLONE_NEWNET)
            linux_calls.mount(str(_THIS_THREADS_NAMESPACE), handle, flags=linux_calls.MS_BIND)
        except OSError as error:
            failures.append(error)

    # A thread's namespace is its own and goes with it; only the name given here remains.
    thread = threading.Thread(target=become_and_name)
    thread.start()
    thread.join()
    if failures:
        raise LabError(f"cannot make network namespace {name}: {failures[0]}") from failures[0]


@contextmanager
def inside_network_namespace(name: str) -> Iterator[None]:
    """Be in the named network namespace: sockets and processes made within belong to it.

    Holds for the calling thread; nothing may be awaited inside. Raises LabError when there is
    no namespace of that name.
    """
    home = os.open(_THIS_THREADS_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(name)
        try:
            yield
        finally:
            linux_calls.enter_namespace(home, linux_calls.CLONE_NEWNET)
    finally:
        os.close(home)


def _enter(name: str) -> None:
    try:
        there = os.open(NETWORK_NAMESPACES / name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise LabError(f"no network namespace {name}") from error
    try:
        linux_calls.enter_namespace(there, linux_calls.CLONE_NEWNET)
    finally:
        os.close(there)
