"""One heap of deadlines for everything that waits; no clock inside."""

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_COMPACT_AT_LEAST = 1024


class TimerQueue(Generic[Key]):
    """Deadlines by key. Setting a key again moves it; cancelled ones are skipped lazily."""

    def __init__(self) -> None:
        self._deadlines: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: Key, deadline: float) -> None:
        """Arm or move the timer of `key`; monotonic seconds."""
        self._deadlines[key] = deadline
        self._count += 1  # keys need not be comparable; equal deadlines fire in arming order
        heapq.heappush(self._heap, (deadline, self._count, key))
        if len(self._heap) > _COMPACT_AT_LEAST and len(self._heap) > 4 * len(self._deadlines):
            self._compact()

    def cancel(self, key: Key) -> None:
        """Disarm; an unarmed key is no error."""
        self._deadlines.pop(key, None)

    def deadline(self, key: Key) -> float | None:
        """When `key` is due, None if it is not armed."""
        return self._deadlines.get(key)

    def next_deadline(self) -> float | None:
        """The earliest deadline, None if nothing is armed."""
        while self._heap:
            deadline, _, key = self._heap[0]
            if self._deadlines.get(key) == deadline:
                return deadline
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> Iterator[Key]:
        """Yield and disarm each key due at `now`, earliest first; keys armed meanwhile included."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._deadlines[key]
            yield key

    def _compact(self) -> None:
        """Drop what was moved or cancelled, so that the heap stays in proportion."""
        self._heap = [item for item in self._heap if self._deadlines.get(item[2]) == item[0]]
        heapq.heapify(self._heap)
