"""Signalling to and from VPP: packets it punts to us, packets we have it send.

One datagram each way is one packet behind a descriptor. A registration is for the whole VPP and
all its interfaces, so each packet goes to whoever listens on the interface it came in on, or is
counted and dropped. VPP does not wait for us: what finds our socket full is lost, and counted by
VPP alone. So the socket is emptied before anything else, and what is more than can be handled waits
here: what answers us ahead of what asks, which is dropped and counted when too much of it waits.
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
_URGENT_PER_TURN: Final = 256
_OTHERS_PER_TURN: Final = 64
_PACKETS_BETWEEN_READS: Final = 16
MOST_WAITING: Final = 16_384
"""Of urgent packets, and of others."""
_MOST_OUTGOING: Final = 16_384
_SENDS_PER_ATTEMPT: Final = 8
"""While VPP has no room, which it makes for one packet in each turn of its main loop."""
_MANY_OUTGOING: Final = 256
"""That wait for room in VPP's socket: what is due is better not even made then."""
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
_ETHERTYPE: Final = slice(12, 14)
_IPV6_ETHERTYPE: Final = ETHERTYPE_IPV6.to_bytes(2, "big")
_VERSION_6: Final = 6

Listener = Callable[[EthernetFrame], None]
"""Called with each punted packet; without Ethernet header the addresses are empty."""
_Waiting = deque[tuple[Listener, EthernetFrame]]


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
        self._buffer = memoryview(bytearray(_LARGEST_DATAGRAM))
        self._urgent: _Waiting = deque()
        """Received, but not handed on yet; likewise the others."""
        self._others: _Waiting = deque()
        self._next_turn: asyncio.Handle | None = None
        self._outgoing: deque[bytes] = deque()
        """What VPP had no room for yet."""
        self._is_awaiting_room = False
        self._on_room: list[Callable[[], None]] = []
        self._listeners: dict[tuple[str, int], tuple[Listener, _Waiting]] = {}
        """By interface and next header: who takes such packets, and where they wait for it."""
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

    def listen(
        self, interface: str, next_header: int, listener: Listener, *, is_urgent: bool = False
    ) -> None:
        """Have packets of this next header from this interface handed on; urgent ones overtake."""
        waiting = self._urgent if is_urgent else self._others
        self._listeners[interface, next_header] = listener, waiting

    def unlisten(self, interface: str, next_header: int) -> None:
        """No longer hand them on."""
        self._listeners.pop((interface, next_header), None)

    def send_frame(self, interface: str, destination: bytes, source: bytes, packet: bytes) -> bool:
        """Send an IPv6 packet to a link-layer address, with the VLAN tags of the interface."""
        out = self._interfaces.find(interface)
        if out is None or not out.is_up:
            self.send_failures += 1
            return False
        frame = destination + source + out.vlan_tags + _IPV6_ETHERTYPE + packet
        return self._send(out, PuntAction.SEND_FRAME, frame)

    def send_routed(self, interface: str, packet: bytes) -> bool:
        """Have an IPv6 packet routed in the table that the interface is in."""
        out = self._interfaces.find(interface)
        if out is None:
            self.send_failures += 1
            return False
        return self._send(out, PuntAction.ROUTE_IPV6, packet)

    @property
    def is_congested(self) -> bool:
        """Whether much still waits for room in VPP's socket."""
        return len(self._outgoing) >= _MANY_OUTGOING

    def on_room(self, listener: Callable[[], None]) -> None:
        """Have it called whenever nothing waits any more."""
        self._on_room.append(listener)

    def catch_up(self) -> None:
        """Hand on all that is urgent and has arrived, now."""
        self._receive()
        self._hand_on(self._urgent, len(self._urgent))
        self._go_on()

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
        self._urgent.clear()
        self._others.clear()
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
        if self._is_awaiting_room and len(self._outgoing) % _SENDS_PER_ATTEMPT:
            return True
        return self._flush()

    def _flush(self) -> bool:
        """Send what VPP has room for, the rest when it has; False if VPP is away.

        Its socket holds ten packets unless net.unix.max_dgram_qlen was raised before its start, and
        it takes one in each turn of its main loop.
        """
        if self._socket is None:
            return False
        try:
            while self._outgoing:
                self._socket.send(self._outgoing[0])
                self._outgoing.popleft()
                self.sent += 1
        except BlockingIOError:
            self._await_room(self._socket)
            return True
        except OSError:  # retransmission and the next advertisement make up for it
            self._drop_outgoing()
            return False
        self._end_of_waiting(self._socket)
        return True

    def _await_room(self, ours: socket.socket) -> None:
        if not self._is_awaiting_room:
            self._is_awaiting_room = True
            asyncio.get_running_loop().add_writer(ours, self._flush)

    def _end_of_waiting(self, ours: socket.socket) -> None:
        if self._is_awaiting_room:
            self._is_awaiting_room = False
            asyncio.get_running_loop().remove_writer(ours)
            for listener in self._on_room:
                listener()

    def _drop_outgoing(self) -> None:
        self.send_failures += len(self._outgoing)
        self._outgoing.clear()
        if self._socket is not None:
            self._end_of_waiting(self._socket)

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
        """Empty the socket, and again now and then while packets are handed on.

        What waits in it takes room in VPP's send buffer, and a burst is more than that holds. A
        limited number is handled each turn, so that others get theirs; first what is urgent.
        """
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._receive()
        self._hand_on(self._urgent, _URGENT_PER_TURN)
        if not self._urgent:
            self._hand_on(self._others, _OTHERS_PER_TURN)
        self._go_on()

    def _go_on(self) -> None:
        if self._next_turn is None and (self._urgent or self._others):
            self._next_turn = asyncio.get_running_loop().call_soon(self._drain)

    def _hand_on(self, waiting: _Waiting, most: int) -> None:
        for number in range(1, most + 1):
            if not waiting:
                return
            self._hand_on_next(waiting)
            if number % _PACKETS_BETWEEN_READS == 0:
                self._receive()

    def _hand_on_next(self, waiting: _Waiting) -> None:
        listener, frame = waiting.popleft()
        listener(frame)
        if self._outgoing:  # VPP has had time to make room
            self._flush()

    def _receive(self) -> None:
        if self._socket is None:
            return
        buffer, receive_into = self._buffer, self._socket.recv_into
        for _ in range(MOST_WAITING):
            try:
                length = receive_into(buffer)
            except BlockingIOError:
                return
            self._sort(bytes(buffer[:length]))
            if self._loss_check is None:
                self._loss_check = asyncio.create_task(self._check_losses())

    def _sort(self, datagram: bytes) -> None:
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
        found = self._listeners.get((interface.name, _next_header(frame.payload)))
        if found is None:
            self.discarded["wrong_interface"] += 1
            return
        listener, waiting = found
        if len(waiting) >= MOST_WAITING:
            self.discarded["too_many_waiting"] += 1
        else:
            waiting.append((listener, frame))

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
        if octets[_ETHERTYPE] == _IPV6_ETHERTYPE:  # untagged, as nearly all are
            return EthernetFrame(octets[:6], octets[6:12], ETHERTYPE_IPV6, octets[14:])
        return EthernetFrame.decode(octets)
    return EthernetFrame(b"", b"", ETHERTYPE_IPV6, octets)


def _next_header(packet: bytes) -> int:
    """-1 for what is no IPv6 packet."""
    if len(packet) < _IPV6_HEADER_OCTETS or packet[0] >> 4 != _VERSION_6:
        return -1
    return packet[_NEXT_HEADER_OFFSET]
