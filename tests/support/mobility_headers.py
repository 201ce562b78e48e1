"""Mobility Headers made octet by octet, for tests of what our encoder would never send."""

from ipaddress import IPv6Address
from typing import Final

from mag.wire.checksum import checksum

MAG: Final = IPv6Address("2001:db8:0:a::1")
LMA: Final = IPv6Address("2001:db8:0:b::1")

BU_FIXED: Final = bytes.fromhex("0101 c200 0384")
"""Message data of a Proxy Binding Update up to its options."""
BA_FIXED: Final = bytes.fromhex("0020 0101 0384")
"""Message data of an accepting Proxy Binding Acknowledgement up to its options."""


def mobility_header(
    mh_type: int,
    message_data: bytes,
    *,
    payload_protocol: int = 59,
    header_len: int | None = None,
    reserved: int = 0,
    source: IPv6Address = LMA,
    destination: IPv6Address = MAG,
) -> bytes:
    """A header with the right checksum; header_len None fits the data, whose size is kept."""
    length = (6 + len(message_data)) // 8 - 1 if header_len is None else header_len
    header = bytes((payload_protocol, length, mh_type, reserved, 0, 0))
    return repair_checksum(header + message_data, source, destination)


def acknowledgement(options: bytes) -> bytes:
    """A Proxy Binding Acknowledgement with these octets as options, padded with Pad1."""
    padding = bytes(-(12 + len(options)) % 8)
    return mobility_header(6, BA_FIXED + options + padding)


def repair_checksum(data: bytes, source: IPv6Address, destination: IPv6Address) -> bytes:
    """The same octets with the checksum that Header Len asks for."""
    covered = data[: (data[1] + 1) * 8]
    value = checksum(covered[:4] + bytes(2) + covered[6:], source, destination)
    return data[:4] + value.to_bytes(2, "big") + data[6:]
