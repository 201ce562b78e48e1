"""Bounded reading of octets; errors are re-exported beside the reader."""

from struct import Struct
from typing import Any

from mag.wire.errors import (
    BadChecksum,
    BadCode,
    BadHopLimit,
    BadPayloadProtocol,
    BadSource,
    BadTarget,
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
    "BadTarget",
    "DuplicateOption",
    "HeaderTooShort",
    "MalformedOption",
    "Reader",
    "Truncated",
    "UnexpectedPacket",
    "UnknownMobilityHeaderType",
    "WireError",
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
