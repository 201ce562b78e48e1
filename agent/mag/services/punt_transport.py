"""Mobility Header datagrams over VPP's punt socket (RFC 6275 §6.1)."""

from collections import Counter
from collections.abc import Callable, Collection
from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from mag.services.mobility_transport import ReceiveError, ReceiveMessage
from mag.services.punt_socket import PuntSocket
from mag.wire.checksum import checksum
from mag.wire.errors import Truncated
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER
from mag.wire.ipv6 import DEFAULT_HOP_LIMIT, IPv6Packet

_ECHO_REQUEST: Final = 128
_ECHO: Final = Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number (RFC 4443 §4.1)."""
_FIRST_WORD: Final = 6 << 28
"""Version 6, traffic class and flow label 0."""


class PuntTransport:
    """MobilityTransport over VPP: from core interfaces and known LMAs only."""

    def __init__(
        self,
        punt: PuntSocket,
        proxy_care_of_address: IPv6Address,
        *,
        core_interfaces: tuple[str, ...],
        lma_addresses: Collection[IPv6Address],
    ) -> None:
        """core_interfaces: where LMAs may be heard; the first also picks the table to send in."""
        self.received = 0
        self.lost = 0
        self.send_failures = 0
        self._punt = punt
        self._not_for_us: Counter[str] = Counter()
        self._address = proxy_care_of_address
        self._core_interfaces = core_interfaces
        self._octets = proxy_care_of_address.packed
        self._lmas = {lma.packed: lma for lma in lma_addresses}
        """By the octets of their addresses, as messages have them."""
        self._receive: ReceiveMessage | None = None

    @property
    def discarded(self) -> Counter[str]:
        """Messages that are not for us, and punted packets that are nobody's, by reason."""
        return self._not_for_us + self._punt.discarded

    @property
    def is_congested(self) -> bool:
        """Whether VPP has not taken yet all that was sent."""
        return self._punt.is_congested

    def on_room(self, listener: Callable[[], None]) -> None:
        """Have it called whenever VPP has taken all."""
        self._punt.on_room(listener)

    def catch_up(self) -> None:
        """Hand on now what has arrived."""
        self._punt.catch_up()

    def open(self, receive: ReceiveMessage, receive_error: ReceiveError) -> None:
        """Begin to receive; the punt socket is open. ICMPv6 errors stay with VPP."""
        self._receive = receive
        self._punt.on_losses(self._note_losses)
        for name in self._core_interfaces:
            self._punt.listen(name, IP_PROTOCOL_MOBILITY_HEADER, self._take, is_urgent=True)

    async def resolve_lmas(self) -> None:
        """Ping each LMA: VPP loses the packet that makes it resolve a next hop.

        The first Proxy Binding Update after a start of VPP shall not be that packet.
        """
        self._resolve(self._lmas.values())

    def _resolve(self, lma_addresses: Collection[IPv6Address]) -> None:
        for lma in lma_addresses:
            self._punt.send_routed(self._core_interfaces[0], _echo_request(self._address, lma))

    def reach(self, lma_addresses: Collection[IPv6Address]) -> None:
        """Hear these LMAs, and have VPP resolve the way to those that are new."""
        known, self._lmas = self._lmas, {lma.packed: lma for lma in lma_addresses}
        self._resolve([lma for octets, lma in self._lmas.items() if octets not in known])

    def send(
        self,
        data: bytes,
        destination: IPv6Address,
        next_header: int = IP_PROTOCOL_MOBILITY_HEADER,
    ) -> bool:
        """Send one message; False if VPP did not take it, which retransmission meets."""
        header = IPv6Packet.LAYOUT.pack(
            _FIRST_WORD, len(data), next_header, DEFAULT_HOP_LIMIT, self._octets, destination.packed
        )
        is_sent = self._punt.send_routed(self._core_interfaces[0], header + data)
        self.send_failures += not is_sent
        return is_sent

    def close(self) -> None:
        """Stop receiving, and close the punt socket: access links are closed by then."""
        self._punt.close()
        self._receive = None

    def _note_losses(self, lost: int) -> None:
        # Of all that VPP punts: it does not count one kind of packet apart from another.
        self.lost += lost

    def _take(self, frame: EthernetFrame) -> None:
        packet = frame.payload  # its header is whole, and IPv6's: else nobody listens for it
        _, length, _, _, source, destination = IPv6Packet.LAYOUT.unpack_from(packet)
        lma = self._lmas.get(source)
        if len(packet) - IPv6Packet.LAYOUT.size < length:
            self._not_for_us[Truncated.reason] += 1
        elif destination != self._octets:
            self._not_for_us["wrong_destination"] += 1
        elif lma is None:
            self._not_for_us["unknown_sender"] += 1
        elif self._receive is not None:
            self.received += 1
            begin = IPv6Packet.LAYOUT.size
            self._receive(packet[begin : begin + length], lma)


def _echo_request(source: IPv6Address, destination: IPv6Address) -> bytes:
    blank = _ECHO.pack(_ECHO_REQUEST, 0, 0, 0, 0)
    value = checksum(blank, source, destination, IP_PROTOCOL_ICMPV6)
    message = _ECHO.pack(_ECHO_REQUEST, 0, value, 0, 0)
    return IPv6Packet(source, destination, IP_PROTOCOL_ICMPV6, message).encode()
