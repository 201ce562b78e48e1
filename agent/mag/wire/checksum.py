"""The Internet checksum over an IPv6 pseudo-header (RFC 8200 §8.1, RFC 6275 §6.1.1)."""

from ipaddress import IPv6Address

from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER


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
    padded = int.from_bytes(data, "big") << 8 * (len(data) % 2)
    # 2^16 = 1 (mod 0xffff): of each number one remainder is the one's complement sum of its words.
    return -(int(source) + int(destination) + len(data) + next_header + padded) % 0xFFFF
