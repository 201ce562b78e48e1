"""The numbers that Proxy Binding Updates go out with, and how far they have got (§5.5)."""

import random

from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.ordering import (
    SEQUENCE_BITS,
    OrderingMarks,
    SequenceCounter,
    TimestampSource,
    is_in_block,
    last_of_block,
    next_sequence,
)


class NumberSeries:
    """Gives each PBU its sequence number and, where the domain goes by them, its timestamp."""

    def __init__(
        self, marks: OrderingMarks | None, rng: random.Random, *, is_by_timestamp: bool
    ) -> None:
        """marks: where an earlier run of this gateway stopped; None takes any first number."""
        self._rng = rng
        self._is_by_timestamp = is_by_timestamp
        self._marks = marks or OrderingMarks(rng.getrandbits(SEQUENCE_BITS), 0)
        self._has_new_marks = False
        self._sequence = SequenceCounter(self._marks.sequence)
        self._timestamps = TimestampSource(self._marks.timestamp_ticks)

    def next(self, entry: BindingUpdateListEntry, utc: float) -> tuple[int, int | None]:
        """Sequence number and timestamp of a PBU that leaves at `utc`, seconds since 1970.

        §6.9.4: each transmission has a newer timestamp, or a greater number.
        """
        ticks = self._timestamps.next(utc) if self._is_by_timestamp else None
        return self._next_sequence(entry), ticks

    def reserve(self, sequence: int, ticks: int) -> None:
        """See to it that a gateway that starts again uses neither a second time."""
        if not self._marks.cover(sequence, ticks):
            self._marks = OrderingMarks.beyond(sequence, ticks)
            self._has_new_marks = True

    def reserve_of_session(self, entry: BindingUpdateListEntry, sequence: int) -> bool:
        """The same without timestamps; whether the entry begins a block, which must be stored."""
        if is_in_block(sequence, entry.reserved_sequence):
            return False
        entry.reserved_sequence = last_of_block(sequence)
        return True

    def take_marks(self) -> OrderingMarks | None:
        """The marks if they have moved since the last call."""
        if not self._has_new_marks:
            return None
        self._has_new_marks = False
        return self._marks

    def _next_sequence(self, entry: BindingUpdateListEntry) -> int:
        """Of the gateway's counter beside timestamps, else of the session (§6.9.1.1(6))."""
        if self._is_by_timestamp:
            return self._sequence.next()
        if entry.last_sequence is None:  # RFC 6275 §11.7.1: any; a wrong guess is told by 135
            return self._rng.getrandbits(SEQUENCE_BITS)
        return next_sequence(entry.last_sequence)
