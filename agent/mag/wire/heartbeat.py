"""Heartbeat request and response (RFC 5847 §3.3)."""

from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.iana import HeartbeatFlag, MobilityHeaderType
from mag.wire.options import CarriesOptions, MobilityOption, decode_options, encode_options

_OPTIONS_START: Final = 12
_REQUEST: Final = HeartbeatFlag(0)
_KNOWN_FLAGS: Final = HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED


@frozen
class Heartbeat(CarriesOptions):
    """Are you there, and are you the one you were?"""

    sequence: int
    """32 bits; a response repeats the request's."""
    flags: HeartbeatFlag = _REQUEST
    """None for a request."""
    options: tuple[MobilityOption, ...] = ()

    MH_TYPE: ClassVar[int] = MobilityHeaderType.HEARTBEAT
    MINIMUM_HEADER_LEN: ClassVar[int] = 1
    LAYOUT: ClassVar[Struct] = Struct("!HI")

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a whole Mobility Header that holds the fixed part. Raises WireError."""
        flags, sequence = cls.LAYOUT.unpack_from(message, 6)
        options = decode_options(message, _OPTIONS_START)
        return cls(sequence, HeartbeatFlag(flags & _KNOWN_FLAGS), options)

    def encode(self) -> bytes:
        """Write the message data. Raises ValueError or struct.error for misuse."""
        fixed = self.LAYOUT.pack(self.flags, self.sequence)
        return fixed + encode_options(self.options, _OPTIONS_START)

    @property
    def is_response(self) -> bool:
        """R flag."""
        return HeartbeatFlag.RESPONSE in self.flags

    @property
    def is_unsolicited(self) -> bool:
        """U flag: tells of a restart, nobody has asked."""
        return HeartbeatFlag.UNSOLICITED in self.flags
