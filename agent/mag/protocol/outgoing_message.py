"""What the core gives to be sent."""

from dataclasses import dataclass
from ipaddress import IPv6Address


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One Mobility Header message, to go into an IPv6 packet with Next Header 135."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address
