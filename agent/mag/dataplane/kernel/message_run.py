"""Messages of a dump that are laid out alike, read together.

With 100,000 bindings a dump is 300,000 messages that differ in a few values. To walk through the
attributes of each costs ten times what it takes to pick the values from where those of the first
one are, once it is certain that all have the same there but for the values.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

MESSAGE_HEADER_OCTETS: Final = 16


class Value(NamedTuple):
    """Where a value is within each message."""

    offset: int
    format: str
    """One field in struct's language."""


class MessageRun(NamedTuple):
    """Netlink messages behind each other, all of one length, with their headers."""

    octets: bytes
    size: int
    """Of each, with its padding."""

    def first(self) -> bytes:
        """That the others may be like."""
        return self.octets[: self.size]

    def bodies(self) -> Iterator[bytes]:
        """Each without its header."""
        for start in range(0, len(self.octets), self.size):
            yield self.octets[start + MESSAGE_HEADER_OCTETS : start + self.size]

    def is_alike_in(self, offsets: Iterable[int]) -> bool:
        """Whether all messages have the same octets there."""
        octets, size = self.octets, self.size
        count, rest = divmod(len(octets), size)
        return not rest and all(
            octets[offset::size] == octets[offset : offset + 1] * count for offset in offsets
        )

    def pick(self, values: Sequence[Value]) -> Iterator[tuple[Any, ...]]:
        """The values of each message; they are given in the order of their offsets."""
        layout, end = "=", 0
        for offset, field in values:
            layout += f"{offset - end}x{field}"
            end = offset + struct.calcsize(f"={field}")
        return struct.iter_unpack(f"{layout}{self.size - end}x", self.octets)
