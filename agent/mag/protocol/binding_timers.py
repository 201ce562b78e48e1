"""When something is due for a binding: several timers each, and one place in one calendar."""

from collections.abc import Iterator, Mapping
from math import inf
from operator import attrgetter
from typing import Final

from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.registration import BindingTimer
from mag.protocol.wake_calendar import WakeCalendar

_FIELDS: Final[Mapping[BindingTimer, str]] = {timer: f"{timer.value}_due" for timer in BindingTimer}
"""Of an entry, where each timer's deadline is kept."""
_all_deadlines: Final = attrgetter(*_FIELDS.values())

_COMPACT_AT_LEAST: Final = 1024


class BindingTimers:
    """Deadlines are kept in the entries; the calendar has the earliest of each that is there.

    A deadline that moves back leaves the calendar as it is: what comes up too early is put where
    it belongs. What an entry has armed goes with it.
    """

    def __init__(self, binding_update_list: BindingUpdateList) -> None:
        self._list = binding_update_list
        self._calendar = WakeCalendar(self._wakes_at)
        """`wakes_at` and id of entries; another `wakes_at` than the entry's is out of date."""

    def set(self, entry: BindingUpdateListEntry, timer: BindingTimer, deadline: float) -> None:
        """Arm or move a timer of an entry of the list; monotonic seconds."""
        setattr(entry, _FIELDS[timer], deadline)
        if deadline < entry.wakes_at:
            entry.wakes_at = deadline
            self._calendar.add(deadline, entry.binding_id)
            size = self._calendar.size
            if size > _COMPACT_AT_LEAST and size > 4 * len(self._list):
                self._compact()

    def cancel(self, entry: BindingUpdateListEntry, timer: BindingTimer) -> None:
        """Disarm; an unarmed timer is no error."""
        setattr(entry, _FIELDS[timer], inf)

    def deadline(self, entry: BindingUpdateListEntry, timer: BindingTimer) -> float | None:
        """When the timer is due, None if it is not armed."""
        due: float = getattr(entry, _FIELDS[timer])
        return None if due == inf else due

    def next_deadline(self) -> float | None:
        """The earliest deadline, None if nothing is armed."""
        found = self._first()
        return None if found is None else found.wakes_at

    def pop_due(self, now: float) -> Iterator[tuple[BindingUpdateListEntry, BindingTimer]]:
        """Give and disarm each timer due at `now`, earliest first, those armed meanwhile, too."""
        while (entry := self._first()) is not None and entry.wakes_at <= now:
            timer = next(t for t in BindingTimer if getattr(entry, _FIELDS[t]) == entry.wakes_at)
            self.cancel(entry, timer)
            yield entry, timer

    def _first(self) -> BindingUpdateListEntry | None:
        """The entry with the earliest deadline, which is its `wakes_at`."""
        while (first := self._calendar.first()) is not None:
            wakes_at, binding_id = first
            entry = self._list.by_id(binding_id)
            if entry is None or entry.wakes_at != wakes_at:
                self._calendar.drop_first()
                continue
            earliest = min(_all_deadlines(entry))
            if earliest == wakes_at:
                return entry
            entry.wakes_at = earliest
            self._calendar.drop_first()
            if earliest < inf:
                self._calendar.add(earliest, binding_id)
        return None

    def _wakes_at(self, binding_id: int) -> float:
        entry = self._list.by_id(binding_id)
        return inf if entry is None else entry.wakes_at

    def _compact(self) -> None:
        """Drop what is out of date, so that the calendar stays in proportion."""
        self._calendar.refill(
            (each.wakes_at, each.binding_id) for each in self._list if each.wakes_at < inf
        )
