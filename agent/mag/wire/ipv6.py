"""IPv6 packets without extension headers (RFC 8200 §3)."""

from ipaddress import IPv6Address
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.buffer import Reader, UnexpectedPacket

_VERSION: Final = 6
_VERSION_SHIFT: Final = 28
DEFAULT_HOP_LIMIT: Final = 64


@frozen
class IPv6Packet:
    """What our messages travel in; traffic class and flow label are 0 and ignored."""

    source: IPv6Address
    destination: IPv6Address
    next_header: int
    payload: bytes
    """What follows the 40 octets of the header, up to 65535 octets."""
    hop_limit: int = DEFAULT_HOP_LIMIT

    LAYOUT: ClassVar[Struct] = Struct("!IHBB16s16s")

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Read a packet; octets behind its Payload Length (link padding) are ignored.

        Raises UnexpectedPacket for another IP version, Truncated if octets are missing.
        """
        reader = Reader(packet)
        first_word, length, next_header, hop_limit, source, destination = reader.unpack(cls.LAYOUT)
        if first_word >> _VERSION_SHIFT != _VERSION:
            raise UnexpectedPacket(f"IP version {first_word >> _VERSION_SHIFT}")
        return cls(
            IPv6Address(source),
            IPv6Address(destination),
            next_header,
            reader.take(length),
            hop_limit,
        )

    def encode(self) -> bytes:
        """Write the packet. Raises struct.error for values that do not fit."""
        header = self.LAYOUT.pack(
            _VERSION << _VERSION_SHIFT,
            len(self.payload),
            self.next_header,
            self.hop_limit,
            self.source.packed,
            self.destination.packed,
        )
        return header + self.payload
