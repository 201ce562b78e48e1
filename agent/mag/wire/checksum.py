"""The Internet checksum over an IPv6 pseudo-header (RFC 8200 §8.1, RFC 6275 §6.1.1)."""

from ipaddress import IPv6Address
from struct import Struct

from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER

_PSEUDO_HEADER_END = Struct("!I3xB")


def checksum(
    data: bytes,
    source: IPv6Address,
    destination: IPv6Address,
    next_header: int = IP_PROTOCOL_MOBILITY_HEADER,
) -> int:
    """The value for the checksum field of `data`; 0 if `data` holds its right checksum already.

    data: the upper-layer message; to make a checksum its checksum field is 0.
    next_header: 135 for a Mobility Header, 58 for ICMPv6.
    """
    pseudo_header = (
        source.packed + destination.packed + _PSEUDO_HEADER_END.pack(len(data), next_header)
    )
    padding = b"\0" if len(data) % 2 else b""
    # 2^16 = 1 (mod 0xffff), so one big remainder is the one's complement sum of all words.
    return -int.from_bytes(pseudo_header + data + padding, "big") % 0xFFFF
