"""What the gateways and the LMA say while a scenario runs, in one list with one clock."""

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Any

from mag.frozen import frozen
from mag.lab.errors import LabError
from mag.lab.world.node_process import NodeProcess
from mag.services.admin_client import AdminClient, AdminError

_QUIET_S = 3600.0
"""The LMA may have nothing to say for as long as a lab is held."""


@frozen
class LabEvent:
    """One thing that happened somewhere."""

    at: float
    """Seconds since 1970."""
    source: str
    """The gateway's or the LMA's name."""
    name: str
    facts: dict[str, Any]

    @property
    def mn_id(self) -> str | None:
        """The mobile node it is about."""
        return self.facts.get("mn_id")

    def is_of(self, source: str, name: str, mn_id: str) -> bool:
        """Whether it is this one."""
        return (self.source, self.name, self.mn_id) == (source, name, mn_id)


class EventFeed:
    """Collects events in the background; readers look back or wait."""

    def __init__(self) -> None:
        self._events: list[LabEvent] = []
        self._news = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def follow_gateway(self, name: str, client: AdminClient) -> None:
        """Take in a gateway's event stream until it ends."""
        self._tasks.append(asyncio.create_task(self._follow_gateway(name, client)))

    def follow_anchor(self, name: str, process: NodeProcess) -> None:
        """Take in the lines of the LMA until it ends."""
        self._tasks.append(asyncio.create_task(self._follow_anchor(name, process)))

    def close(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()

    def events(self, mn_id: str, since: float, until: float = float("inf")) -> tuple[LabEvent, ...]:
        """What was said about a mobile node in a period, in order."""
        about = (
            event for event in self._events if event.mn_id == mn_id and since <= event.at <= until
        )
        return tuple(sorted(about, key=lambda event: event.at))

    async def wait_for(
        self, wanted: Callable[[LabEvent], bool], timeout_s: float, what: str
    ) -> LabEvent:
        """The first event, past ones included, that is wanted; LabError names `what` if none."""
        seen = 0
        try:
            async with asyncio.timeout(timeout_s), self._news:
                while True:
                    for event in self._events[seen:]:
                        if wanted(event):
                            return event
                    seen = len(self._events)
                    await self._news.wait()
        except TimeoutError as error:
            raise LabError(f"{what}: not within {timeout_s:g} s") from error

    async def first_of_each(
        self, source: str, name: str, mn_ids: Collection[str], since: float, timeout_s: float
    ) -> dict[str, LabEvent]:
        """The first event of that name about each of these nodes since a moment, by MN-Identifier.

        Raises LabError with how many are missing.
        """
        found: dict[str, LabEvent] = {}
        wanted = frozenset(mn_ids)

        def completes(event: LabEvent) -> bool:
            is_wanted = (event.source, event.name) == (source, name) and event.at >= since
            if is_wanted and event.mn_id is not None and event.mn_id in wanted:
                found.setdefault(event.mn_id, event)
            return len(found) == len(wanted)

        what = f"{source}: {name} for {len(wanted)} nodes"
        try:
            await self.wait_for(completes, timeout_s, what)
        except LabError as error:
            raise LabError(f"{error}, but for {len(found)}") from error
        return found

    async def _follow_gateway(self, name: str, client: AdminClient) -> None:
        try:
            async for document in client.events():
                await self._take(name, document)
        except AdminError:
            return

    async def _follow_anchor(self, name: str, process: NodeProcess) -> None:
        try:
            while True:
                await self._take(name, json.loads(await process.next_line(_QUIET_S)))
        except LabError:
            return

    async def _take(self, source: str, document: dict[str, Any]) -> None:
        facts = dict(document)
        at, event_name = facts.pop("at"), facts.pop("event")
        async with self._news:
            self._events.append(LabEvent(at, source, event_name, facts))
            self._news.notify_all()
