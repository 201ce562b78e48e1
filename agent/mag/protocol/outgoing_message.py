"""What the core gives to be sent."""

from ipaddress import IPv6Address

from mag.frozen import frozen
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER


@frozen
class OutgoingMessage:
    """A Mobility Header message, or an ICMPv6 error about one, to go into an IPv6 packet."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address
    next_header: int = IP_PROTOCOL_MOBILITY_HEADER
