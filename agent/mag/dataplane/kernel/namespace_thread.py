"""One thread for all kernel work, in the network namespace it is to work in.

Netlink sockets, libnftables and /proc/sys all look at the namespace of the calling thread. One
thread also puts every change in order without locks and keeps long dumps off the event loop.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from pyroute2 import netns as namespaces

from mag.dataplane.base import DataplaneError

_P = ParamSpec("_P")
_R = TypeVar("_R")


class NamespaceThread:
    """Runs blocking calls one after another in one namespace."""

    def __init__(self, netns: str | None) -> None:
        """netns: name of the namespace, None for the one of the process."""
        self._netns = netns
        self._is_inside = netns is None
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Carry out `call` in the thread; cancelling the caller does not stop what has begun.

        Raises DataplaneError, without calling, when the namespace cannot be entered.
        """
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "mag-kernel")
        inside = partial(self._call_inside, partial(call, *args, **kwargs))
        return await asyncio.wrap_future(self._executor.submit(inside))

    def stop(self) -> None:
        """End the thread after what it is doing now."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
            self._is_inside = self._netns is None

    def _call_inside(self, call: Callable[[], _R]) -> _R:
        if not self._is_inside:
            self._enter()
        return call()

    def _enter(self) -> None:
        try:
            namespaces.setns(self._netns, flags=0)
        except OSError as error:
            reason = error.strerror or str(error)
            target = str(self._netns)
            raise DataplaneError("enter network namespace", reason, target=target) from error
        self._is_inside = True
