"""MLDv2 General Query (RFC 3810 §5.1)."""

from ipaddress import IPv6Address
from struct import Struct
from typing import ClassVar, Final

from mag.frozen import frozen
from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet

ALL_NODES: Final = IPv6Address("ff02::1")

_HOP_BY_HOP_OPTIONS: Final = 0
_MLD_ROUTER_ALERT: Final = bytes((IP_PROTOCOL_ICMPV6, 0, 5, 2, 0, 0, 1, 0))
"""RFC 2711: Router Alert 0, and PadN to eight octets."""
_HOP_LIMIT: Final = 1
_ROBUSTNESS: Final = 2
_QUERY_INTERVAL_CODE: Final = 125


@frozen
class MulticastListenerQuery:
    """Which groups does anybody listen to? A General Query names none."""

    maximum_response_delay_ms: int
    """0 to 32767."""

    TYPE: ClassVar[int] = 130
    LAYOUT: ClassVar[Struct] = Struct("!BBHHH16sBBH")

    def encode(self, source: IPv6Address) -> bytes:
        """The whole IPv6 packet from a link-local address to all nodes."""
        query = self._pack(source, 0)
        value = checksum(query, source, ALL_NODES, IP_PROTOCOL_ICMPV6)
        payload = _MLD_ROUTER_ALERT + self._pack(source, value)
        return IPv6Packet(source, ALL_NODES, _HOP_BY_HOP_OPTIONS, payload, _HOP_LIMIT).encode()

    def _pack(self, source: IPv6Address, value: int) -> bytes:
        delay = self.maximum_response_delay_ms
        no_group = bytes(len(source.packed))
        return self.LAYOUT.pack(
            self.TYPE, 0, value, delay, 0, no_group, _ROBUSTNESS, _QUERY_INTERVAL_CODE, 0
        )
