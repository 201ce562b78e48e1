"""ICMPv6 error messages about Mobility Headers (RFC 4443 §3, RFC 6275 §9.2, §11.3.5)."""

from enum import IntEnum
from ipaddress import IPv6Address
from struct import Struct
from typing import ClassVar, Final

from mag.frozen import frozen
from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6

_MINIMUM_MTU: Final = 1280
_IPV6_HEADER_OCTETS: Final = 40


class ICMPv6ErrorType(IntEnum):
    """Types below 128 are errors (RFC 4443 §2.1)."""

    DESTINATION_UNREACHABLE = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    PARAMETER_PROBLEM = 4


class ParameterProblemCode(IntEnum):
    """RFC 4443 §3.4."""

    ERRONEOUS_HEADER_FIELD = 0
    UNRECOGNIZED_NEXT_HEADER = 1
    UNRECOGNIZED_OPTION = 2


@frozen
class ParameterProblem:
    """A field of a packet that cannot be processed (RFC 4443 §3.4)."""

    code: ParameterProblemCode
    pointer: int
    """Octet of the invoking packet."""
    invoking_packet: bytes
    """From its IPv6 header on; what does not fit is cut off."""

    LAYOUT: ClassVar[Struct] = Struct("!BBHI")

    def encode(self, source: IPv6Address, destination: IPv6Address) -> bytes:
        """The ICMPv6 message with its checksum; never beyond the minimum MTU (RFC 4443 §2.4)."""
        room = _MINIMUM_MTU - _IPV6_HEADER_OCTETS - self.LAYOUT.size
        quoted = self.invoking_packet[:room]
        kind = ICMPv6ErrorType.PARAMETER_PROBLEM
        blank = self.LAYOUT.pack(kind, self.code, 0, self.pointer) + quoted
        value = checksum(blank, source, destination, IP_PROTOCOL_ICMPV6)
        return self.LAYOUT.pack(kind, self.code, value, self.pointer) + quoted
