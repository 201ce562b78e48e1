"""Hands everything that happens to whoever is watching; a slow watcher loses, never delays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

WATCHER_BACKLOG: Final = 4096
"""Entries kept for one watcher; beyond them the oldest are dropped and counted."""


class _Watcher:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(WATCHER_BACKLOG)
        self.lost = 0

    def put(self, entry: dict[str, Any] | None) -> None:
        """None: there will be no more."""
        if self.queue.full():
            self.queue.get_nowait()
            self.lost += 1
        self.queue.put_nowait(entry)


class EventStream:
    """Fans entries out to any number of watchers."""

    def __init__(self) -> None:
        self._watchers: list[_Watcher] = []

    @property
    def is_watched(self) -> bool:
        """Whether an entry would reach anyone."""
        return bool(self._watchers)

    def publish(self, entry: dict[str, Any]) -> None:
        """Give one entry to every watcher."""
        for watcher in self._watchers:
            watcher.put(entry)

    def close(self) -> None:
        """Let every watcher come to its end once it has read what there is."""
        for watcher in self._watchers:
            watcher.put(None)

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """Every entry until `close`; `events_lost` stands where some could not be kept."""
        with self._watching() as watcher:
            while (entry := await watcher.queue.get()) is not None:
                if watcher.lost:
                    yield {"event": "events_lost", "at": entry["at"], "count": watcher.lost}
                    watcher.lost = 0
                yield entry

    @contextlib.contextmanager
    def _watching(self) -> Iterator[_Watcher]:
        watcher = _Watcher()
        self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
