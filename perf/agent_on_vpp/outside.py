"""Nodes and an LMA on the far ends of a gateway's links, in one loop that does nothing else."""

import select
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from dataplane.contract.bench import LMA_A, PROXY_COA
from dataplane.contract.kernel_bench import CORE_LINK_LAYER_ADDRESS, WORLD_LINK_LAYER_ADDRESS
from mag.wire.checksum import checksum
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER, MobilityHeaderType
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION
from perf.control_plane.nodes import mac
from perf.control_plane.template_lma import TemplateLma

PATIENCE_S: Final = 5.0
"""After the last attach: whoever has no service then gets none."""
_SO_RCVBUFFORCE: Final = 33
_BUFFER_OCTETS: Final = 64 << 20
_PACKET_OUTGOING: Final = 4
_LARGEST_FRAME: Final = 2048
_LONGEST_WAIT_MS: Final = 1
_FRAMES_AT_ONCE: Final = 64

_ETHERNET: Final = 14
_IPV6: Final = 40
_NEXT_HEADER: Final = _ETHERNET + 6
_PAYLOAD: Final = _ETHERNET + _IPV6
_MH_TYPE: Final = _PAYLOAD + 2
_ALL_ROUTERS: Final = IPv6Address("ff02::2")
_ALL_ROUTERS_MAC: Final = bytes.fromhex("333300000002")
_LINK_LOCAL: Final = 0xFE80 << 112
_TO_GATEWAY: Final = b"".join(
    bytes.fromhex(address.replace(":", ""))
    for address in (CORE_LINK_LAYER_ADDRESS, WORLD_LINK_LAYER_ADDRESS)
)
_ANSWER_HEAD: Final = _TO_GATEWAY + ETHERTYPE_IPV6.to_bytes(2, "big")
_LENGTH: Final = struct.Struct("!H")


@dataclass(slots=True)
class Attaches:
    """What nodes that attached at some rate saw."""

    per_s: float
    attached: int
    latencies_s: list[float]
    """From a node's Router Solicitation to the advertisement of its prefix, in order of arrival."""
    took_s: float
    """From the first solicitation to the last advertisement."""
    updates: int
    """Proxy Binding Updates that the LMA answered, those sent again included."""
    cpu_s: float
    """Processor time of nodes and LMA."""


@dataclass(slots=True)
class Outside:
    """The far ends of the core link and of one access link, with an LMA that accepts everybody."""

    core: socket.socket
    access: socket.socket
    lma: TemplateLma = field(default_factory=lambda: TemplateLma(LMA_A, PROXY_COA))
    updates: int = 0

    def __post_init__(self) -> None:
        for tap in (self.core, self.access):
            tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_OCTETS)

    def attach(self, first: int, count: int, per_s: float) -> Attaches:
        """Let nodes attach one after the other; comes back when all are served, or none more is.

        per_s: nodes per second; they do not wait for each other (open loop).
        """
        nodes = range(first, first + count)
        waiting = deque((mac(number), _solicitation(number)) for number in nodes)
        sent_at: dict[bytes, float] = {}
        latencies: list[float] = []
        updates_before = self.updates
        poll = select.poll()
        poll.register(self.core, select.POLLIN)
        poll.register(self.access, select.POLLIN)
        begun, cpu_begun = time.monotonic(), time.process_time()
        last = begun
        while (waiting or sent_at) and time.monotonic() < last + PATIENCE_S:
            due = min(count, int((time.monotonic() - begun) * per_s) + 1)
            while count - len(waiting) < due:
                node, frame = waiting.popleft()
                sent_at[node] = last = time.monotonic()
                self.access.send(frame)
            poll.poll(_LONGEST_WAIT_MS)
            self._answer_updates()
            for node in self._advertised():
                if (attached_at := sent_at.pop(node, None)) is not None:
                    last = time.monotonic()
                    latencies.append(last - attached_at)
        return Attaches(
            per_s,
            count,
            latencies,
            last - begun,
            self.updates - updates_before,
            time.process_time() - cpu_begun,
        )

    def _answer_updates(self) -> None:
        for frame in _received(self.core):
            is_update = (
                frame[_NEXT_HEADER] == IP_PROTOCOL_MOBILITY_HEADER
                and frame[_MH_TYPE] == MobilityHeaderType.BINDING_UPDATE
            )
            if is_update:
                self.updates += 1
                answer = self.lma.answer(frame[_PAYLOAD:])
                self.core.send(_ANSWER_HEAD + _packet(answer))

    def _advertised(self) -> list[bytes]:
        """Link-layer addresses of nodes that were sent a Router Advertisement."""
        return [
            frame[:6]
            for frame in _received(self.access)
            if frame[_NEXT_HEADER] == IP_PROTOCOL_ICMPV6 and frame[_PAYLOAD] == ROUTER_ADVERTISEMENT
        ]


def _packet(message: bytes) -> bytes:
    return IPv6Packet(LMA_A, PROXY_COA, IP_PROTOCOL_MOBILITY_HEADER, message).encode()


def _received(tap: socket.socket) -> list[bytes]:
    """Some of the frames that have arrived; what we sent ourselves is not among them."""
    frames = []
    for _ in range(_FRAMES_AT_ONCE):
        try:
            frame, (_, _, kind, *_) = tap.recvfrom(_LARGEST_FRAME)
        except BlockingIOError:
            break
        if kind != _PACKET_OUTGOING and len(frame) > _MH_TYPE:
            frames.append(frame)
    return frames


def _solicitation(number: int) -> bytes:
    """A node's first frame (RFC 4861 §4.1)."""
    source = IPv6Address(_LINK_LOCAL + (1 << 56) + number)
    blank = bytes((ROUTER_SOLICITATION, *bytes(7)))
    value = checksum(blank, source, _ALL_ROUTERS, IP_PROTOCOL_ICMPV6)
    message = blank[:2] + _LENGTH.pack(value) + blank[4:]
    packet = IPv6Packet(source, _ALL_ROUTERS, IP_PROTOCOL_ICMPV6, message, 255)
    return EthernetFrame(_ALL_ROUTERS_MAC, mac(number), ETHERTYPE_IPV6, packet.encode()).encode()
