"""Network namespaces of a test, and calls inside them."""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pyroute2 import netns

_numbers = itertools.count()
_R = TypeVar("_R")


def in_namespace(name: str, call: Callable[[], _R]) -> _R:
    """Call in a thread of its own inside the namespace; sockets made there stay there."""
    with ThreadPoolExecutor(1, initializer=netns.setns, initargs=(name, 0)) as thread:
        return thread.submit(call).result()


@contextmanager
def namespace_pair() -> Iterator[tuple[str, str]]:
    """Names of a fresh gateway namespace and a fresh world around it."""
    number = next(_numbers)
    names = (f"magtest-{os.getpid()}-{number}-gw", f"magtest-{os.getpid()}-{number}-world")
    made = []
    try:
        for name in names:
            netns.create(name)
            made.append(name)
        yield names
    finally:
        for name in made:
            netns.remove(name)
