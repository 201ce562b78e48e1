"""Signalling to and from VPP: packets it punts to us, packets we have it send.

One datagram each way is one packet behind a descriptor. A registration is for the whole VPP and
all its interfaces, so each packet goes to whoever listens on the interface it came in on, or is
counted and dropped. VPP does not wait for us: what finds our socket full is lost, and counted by
VPP alone.
"""

import asyncio
import contextlib
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any, Final

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.interfaces import InterfaceDirectory, VppInterface
from mag.dataplane.vpp.stats import StatsSegment
from mag.wire.errors import WireError
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER

LOSS_CHECK_S: Final = 1.0
"""Shortest time between two looks at VPP's count of losses."""

_DESCRIPTOR: Final = Struct("=II")
"""Interface and action, in host order."""
_LARGEST_DATAGRAM: Final = 65_535
_LARGEST_SENT: Final = 2048
"""VPP cuts off what does not fit in one of its buffers."""
_PACKETS_PER_TURN: Final = 64
_MOST_WAITING: Final = 16_384
_MOST_OUTGOING: Final = 16_384
_RECEIVE_BUFFER_OCTETS: Final = 4 << 20
_LONGEST_PATH: Final = 107
_SOCKET_MODE: Final = 0o660

_HEADER_VERSION: Final = 1
_TYPE_L4: Final = 0
_TYPE_IP_PROTOCOL: Final = 1
_IP6: Final = 1
_ROUTER_SOLICITATION: Final = 133
"""The one ICMPv6 type we register: VPP can never give a type back, and itself needs 135 and 136."""
_IPV6_HEADER_OCTETS: Final = 40
_NEXT_HEADER_OFFSET: Final = 6
_VERSION_6: Final = 6

Listener = Callable[[EthernetFrame], None]
"""Called with each punted packet; without Ethernet header the addresses are empty."""


class PuntAction(IntEnum):
    """What VPP does with a packet of ours."""

    SEND_FRAME = 0
    """A whole Ethernet frame, out of the interface of the descriptor."""
    ROUTE_IPV6 = 2
    """An IPv6 packet, routed in the table of the interface of the descriptor."""


class PuntSocketError(DataplaneError):
    """Our end of the punt socket cannot be made."""


class PuntSocket:
    """Our end of VPP's punt socket."""

    def __init__(
        self,
        client: VppClient,
        interfaces: InterfaceDirectory,
        stats: StatsSegment,
        path: str,
    ) -> None:
        """path: of our own socket, at most 107 octets, where VPP may write."""
        self.received = 0
        self.sent = 0
        self.send_failures = 0
        self.lost = 0
        """Packets that VPP could not hand to us, of all kinds."""
        self.discarded: Counter[str] = Counter()
        """Packets that are nobody's, by reason."""
        self._client = client
        self._interfaces = interfaces
        self._stats = stats
        self._path = path
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        """Received, but not handed on yet."""
        self._next_turn: asyncio.Handle | None = None
        self._outgoing: deque[bytes] = deque()
        """What VPP had no room for yet."""
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._loss_check: asyncio.Task[None] | None = None
        self._losses_seen = 0
        """What VPP had counted at the last look; it counts from its own start."""
        self._loss_listeners: list[Callable[[int], None]] = []

    async def open(self) -> None:
        """Make our socket if there is none, and have VPP punt to it; after each VPP start again.

        Raises DataplaneError.
        """
        if self._socket is None:
            self._socket = self._bind()
            asyncio.get_running_loop().add_reader(self._socket, self._drain)
        self._losses_seen = await self._stats.punt_losses()
        server = ""
        for punt in _registrations():
            reply = await self._client.call(
                "punt_socket_register",
                target=self._path,
                header_version=_HEADER_VERSION,
                punt=punt,
                pathname=self._path,
            )
            server = reply.pathname
        self._connect(self._socket, server)

    def listen(self, interface: str, next_header: int, listener: Listener) -> None:
        """Have packets of this next header from this interface handed on."""
        self._listeners[interface, next_header] = listener

    def unlisten(self, interface: str, next_header: int) -> None:
        """No longer hand them on."""
        self._listeners.pop((interface, next_header), None)

    def send_frame(self, interface: str, destination: bytes, source: bytes, packet: bytes) -> bool:
        """Send an IPv6 packet to a link-layer address, with the VLAN tags of the interface."""
        out = self._interfaces.find(interface)
        if out is None or not out.is_up:
            self.send_failures += 1
            return False
        ethertype = ETHERTYPE_IPV6.to_bytes(2, "big")
        frame = destination + source + out.vlan_tags + ethertype + packet
        return self._send(out, PuntAction.SEND_FRAME, frame)

    def send_routed(self, interface: str, packet: bytes) -> bool:
        """Have an IPv6 packet routed in the table that the interface is in."""
        out = self._interfaces.find(interface)
        if out is None:
            self.send_failures += 1
            return False
        return self._send(out, PuntAction.ROUTE_IPV6, packet)

    def on_losses(self, listener: Callable[[int], None]) -> None:
        """Have it told, whenever packets were lost, how many."""
        self._loss_listeners.append(listener)

    def close(self) -> None:
        """Stop receiving; VPP drops and counts what it goes on to punt."""
        if self._loss_check is not None:
            self._loss_check.cancel()
            self._loss_check = None
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._waiting.clear()
        self._drop_outgoing()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            Path(self._path).unlink(missing_ok=True)

    async def count_losses(self) -> None:
        """Take over what VPP counted since the last look. Raises DataplaneError."""
        before, self._losses_seen = self._losses_seen, await self._stats.punt_losses()
        rise = self._losses_seen - before
        if rise <= 0:
            return
        self.lost += rise
        for listener in self._loss_listeners:
            listener(rise)

    def _bind(self) -> socket.socket:
        if len(self._path.encode()) > _LONGEST_PATH:
            reason = f"longer than {_LONGEST_PATH} octets"
            raise PuntSocketError("bind punt socket", reason, target=self._path)
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_OCTETS)
            Path(self._path).unlink(missing_ok=True)
            ours.bind(self._path)
            Path(self._path).chmod(_SOCKET_MODE)
        except OSError as error:
            ours.close()
            reason = error.strerror or str(error)
            raise PuntSocketError("bind punt socket", reason, target=self._path) from error
        return ours

    def _send(self, out: VppInterface, action: PuntAction, octets: bytes) -> bool:
        if self._socket is None or len(octets) > _LARGEST_SENT:
            self.send_failures += 1
            return False
        datagram = _DESCRIPTOR.pack(out.sw_if_index, action) + octets
        if len(self._outgoing) >= _MOST_OUTGOING:
            self.send_failures += 1
            return False
        self._outgoing.append(datagram)
        return len(self._outgoing) > 1 or self._flush()

    def _flush(self) -> bool:
        """Send what VPP has room for, the rest when it has; False if VPP is away.

        Its socket holds ten packets unless net.unix.max_dgram_qlen was raised before its start, and
        it takes one in each turn of its main loop.
        """
        if self._socket is None:
            return False
        loop = asyncio.get_running_loop()
        try:
            while self._outgoing:
                self._socket.send(self._outgoing[0])
                self._outgoing.popleft()
                self.sent += 1
        except BlockingIOError:
            loop.add_writer(self._socket, self._flush)
            return True
        except OSError:  # retransmission and the next advertisement make up for it
            self._drop_outgoing()
            return False
        loop.remove_writer(self._socket)
        return True

    def _drop_outgoing(self) -> None:
        self.send_failures += len(self._outgoing)
        self._outgoing.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket)

    @staticmethod
    def _connect(ours: socket.socket, server: str) -> None:
        """Send to VPP's socket from now on, and hear nobody but it.

        That also takes the limit of net.unix.max_dgram_qlen datagrams from our queue: what VPP may
        have waiting here is bounded by its send buffer alone.
        """
        try:
            ours.connect(server)
        except OSError as error:
            reason = error.strerror or str(error)
            if isinstance(error, PermissionError):
                reason = "may not write to it: the agent's user must be in VPP's group"
            raise PuntSocketError("connect to VPP's punt socket", reason, target=server) from error

    def _drain(self) -> None:
        """Empty the socket, and again after each packet that is handed on.

        What waits in it takes room in VPP's send buffer, and a burst is more than that holds. A
        limited number is handled each turn, so that others get theirs.
        """
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._receive()
        for _ in range(min(_PACKETS_PER_TURN, len(self._waiting))):
            self._take(self._waiting.popleft())
            self._receive()
        if self._waiting:
            self._next_turn = asyncio.get_running_loop().call_soon(self._drain)

    def _receive(self) -> None:
        while self._socket is not None and len(self._waiting) < _MOST_WAITING:
            try:
                self._waiting.append(self._socket.recv(_LARGEST_DATAGRAM))
            except BlockingIOError:
                return
            if self._loss_check is None:
                self._loss_check = asyncio.create_task(self._check_losses())

    def _take(self, datagram: bytes) -> None:
        self.received += 1
        if len(datagram) < _DESCRIPTOR.size:
            self.discarded["truncated"] += 1
            return
        sw_if_index, _ = _DESCRIPTOR.unpack_from(datagram)
        interface = self._interfaces.at(sw_if_index)
        if interface is None:
            self.discarded["unknown_interface"] += 1
            return
        try:
            frame = _frame(interface, datagram[_DESCRIPTOR.size :])
        except WireError as error:
            self.discarded[error.reason] += 1
            return
        listener = self._listeners.get((interface.name, _next_header(frame.payload)))
        if listener is None:
            self.discarded["wrong_interface"] += 1
            return
        listener(frame)

    async def _check_losses(self) -> None:
        await asyncio.sleep(LOSS_CHECK_S)
        with contextlib.suppress(DataplaneError):  # VPP went: its counters start anew
            await self.count_losses()
        self._loss_check = None


def _registrations() -> Iterator[dict[str, Any]]:
    yield {
        "type": _TYPE_IP_PROTOCOL,
        "punt": {"ip_proto": {"af": _IP6, "protocol": IP_PROTOCOL_MOBILITY_HEADER}},
    }
    yield {
        "type": _TYPE_L4,
        "punt": {"l4": {"af": _IP6, "protocol": IP_PROTOCOL_ICMPV6, "port": _ROUTER_SOLICITATION}},
    }


def _frame(interface: VppInterface, octets: bytes) -> EthernetFrame:
    if interface.has_ethernet:
        return EthernetFrame.decode(octets)
    return EthernetFrame(b"", b"", ETHERTYPE_IPV6, octets)


def _next_header(packet: bytes) -> int:
    """-1 for what is no IPv6 packet."""
    if len(packet) < _IPV6_HEADER_OCTETS or packet[0] >> 4 != _VERSION_6:
        return -1
    return packet[_NEXT_HEADER_OFFSET]
