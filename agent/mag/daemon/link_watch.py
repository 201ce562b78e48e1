"""Follows the state of access links: nodes leave with one that goes; one that is back is ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Final

import structlog

from mag.daemon.attachments import Attachments
from mag.daemon.node_waker import NodeWaker
from mag.dataplane.base import DataplaneError
from mag.services.access_link import AccessLinkError, AccessLinkPort
from mag.services.event_log import Level, LogEntry
from mag.services.link_monitor import LinkState

LINK_MONITOR_RETRY_S: Final = 1.0

_log = structlog.get_logger()


class LinkWatch:
    """Knows the last state of every access link."""

    def __init__(
        self,
        link_states: Callable[[Collection[str]], AsyncIterator[LinkState]],
        *,
        ports: Mapping[str, AccessLinkPort],
        attachments: Attachments,
        waker: NodeWaker,
        doubt: Callable[[], object],
        note: Callable[[LogEntry], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """link_states: tells the state of each named interface, then every change.

        doubt: called when the packet path may have lost what it had on a link.
        """
        self._link_states = link_states
        self._ports = ports
        self._attachments = attachments
        self._waker = waker
        self._doubt = doubt
        self._note = note
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, LinkState] = {}

    def open(self) -> None:
        """Hear of the states of all links, from now on of those too that were not there before."""
        self.close()
        self._task = self._tasks.create_task(self._watch())

    def close(self) -> None:
        """Hear no more."""
        if self._task is not None:
            self._task.cancel()

    def is_up(self, interface: str) -> bool:
        """As far as its states have been told."""
        state = self._last.get(interface)
        return state is None or state.is_up

    def mtu_octets(self, interface: str) -> int | None:
        """What the interface carries, None while it is not known."""
        state = self._last.get(interface)
        return None if state is None else state.mtu_octets

    def forget(self, interface: str) -> None:
        """It is no access link any more."""
        self._last.pop(interface, None)

    async def _watch(self) -> None:
        while True:
            try:
                async for state in self._link_states(self._ports.keys()):
                    before = self._last.get(state.interface)
                    if state.interface in self._ports and before != state:
                        self._last[state.interface] = state
                        self._changed(state, before)
            except (OSError, DataplaneError) as error:
                _log.error("link_monitor_failed", reason=str(error))
            await asyncio.sleep(LINK_MONITOR_RETRY_S)

    def _changed(self, state: LinkState, before: LinkState | None) -> None:
        facts = {"access_interface": state.interface}
        if not state.is_up:
            self._note(LogEntry("access_link_down", Level.WARNING, facts))
            self._attachments.link_down(state.interface)
        elif before is not None and (not before.is_up or before.index != state.index):
            self._note(LogEntry("access_link_up", Level.INFO, facts))
            self._is_back(state.interface)

    def _is_back(self, interface: str) -> None:
        """With the link went our addresses on it; with an interface that was made anew, all."""
        try:
            self._ports[interface].reopen()
        except AccessLinkError as error:  # it is gone again; its return will be told
            _log.error("access_link_failed", reason=str(error))
            return
        self._doubt()
        self._waker.wake(interface)
