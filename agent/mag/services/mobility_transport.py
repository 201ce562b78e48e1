"""Mobility Header datagrams over a raw socket of IP protocol 135 (RFC 6275 §6.1)."""

import asyncio
import contextlib
import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable, Collection
from ipaddress import IPv6Address
from typing import Final, Protocol

from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER

ReceiveMessage = Callable[[bytes, IPv6Address], None]
"""Called with each Mobility Header and the source of its IPv6 header."""

ReceiveError = Callable[[tuple[int, int], bytes, IPv6Address], None]
"""Called with each ICMPv6 error about what we sent: type and code, the Mobility Header as far as it
is quoted, and where that went."""

_IPV6_CHECKSUM: Final = 7
_NO_CHECKSUM: Final = -1
_SO_RXQ_OVFL: Final = 40
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER_OCTETS: Final = 8 << 20
"""Room for a burst of some 10,000 PBAs while the agent is busy."""
_LARGEST_MESSAGE: Final = 2048
_MESSAGES_PER_WAKEUP: Final = 512
_OVERFLOW_COUNT: Final = struct.Struct("=I")
_IPV6_RECVERR: Final = 25
_EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")
"""struct sock_extended_err: errno, origin, type, code, info, data."""
_ERROR_ROOM: Final = _EXTENDED_ERROR.size + 28
"""With the address of whoever reports."""
_FROM_ICMPV6: Final = 3
_ICMPV6_FILTER: Final = 1
_NOTHING: Final = bytes([0xFF]) * 32
"""Blocks every type."""


class TransportError(Exception):
    """The transport cannot be opened; the text says what to do."""


class MobilityTransport(Protocol):
    """Carries Mobility Headers between the agent and the LMAs."""

    received: int
    """Messages handed on."""
    lost: int
    """Messages that arrived while there was no room for them."""
    send_failures: int
    """Messages that the local stack refused to send."""

    @property
    def discarded(self) -> Counter[str]:
        """Messages that are not for us, by reason."""

    @property
    def is_congested(self) -> bool:
        """Whether what was sent still waits to leave: more of it would grow old there."""

    def on_room(self, listener: Callable[[], None]) -> None:
        """Have it called whenever that has ended."""

    def catch_up(self) -> None:
        """Hand on now what has arrived: it may be what somebody is about to ask for again."""

    def open(self, receive: ReceiveMessage, receive_error: ReceiveError) -> None:
        """Begin to receive. Raises TransportError."""

    def send(
        self,
        data: bytes,
        destination: IPv6Address,
        next_header: int = IP_PROTOCOL_MOBILITY_HEADER,
    ) -> bool:
        """Send one message, a Mobility Header or ICMPv6; False if the local stack refused it."""

    def reach(self, lma_addresses: Collection[IPv6Address]) -> None:
        """These are the LMAs from now on."""

    def close(self) -> None:
        """Stop receiving."""


class RawSocketTransport:
    """The kernel's way: one raw socket bound to the Proxy Care-of Address."""

    is_congested = False
    """What the kernel has no room for it refuses."""

    def __init__(self, proxy_care_of_address: IPv6Address) -> None:
        self.received = 0
        self.lost = 0
        self.send_failures = 0
        self.discarded: Counter[str] = Counter()
        """Empty: the kernel hands over none but ours."""
        self._address = proxy_care_of_address
        self._sockets: dict[int, socket.socket] = {}
        """By next header."""
        self._receive: ReceiveMessage | None = None
        self._receive_error: ReceiveError | None = None

    def open(self, receive: ReceiveMessage, receive_error: ReceiveError) -> None:
        """Bind and begin to receive in the running loop. Raises TransportError."""
        for protocol in (IP_PROTOCOL_MOBILITY_HEADER, IP_PROTOCOL_ICMPV6):
            self._sockets[protocol] = self._bound(protocol)
        self._receive = receive
        self._receive_error = receive_error
        mobility = self._sockets[IP_PROTOCOL_MOBILITY_HEADER]
        asyncio.get_running_loop().add_reader(mobility, self._drain)

    def send(
        self,
        data: bytes,
        destination: IPv6Address,
        next_header: int = IP_PROTOCOL_MOBILITY_HEADER,
    ) -> bool:
        """Send one message; the LMA's silence is met by retransmission, a refusal is counted."""
        sender = self._sockets.get(next_header)
        if sender is None:
            return False
        for _ in range(2):  # the kernel refuses one for each error that an earlier one has met
            try:
                sender.sendto(data, (str(destination), 0))
            except OSError:
                self._drain_errors()
            else:
                return True
        self.send_failures += 1
        return False

    def on_room(self, listener: Callable[[], None]) -> None:
        """It never ends, as it never begins."""

    def catch_up(self) -> None:
        """Hand on now what has arrived."""
        self._drain()

    def reach(self, lma_addresses: Collection[IPv6Address]) -> None:
        """Nothing to do: the core tells strangers from LMAs, the kernel resolves by itself."""

    def close(self) -> None:
        """Stop receiving and release the sockets."""
        for each in self._sockets.values():
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self._sockets.clear()

    def _bound(self, protocol: int) -> socket.socket:
        try:
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        except PermissionError:
            self.close()
            raise TransportError(
                "may not open a raw socket: run as root or grant CAP_NET_RAW"
            ) from None
        try:
            raw.setblocking(False)
            if protocol == IP_PROTOCOL_ICMPV6:  # to send only
                raw.setsockopt(IP_PROTOCOL_ICMPV6, _ICMPV6_FILTER, _NOTHING)
            else:
                self._configure(raw)
            raw.bind((str(self._address), 0))
        except OSError as error:
            raw.close()
            self.close()
            if error.errno == errno.EADDRNOTAVAIL:
                raise TransportError(
                    f"proxy_care_of_address {self._address} is not an address of this machine"
                ) from None
            raise TransportError(f"cannot bind to {self._address}: {error.strerror}") from None
        return raw

    @staticmethod
    def _configure(raw: socket.socket) -> None:
        raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        # Left to itself the kernel drops wrong checksums of this protocol without a count.
        raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, _NO_CHECKSUM)
        raw.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        with contextlib.suppress(PermissionError):
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_OCTETS)

    def _drain(self) -> None:
        """Hand on what has arrived, in one go but bounded, so that timers get their turn."""
        mobility = self._sockets.get(IP_PROTOCOL_MOBILITY_HEADER)
        if mobility is None or self._receive is None:
            return
        self._drain_errors()
        for _ in range(_MESSAGES_PER_WAKEUP):
            try:
                data, ancillary, _, source = mobility.recvmsg(
                    _LARGEST_MESSAGE, socket.CMSG_SPACE(_OVERFLOW_COUNT.size)
                )
            except OSError:  # nothing left, or an error that has come meanwhile
                return
            for _, _, value in ancillary:
                (self.lost,) = _OVERFLOW_COUNT.unpack(value)
            self.received += 1
            self._receive(data, IPv6Address(source[0].partition("%")[0]))

    def _drain_errors(self) -> None:
        """Hand on what the network says of messages of ours; a limited number, as above."""
        mobility = self._sockets.get(IP_PROTOCOL_MOBILITY_HEADER)
        if mobility is None or self._receive_error is None:
            return
        for _ in range(_MESSAGES_PER_WAKEUP):
            try:
                quoted, ancillary, _, destination = mobility.recvmsg(
                    _LARGEST_MESSAGE, socket.CMSG_SPACE(_ERROR_ROOM), socket.MSG_ERRQUEUE
                )
            except OSError:
                return
            for level, kind, value in ancillary:
                if (level, kind) != (socket.IPPROTO_IPV6, _IPV6_RECVERR):
                    continue
                _, origin, error_type, code, _, _ = _EXTENDED_ERROR.unpack_from(value)
                if origin == _FROM_ICMPV6:
                    address = IPv6Address(destination[0].partition("%")[0])
                    self._receive_error((error_type, code), quoted, address)
