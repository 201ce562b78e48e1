"""Mobility option of the Heartbeat (RFC 5847)."""

from struct import Struct
from typing import ClassVar, Self

from mag.frozen import frozen
from mag.wire.iana import MobilityOptionType
from mag.wire.options.base import MobilityOption, register


@register
@frozen
class RestartCounterOption(MobilityOption):
    """How often the sender has lost its sessions (RFC 5847 §3.4)."""

    counter: int
    """32 bits; only a change means something."""

    TYPE: ClassVar[int] = MobilityOptionType.RESTART_COUNTER
    ALIGNMENT: ClassVar[tuple[int, int]] = (4, 2)
    LAYOUT: ClassVar[Struct] = Struct("!BBI")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, counter = cls.LAYOUT.unpack(octets)
        return cls(counter)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 4, self.counter)
