"""When bindings wake: in order for the nearest second, by the second for all others.

Most wake minutes from now. A heap of all of them would have a tuple for each, of 64 octets; a
place in the list of a second has eight.
"""

import heapq
from collections.abc import Callable, Iterable
from math import floor
from typing import Final

_MANY: Final = 1024
"""Fewer are not worth the while."""


class WakeCalendar:
    """Ids by a deadline each, monotonic seconds; one that is added again stays where it was, too.

    So what `first` gives may be out of date: whoever adds knows what holds.
    """

    def __init__(self, wakes_at: Callable[[int], float]) -> None:
        """wakes_at: when an id really wakes; inf for never."""
        self._wakes_at = wakes_at
        self._near: list[tuple[float, int]] = []
        """A heap."""
        self._near_until = -1
        """The last second whose deadlines are all in it."""
        self._near_limit = _MANY
        """How many may be in it before those that need not be are put away. No less than twice as
        many as came in together, which might have to come again."""
        self._far: dict[int, list[int]] = {}
        self._far_seconds: list[int] = []
        """The keys, as a heap."""
        self.size = 0
        """How many there are, those out of date included."""

    def add(self, deadline: float, binding_id: int) -> None:
        """The binding wakes then."""
        self.size += 1
        second = floor(deadline)
        if second <= self._near_until:
            if len(self._near) < self._near_limit or second <= self._near[0][0]:
                heapq.heappush(self._near, (deadline, binding_id))
                return
            self._put_away()
        if (ids := self._far.get(second)) is not None:
            ids.append(binding_id)
        else:
            self._far[second] = [binding_id]
            heapq.heappush(self._far_seconds, second)

    def first(self) -> tuple[float, int] | None:
        """The earliest deadline and its binding."""
        while not self._near and self._far_seconds:
            self._near_until = heapq.heappop(self._far_seconds)
            ids = self._far.pop(self._near_until)
            deadlines = ((self._wakes_at(each), each) for each in ids)
            end = self._near_until + 1
            self._near = [each for each in deadlines if self._near_until <= each[0] < end]
            self.size -= len(ids) - len(self._near)
            heapq.heapify(self._near)
            self._near_limit = max(_MANY, 2 * len(self._near))
        return self._near[0] if self._near else None

    def drop_first(self) -> None:
        """Take away what `first` gave."""
        heapq.heappop(self._near)
        self.size -= 1

    def refill(self, deadlines: Iterable[tuple[float, int]]) -> None:
        """Have these and no others."""
        self._near, self._far, self._far_seconds = [], {}, []
        self._near_until = -1
        self.size = 0
        for deadline, binding_id in deadlines:
            self.add(deadline, binding_id)

    def _put_away(self) -> None:
        """What had been the nearest second is no more: keep only the earliest one in order."""
        near, self._near = self._near, []
        self._near_until = floor(near[0][0])
        self.size -= len(near)
        for deadline, binding_id in near:
            self.add(deadline, binding_id)
