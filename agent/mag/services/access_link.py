"""Signals from mobile nodes on an access link, and frames to them (RFC 5213 §6.9.2)."""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from mag.services.known_source_filter import KnownSourceFilter, KnownSourceFilterError
from mag.services.node_signal import NodeSignal, read_signal
from mag.wire.errors import WireError
from mag.wire.ethernet import ETHERTYPE_IPV6, NO_LINK_LAYER_ADDRESS, EthernetFrame

_SOL_PACKET: Final = 263
_PACKET_IGNORE_OUTGOING: Final = 23
_LARGEST_FRAME: Final = 2048
_FRAMES_PER_WAKEUP: Final = 64
"""Unknown senders may be a flood; signalling gets its turn in between."""


class AccessLinkError(Exception):
    """The access link cannot be served; the text names the interface and the cause."""


class AccessLinkPort(Protocol):
    """Hears the nodes of one access link, and speaks to each alone."""

    discarded: Counter[str]
    """Invalid frames, by reason."""

    def open(self, receive: Callable[[NodeSignal], None]) -> None:
        """Begin to listen in the running loop. Raises AccessLinkError."""

    def reopen(self) -> None:
        """The interface is back, perhaps another one of the name. Raises AccessLinkError."""

    def hear(self, *, unknown_sources: bool, known: Iterable[bytes]) -> None:
        """Change whether any frame of an unknown node is a signal. Raises AccessLinkError.

        known: link-layer addresses whose frames are no news.
        """

    def know(self, mn_link_layer_address: bytes) -> None:
        """Traffic of this node is no news until `forget`.

        Router Solicitations always are, and so is whatever answers a question of ours or claims
        an address, where the packet path lets it be seen.
        """

    def forget(self, mn_link_layer_address: bytes) -> None:
        """The next frame from this node is a signal again."""

    def send(self, packet: bytes, mn_link_layer_address: bytes) -> bool:
        """Send an IPv6 packet to one node's MAC; False if the interface would not take it."""

    def close(self) -> None:
        """Stop listening."""


class PacketSocketPort:
    """The kernel's way: a packet socket behind a filter that knows the nodes that are bound."""

    def __init__(
        self, interface: str, *, gateway_link_layer_address: bytes, pass_unknown_sources: bool
    ) -> None:
        """gateway_link_layer_address: NO_LINK_LAYER_ADDRESS where the link has none.

        pass_unknown_sources: any frame of an unknown node is a signal, not only an RS.
        """
        self.discarded: Counter[str] = Counter()
        self.interface = interface
        self._gateway_address = gateway_link_layer_address
        self._has_addresses = gateway_link_layer_address != NO_LINK_LAYER_ADDRESS
        self._pass_unknown_sources = pass_unknown_sources
        self._socket: socket.socket | None = None
        self._filter: KnownSourceFilter | None = None
        self._receive: Callable[[NodeSignal], None] | None = None

    def open(self, receive: Callable[[NodeSignal], None]) -> None:
        """Begin to listen in the running loop. Raises AccessLinkError."""
        try:
            self._filter = self._make_filter(pass_unknown_sources=self._pass_unknown_sources)
            # Protocol 0: nothing arrives before the filter is in place.
            kind = socket.SOCK_RAW if self._has_addresses else socket.SOCK_DGRAM
            packet_socket = socket.socket(socket.AF_PACKET, kind, 0)
        except KnownSourceFilterError as error:
            raise AccessLinkError(f"access link {self.interface}: {error}") from None
        except PermissionError:
            raise AccessLinkError(
                f"access link {self.interface}: may not open a packet socket: "
                "run as root or grant CAP_NET_RAW"
            ) from None
        self._socket = packet_socket
        self._receive = receive
        self._filter.attach(packet_socket)
        packet_socket.setblocking(False)
        packet_socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._bind(packet_socket)
        asyncio.get_running_loop().add_reader(packet_socket, self._drain)

    def hear(self, *, unknown_sources: bool, known: Iterable[bytes]) -> None:
        """Put another filter in front of the socket; no frame comes past both."""
        if self._socket is None:
            self._pass_unknown_sources = unknown_sources
            return
        try:
            new_filter = self._make_filter(pass_unknown_sources=unknown_sources)
        except KnownSourceFilterError as error:
            raise AccessLinkError(f"access link {self.interface}: {error}") from None
        for address in known:
            new_filter.add(address)
        new_filter.attach(self._socket)
        if self._filter is not None:
            self._filter.close()
        self._filter, self._pass_unknown_sources = new_filter, unknown_sources

    def _make_filter(self, *, pass_unknown_sources: bool) -> KnownSourceFilter:
        new_filter = KnownSourceFilter(
            pass_unknown_sources=pass_unknown_sources, has_ethernet_header=self._has_addresses
        )
        if self._has_addresses:
            new_filter.add(self._gateway_address)
        return new_filter

    def reopen(self) -> None:
        """Listen on the interface that has the name now."""
        if self._socket is not None:
            self._bind(self._socket)

    def _bind(self, packet_socket: socket.socket) -> None:
        try:
            packet_socket.bind((self.interface, ETHERTYPE_IPV6))
        except OSError as error:
            raise AccessLinkError(
                f"access link {self.interface}: {error.strerror or error}"
            ) from None

    def know(self, mn_link_layer_address: bytes) -> None:
        """Its address goes into the filter."""
        if self._filter is not None:
            self._filter.add(mn_link_layer_address)

    def forget(self, mn_link_layer_address: bytes) -> None:
        """Its address leaves the filter."""
        if self._filter is not None:
            self._filter.remove(mn_link_layer_address)

    def send(self, packet: bytes, mn_link_layer_address: bytes) -> bool:
        """Send an IPv6 packet to one node's MAC; False if the interface would not take it."""
        if self._socket is None:
            return False
        if self._has_addresses:
            packet = EthernetFrame(
                mn_link_layer_address, self._gateway_address, ETHERTYPE_IPV6, packet
            ).encode()
        try:
            self._socket.send(packet)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._filter is not None:
            self._filter.close()
            self._filter = None

    def _drain(self) -> None:
        if self._socket is None or self._receive is None:
            return
        for _ in range(_FRAMES_PER_WAKEUP):
            try:
                data = self._socket.recv(_LARGEST_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # the link monitor reports that
                    return
                raise
            if signal := self._read(data):
                self._receive(signal)

    def _read(self, data: bytes) -> NodeSignal | None:
        try:
            if not self._has_addresses:
                return read_signal(self.interface, NO_LINK_LAYER_ADDRESS, data)
            frame = EthernetFrame.decode(data)
            signal = read_signal(self.interface, frame.source, frame.payload)
        except WireError as error:
            self.discarded[error.reason] += 1
            return None
        if frame.source[0] & 1 or not any(frame.source):
            self.discarded["bad_source"] += 1
            return None
        return signal
