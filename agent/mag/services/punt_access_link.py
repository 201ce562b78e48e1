"""Signals from mobile nodes behind VPP, and frames to them (RFC 5213 §6.9.2).

Router Solicitations come as punted frames; that a node without a binding sends anything else, or
that any node claims a link-local address, the plugin tells as an event.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from typing import Any, Final

from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.services.node_signal import NodeSignal, read_signal
from mag.services.punt_socket import PuntSocket
from mag.wire.errors import WireError
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.neighbor_discovery import ROUTER_SOLICITATION

UNKNOWN_SOURCE_EVENT: Final = "mag_unknown_source_event"
ADDRESS_CLAIMED_EVENT: Final = "mag_address_claimed_event"
_ICMPV6_TYPE_OFFSET: Final = 40

SourceListener = Callable[[bytes, IPv6Address, IPv6Address | None], None]
"""Called with link-layer and IPv6 source address of a packet without a binding, or of one that
claims an address, and that."""


class SourceEvents:
    """The plugin's events of strangers and of claimed addresses, handed to the link they are on."""

    def __init__(self, client: VppClient, interfaces: InterfaceDirectory) -> None:
        self.suppressed = 0
        """Events that the plugin's rate limits left out."""
        self._client = client
        self._interfaces = interfaces
        self._listeners: dict[str, SourceListener] = {}
        client.on_event(UNKNOWN_SOURCE_EVENT, self._take)
        client.on_event(ADDRESS_CLAIMED_EVENT, self._take_claim)

    async def open(self) -> None:
        """Ask VPP for the events; on each connection again. Raises DataplaneError."""
        await self._client.call("want_mag_events", enable=True, pid=os.getpid())

    def listen(self, interface: str, listener: SourceListener) -> None:
        """Have events of this interface handed on."""
        self._listeners[interface] = listener

    def unlisten(self, interface: str) -> None:
        """No longer hand them on."""
        self._listeners.pop(interface, None)

    def _take(self, event: Any) -> None:
        self._hand_on(event, None)

    def _take_claim(self, event: Any) -> None:
        self._hand_on(event, IPv6Address(event.claimed_address))

    def _hand_on(self, event: Any, claimed: IPv6Address | None) -> None:
        self.suppressed += event.n_suppressed
        interface = self._interfaces.at(event.sw_if_index)
        if interface is not None and (listener := self._listeners.get(interface.name)):
            listener(bytes(event.mac.packed), IPv6Address(event.source_address), claimed)


class PuntAccessLink:
    """AccessLinkPort over VPP."""

    def __init__(
        self,
        interface: str,
        punt: PuntSocket,
        sources: SourceEvents,
        *,
        gateway_link_layer_address: bytes,
        pass_unknown_sources: bool,
    ) -> None:
        """pass_unknown_sources: any packet of an unknown node is a signal, not only an RS."""
        self.discarded: Counter[str] = Counter()
        self.interface = interface
        self._punt = punt
        self._sources = sources
        self._gateway_address = gateway_link_layer_address
        self._pass_unknown_sources = pass_unknown_sources
        self._known: set[bytes] = set()
        self._receive: Callable[[NodeSignal], None] | None = None

    def open(self, receive: Callable[[NodeSignal], None]) -> None:
        """Begin to listen; the punt socket and the events are open."""
        self._receive = receive
        self._punt.listen(self.interface, IP_PROTOCOL_ICMPV6, self._take_frame)
        self._sources.listen(self.interface, self._take_event)

    def hear(self, *, unknown_sources: bool, known: Iterable[bytes]) -> None:
        """Heed the plugin's events of unknown sources, or no longer."""
        self._pass_unknown_sources = unknown_sources
        self._known.update(known)

    def reopen(self) -> None:
        """Nothing to do: the punt socket goes by VPP's number of the interface, looked up anew."""

    def know(self, mn_link_layer_address: bytes) -> None:
        """Its events are no news: between attach and binding the plugin still tells them."""
        self._known.add(mn_link_layer_address)

    def forget(self, mn_link_layer_address: bytes) -> None:
        """Its next packet is a signal again."""
        self._known.discard(mn_link_layer_address)

    def send(self, packet: bytes, mn_link_layer_address: bytes) -> bool:
        """Send an IPv6 packet to one node's MAC; False if VPP would not take it."""
        return self._punt.send_frame(
            self.interface, mn_link_layer_address, self._gateway_address, packet
        )

    def close(self) -> None:
        """Stop listening."""
        self._punt.unlisten(self.interface, IP_PROTOCOL_ICMPV6)
        self._sources.unlisten(self.interface)
        self._receive = None

    def _take_frame(self, frame: EthernetFrame) -> None:
        if frame.payload[_ICMPV6_TYPE_OFFSET : _ICMPV6_TYPE_OFFSET + 1] != bytes(
            [ROUTER_SOLICITATION]
        ):
            self.discarded["no_router_solicitation"] += 1
            return
        try:
            self._hand_on(read_signal(self.interface, frame.source, frame.payload))
        except WireError as error:
            self.discarded[error.reason] += 1

    def _take_event(
        self, link_layer_address: bytes, source: IPv6Address, claimed: IPv6Address | None
    ) -> None:
        is_stranger = self._pass_unknown_sources and link_layer_address not in self._known
        if is_stranger or claimed is not None:
            self._hand_on(NodeSignal(self.interface, link_layer_address, False, source, claimed))

    def _hand_on(self, signal: NodeSignal) -> None:
        address = signal.mn_link_layer_address
        if not any(address) or address[0] & 1:
            self.discarded["bad_source"] += 1
        elif self._receive is not None:
            self._receive(signal)
