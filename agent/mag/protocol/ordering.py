"""Sequence numbers and timestamps that order Proxy Binding Updates (RFC 5213 §5.5)."""

from typing import Final

from mag.frozen import frozen

TICKS_PER_S: Final = 65536
"""The Timestamp option counts 1/65536 s (RFC 5213 §8.8)."""
MAX_STEP_BACK_S: Final = 2
"""Further back, a clock has been corrected."""


SEQUENCE_BITS: Final = 16
_SEQUENCE_MASK: Final = (1 << SEQUENCE_BITS) - 1
_SEQUENCE_WINDOW: Final = 0x8000


def next_sequence(sequence: int) -> int:
    """The number after this one, modulo 2^16 (RFC 6275 §11.1)."""
    return (sequence + 1) & _SEQUENCE_MASK


def is_greater_sequence(sequence: int, last: int) -> bool:
    """RFC 6275 §9.5.1: neither the last number nor one of the 32768 before it."""
    return (last - sequence) & _SEQUENCE_MASK > _SEQUENCE_WINDOW


def last_of_block(sequence: int) -> int:
    """The last number of the block of a session's numbers that begins with this one."""
    return (sequence + SESSION_BLOCK - 1) & _SEQUENCE_MASK


def is_in_block(sequence: int, last: int | None) -> bool:
    """Whether a session's number lies in the block that ends with `last`; None: no block yet."""
    return last is not None and (last - sequence) & _SEQUENCE_MASK < SESSION_BLOCK


class SequenceCounter:
    """The MAG-wide counter that the timestamp scheme uses to match replies (RFC 5213 §6.9.1.1)."""

    def __init__(self, first: int) -> None:
        """first: any 16-bit value; a random one keeps a restarted gateway's old replies apart."""
        self._next = first

    def next(self) -> int:
        """The next number."""
        number = self._next
        self._next = next_sequence(number)
        return number


class TimestampSource:
    """Timestamps of which no two are equal and none is older than the one before it.

    An LMA answers an equal timestamp with status 156 and so blames the clock (interpretation
    INT-07), hence one tick more whenever the clock has not moved on, or has stepped back a little.
    A clock that was far ahead and is right again is followed: what it had said was not accepted.
    """

    def __init__(self, first: int = 0) -> None:
        """first: ticks that nothing has been sent with, nor with any greater."""
        self._last = first - 1

    def next(self, utc: float) -> int:
        """utc: seconds since 1970. Returns ticks of 1/65536 s."""
        ticks = int(utc * TICKS_PER_S)
        if ticks > self._last - MAX_STEP_BACK_S * TICKS_PER_S:
            ticks = max(ticks, self._last + 1)
        self._last = ticks
        return ticks


SESSION_BLOCK: Final = 16
"""Sequence numbers of one session."""
SEQUENCE_BLOCK: Final = 4096
TIMESTAMP_BLOCK_TICKS: Final = TICKS_PER_S // 4
"""Shorter than a start takes, and than the 0.3 s by which an LMA lets clocks differ."""


@frozen
class OrderingMarks:
    """What a gateway that starts again goes on with: nothing from here on has been used.

    Kept in blocks: so that no number is used twice, they must outlast the gateway before anything
    that they cover is sent.
    """

    sequence: int
    """Of the gateway's counter."""
    timestamp_ticks: int

    @classmethod
    def beyond(cls, sequence: int, timestamp_ticks: int) -> "OrderingMarks":
        """A new block that begins with these two."""
        return cls(
            sequence + SEQUENCE_BLOCK & _SEQUENCE_MASK, timestamp_ticks + TIMESTAMP_BLOCK_TICKS
        )

    def cover(self, sequence: int, timestamp_ticks: int) -> bool:
        """Whether both lie in the block."""
        left = self.sequence - sequence & _SEQUENCE_MASK
        before = self.timestamp_ticks - timestamp_ticks
        return 0 < left <= SEQUENCE_BLOCK and 0 < before <= TIMESTAMP_BLOCK_TICKS
