"""Bounded reading and aligned writing of octets; errors are re-exported beside the readers."""

from struct import Struct
from typing import Any

from mag.wire.errors import (
    BadChecksum,
    BadCode,
    BadHopLimit,
    BadPayloadProtocol,
    BadSource,
    DuplicateOption,
    HeaderTooShort,
    MalformedOption,
    Truncated,
    UnexpectedPacket,
    UnknownMobilityHeaderType,
    WireError,
)

__all__ = [
    "BadChecksum",
    "BadCode",
    "BadHopLimit",
    "BadPayloadProtocol",
    "BadSource",
    "DuplicateOption",
    "HeaderTooShort",
    "MalformedOption",
    "Reader",
    "Truncated",
    "UnexpectedPacket",
    "UnknownMobilityHeaderType",
    "WireError",
    "Writer",
]


class Reader:
    """Takes octets from the front of a message and never reads past its end."""

    __slots__ = ("_data", "_offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def remaining(self) -> int:
        """Octets not taken yet."""
        return len(self._data) - self._offset

    def take(self, size: int) -> bytes:
        """The next `size` octets. Raises Truncated when there are fewer."""
        end = self._offset + size
        if end > len(self._data):
            raise Truncated(f"{size} octets wanted, {self.remaining} left")
        octets = self._data[self._offset : end]
        self._offset = end
        return octets

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """The fields of `layout`, taken. Raises Truncated when they do not fit."""
        return layout.unpack(self.take(layout.size))

    def rest(self) -> bytes:
        """Everything not taken yet, taken."""
        return self.take(self.remaining)


class Writer:
    """Appends octets and knows where in the message the next one stands."""

    __slots__ = ("_octets", "_start")

    def __init__(self, start: int = 0) -> None:
        """start: offset in the message of the first octet written."""
        self._start = start
        self._octets = bytearray()

    def write(self, octets: bytes) -> None:
        """Append octets as they are."""
        self._octets += octets

    def octets_to(self, modulus: int, remainder: int) -> int:
        """How many octets are missing to an offset congruent to `remainder` mod `modulus`."""
        return (remainder - self._start - len(self._octets)) % modulus

    def finish(self) -> bytes:
        """All octets written."""
        return bytes(self._octets)
