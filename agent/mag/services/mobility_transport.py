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

from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER

ReceiveMessage = Callable[[bytes, IPv6Address], None]
"""Called with each Mobility Header and the source of its IPv6 header."""

_IPV6_CHECKSUM: Final = 7
_NO_CHECKSUM: Final = -1
_SO_RXQ_OVFL: Final = 40
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER_OCTETS: Final = 8 << 20
"""Room for a burst of some 10,000 PBAs while the agent is busy."""
_LARGEST_MESSAGE: Final = 2048
_MESSAGES_PER_WAKEUP: Final = 512
_OVERFLOW_COUNT: Final = struct.Struct("=I")


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

    def open(self, receive: ReceiveMessage) -> None:
        """Begin to receive. Raises TransportError."""

    def send(self, data: bytes, destination: IPv6Address) -> bool:
        """Send one message; False if the local stack refused it."""

    def reach(self, lma_addresses: Collection[IPv6Address]) -> None:
        """These are the LMAs from now on."""

    def close(self) -> None:
        """Stop receiving."""


class RawSocketTransport:
    """The kernel's way: one raw socket bound to the Proxy Care-of Address."""

    def __init__(self, proxy_care_of_address: IPv6Address) -> None:
        self.received = 0
        self.lost = 0
        self.send_failures = 0
        self.discarded: Counter[str] = Counter()
        """Empty: the kernel hands over none but ours."""
        self._address = proxy_care_of_address
        self._socket: socket.socket | None = None
        self._receive: ReceiveMessage | None = None

    def open(self, receive: ReceiveMessage) -> None:
        """Bind and begin to receive in the running loop. Raises TransportError."""
        try:
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IP_PROTOCOL_MOBILITY_HEADER)
        except PermissionError:
            raise TransportError(
                "may not open a raw socket: run as root or grant CAP_NET_RAW"
            ) from None
        try:
            self._configure(raw)
            raw.bind((str(self._address), 0))
        except OSError as error:
            raw.close()
            if error.errno == errno.EADDRNOTAVAIL:
                raise TransportError(
                    f"proxy_care_of_address {self._address} is not an address of this machine"
                ) from None
            raise TransportError(f"cannot bind to {self._address}: {error.strerror}") from None
        self._socket = raw
        self._receive = receive
        asyncio.get_running_loop().add_reader(raw, self._drain)

    def send(self, data: bytes, destination: IPv6Address) -> bool:
        """Send one message; the LMA's silence is met by retransmission, a refusal is counted."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(data, (str(destination), 0))
        except OSError:
            self.send_failures += 1
            return False
        return True

    def reach(self, lma_addresses: Collection[IPv6Address]) -> None:
        """Nothing to do: the core tells strangers from LMAs, the kernel resolves by itself."""

    def close(self) -> None:
        """Stop receiving and release the socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    @staticmethod
    def _configure(raw: socket.socket) -> None:
        raw.setblocking(False)
        # Left to itself the kernel drops wrong checksums of this protocol without a count.
        raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, _NO_CHECKSUM)
        raw.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        with contextlib.suppress(PermissionError):
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_OCTETS)

    def _drain(self) -> None:
        """Hand on what has arrived, in one go but bounded, so that timers get their turn."""
        if self._socket is None or self._receive is None:
            return
        for _ in range(_MESSAGES_PER_WAKEUP):
            try:
                data, ancillary, _, source = self._socket.recvmsg(
                    _LARGEST_MESSAGE, socket.CMSG_SPACE(_OVERFLOW_COUNT.size)
                )
            except OSError:  # nothing left, or an ICMP error that concerns an earlier send
                return
            for _, _, value in ancillary:
                (self.lost,) = _OVERFLOW_COUNT.unpack(value)
            self.received += 1
            self._receive(data, IPv6Address(source[0].partition("%")[0]))
