"""The IPv6 packets that Neighbor Discovery messages travel in (RFC 4861 §6.1, §7.1)."""

from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from mag.wire.buffer import BadChecksum, BadCode, BadHopLimit, Truncated, UnexpectedPacket
from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet

_HOP_LIMIT: Final = 255
_CHECKSUM_OFFSET: Final = 2
_CHECKSUM: Final = Struct("!H")


def decode_packet(packet: bytes, icmpv6_type: int, minimum_octets: int) -> IPv6Packet:
    """The packet, once it passed the checks that all Neighbor Discovery shares.

    Raises WireError.
    """
    ipv6 = IPv6Packet.decode(packet)
    message = ipv6.payload
    if ipv6.next_header != IP_PROTOCOL_ICMPV6:
        raise UnexpectedPacket(f"next header {ipv6.next_header}")
    if message[:1] != bytes((icmpv6_type,)):
        raise UnexpectedPacket(f"no ICMPv6 type {icmpv6_type}")
    if ipv6.hop_limit != _HOP_LIMIT:
        raise BadHopLimit(f"hop limit {ipv6.hop_limit}")
    if checksum(message, ipv6.source, ipv6.destination, IP_PROTOCOL_ICMPV6) != 0:
        raise BadChecksum(f"from {ipv6.source}")
    if len(message) < minimum_octets:
        raise Truncated(f"{len(message)} octets of ICMPv6 type {icmpv6_type}")
    if message[1] != 0:
        raise BadCode(f"code {message[1]}")
    return ipv6


def encode_packet(message: bytes, source: IPv6Address, destination: IPv6Address) -> bytes:
    """The IPv6 packet around an ICMPv6 message whose checksum field is 0."""
    value = checksum(message, source, destination, IP_PROTOCOL_ICMPV6)
    after = _CHECKSUM_OFFSET + _CHECKSUM.size
    payload = message[:_CHECKSUM_OFFSET] + _CHECKSUM.pack(value) + message[after:]
    return IPv6Packet(source, destination, IP_PROTOCOL_ICMPV6, payload, _HOP_LIMIT).encode()
