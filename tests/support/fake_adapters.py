"""The outer world of a gateway in memory: an LMA that answers, links whose nodes the test plays."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TypeVar

from mag.config.loader import parse
from mag.config.model import AccessLinkSection, Configuration
from mag.daemon.gateway import Adapters
from mag.dataplane.base import DataplaneError, Disturbance
from mag.dataplane.fake import FakeDataplane
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.access_link import AccessLinkError
from mag.services.link_monitor import LinkState
from mag.services.mobility_transport import ReceiveError, ReceiveMessage
from mag.services.node_signal import NodeSignal
from mag.services.policy_store import ConfiguredPolicyStore
from mag.services.system_clock import ClockReading
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER, MobilityHeaderType
from support.fake_lma import FakeLma

Value = TypeVar("Value")

CONFIGURATION = b"""
identity: mag1
proxy_care_of_address: 2001:db8:0:a::1
lmas: {lma1: {address: 2001:db8:0:b::1}}
access_links: {access1: {access_technology_type: ieee_802_11}, access2: {}}
policy:
  nodes:
    mn1@example.net: {lma: lma1, link_layer_addresses: ["02:00:00:00:00:01"]}
    mn2@example.net: {lma: lma1, link_layer_addresses: ["02:00:00:00:00:02"]}
  default: {lma: lma1}
dataplane: {core_interfaces: [core]}
"""
LMA_ADDRESS = IPv6Address("2001:db8:0:b::1")
OTHER_POOL = IPv6Network("2001:db8:200::/48")
"""Of every other LMA."""
PROXY_CARE_OF_ADDRESS = IPv6Address("2001:db8:0:a::1")
MN1_MAC = bytes.fromhex("020000000001")
MN2_MAC = bytes.fromhex("020000000002")
STRANGER_MAC = bytes.fromhex("0200000000ff")
NODE_ADDRESS = IPv6Address("fe80::5eff:fe10:1")
TURNS = 2000
MH_TYPE_OFFSET = 2


def configuration(text: bytes = CONFIGURATION) -> Configuration:
    return parse(text, "test.yaml")


async def until(condition: Callable[[], Value]) -> Value:
    """Let the loop turn until the condition holds; time plays no part."""
    for _ in range(TURNS):
        if value := condition():
            return value
        await asyncio.sleep(0)
    raise AssertionError("the condition never held")


class FakeTransport:
    """Carries messages to an LMA in memory, which answers each while `is_answering`."""

    def __init__(self, lma: FakeLma) -> None:
        self.received = self.lost = self.send_failures = 0
        self.discarded: Counter[str] = Counter()
        self.is_answering = True
        self.is_congested = False
        self.unread: list[bytes] = []
        """Has arrived, and is handed on when somebody catches up."""
        self.status = 0
        self.sent: list[bytes] = []
        """Proxy Binding Updates."""
        self.sent_to: list[IPv6Address] = []
        """Where each of them went."""
        self.heartbeats: list[bytes] = []
        self.icmpv6: list[bytes] = []
        self.reached: set[IPv6Address] = set()
        self._lmas = {lma.address: lma}
        self._receive: ReceiveMessage | None = None

    def open(self, receive: ReceiveMessage, receive_error: ReceiveError) -> None:
        self._receive = receive
        self.report_error = receive_error

    def on_room(self, listener: Callable[[], None]) -> None:
        self.tell_of_room = listener

    def catch_up(self) -> None:
        unread, self.unread = self.unread, []
        for data in unread:
            self._hand_on(data, LMA_ADDRESS)

    def reach(self, lma_addresses: Collection[IPv6Address]) -> None:
        self.reached = set(lma_addresses)

    def send(
        self,
        data: bytes,
        destination: IPv6Address,
        next_header: int = IP_PROTOCOL_MOBILITY_HEADER,
    ) -> bool:
        if next_header != IP_PROTOCOL_MOBILITY_HEADER:
            self.icmpv6.append(data)
            return True
        if data[MH_TYPE_OFFSET] == MobilityHeaderType.HEARTBEAT:
            self.heartbeats.append(data)
            return True
        self.sent.append(data)
        self.sent_to.append(destination)
        if self.is_answering:
            message = OutgoingMessage(data, PROXY_CARE_OF_ADDRESS, destination)
            lma = self._lmas.setdefault(destination, FakeLma(destination, OTHER_POOL))
            self.deliver(lma.answer(message, status=self.status), destination)
        return True

    def deliver(self, data: bytes, source: IPv6Address = LMA_ADDRESS) -> None:
        asyncio.get_running_loop().call_soon(self._hand_on, data, source)

    def close(self) -> None:
        self._receive = None

    def _hand_on(self, data: bytes, source: IPv6Address) -> None:
        if self._receive is not None:
            self.received += 1
            self._receive(data, source)


def is_query(packet: bytes) -> bool:
    """An MLD query: hop-by-hop header first, as nothing else that a gateway sends."""
    return packet[6] == 0


class FakePort:
    """An access link in memory; frames of known nodes are kept from the gateway as they ought."""

    def __init__(self, interface: str, hears_unknown_sources: bool = True) -> None:
        self.interface = interface
        self.hears_unknown_sources = hears_unknown_sources
        self.is_refused = False
        """Opening it, or hearing other frames, fails."""
        self.discarded: Counter[str] = Counter()
        self.known: set[bytes] = set()
        self.sent: list[tuple[bytes, bytes]] = []
        self.queried: list[bytes] = []
        """Link-layer addresses that were asked to speak up."""
        self.reopened = 0
        self.is_up = True
        self._receive: Callable[[NodeSignal], None] | None = None

    @property
    def is_open(self) -> bool:
        return self._receive is not None

    def open(self, receive: Callable[[NodeSignal], None]) -> None:
        if self.is_refused:
            raise AccessLinkError(f"access link {self.interface}: refused")
        self._receive = receive

    def frame(
        self,
        mac: bytes,
        *,
        is_router_solicitation: bool = False,
        source: IPv6Address = NODE_ADDRESS,
    ) -> None:
        """A node sends; what passes the filter reaches the gateway."""
        is_heard = is_router_solicitation or (self.hears_unknown_sources and mac not in self.known)
        if self._receive is not None and is_heard:
            self._receive(NodeSignal(self.interface, mac, is_router_solicitation, source))

    def ask_for(self, mac: bytes, target: IPv6Address) -> None:
        """A node asks for the link-layer address of what may be an anycast address."""
        if self._receive is not None:
            self._receive(NodeSignal(self.interface, mac, False, NODE_ADDRESS, solicited=target))

    def answer(self, mac: bytes, address: IPv6Address = NODE_ADDRESS) -> None:
        """A node answers a solicitation: that is let through, known or not."""
        if self._receive is not None:
            self._receive(NodeSignal(self.interface, mac, False, address, claimed=address))

    def know(self, mn_link_layer_address: bytes) -> None:
        self.known.add(mn_link_layer_address)

    def forget(self, mn_link_layer_address: bytes) -> None:
        self.known.discard(mn_link_layer_address)

    def hear(self, *, unknown_sources: bool, known: Iterable[bytes]) -> None:
        if self.is_refused:
            raise AccessLinkError(f"access link {self.interface}: refused")
        self.hears_unknown_sources = unknown_sources
        self.known |= set(known)

    def reopen(self) -> None:
        self.reopened += 1

    def send(self, packet: bytes, mn_link_layer_address: bytes) -> bool:
        if is_query(packet):
            self.queried.append(mn_link_layer_address)
        elif self.is_up:
            self.sent.append((packet, mn_link_layer_address))
        return self.is_up

    def close(self) -> None:
        self._receive = None


@dataclass
class FakeWorld:
    """Everything around one gateway."""

    configuration: Configuration = field(default_factory=configuration)
    lma: FakeLma = field(default_factory=lambda: FakeLma(LMA_ADDRESS))
    dataplane: FakeDataplane = field(default_factory=FakeDataplane)

    def __post_init__(self) -> None:
        self.transport = FakeTransport(self.lma)
        self.ports = {name: FakePort(name) for name in self.configuration.access_links}
        self.links: asyncio.Queue[LinkState] = asyncio.Queue()
        self.disturbances: asyncio.Queue[Disturbance | DataplaneError] = asyncio.Queue()
        """What the packet path tells of others, or fails with."""
        self.links_refused: set[str] = set()
        """Access links that cannot be opened."""
        self.link_failures: list[OSError] = []
        """What the link monitor fails with when it is started, once each."""
        self.clock = ClockReading(is_synchronized=True)

    def adapters(self) -> Adapters:
        return Adapters(
            transport=self.transport,
            dataplane=self.dataplane,
            policy=ConfiguredPolicyStore(self.configuration.policy_directory),
            ports=dict(self.ports),
            make_port=self._make_port,
            link_states=self._link_states,
            read_clock=lambda: self.clock,
            disturbances=self._disturbances,
        )

    async def _disturbances(self) -> AsyncGenerator[Disturbance, None]:
        while True:
            told = await self.disturbances.get()
            if isinstance(told, DataplaneError):
                raise told
            yield told

    def _make_port(self, interface: str, link: AccessLinkSection) -> FakePort:
        port = FakePort(interface, link.hears_unknown_sources)
        port.is_refused = interface in self.links_refused
        self.ports[interface] = port
        return port

    async def _link_states(self, _: Collection[str]) -> AsyncIterator[LinkState]:
        if self.link_failures:
            raise self.link_failures.pop()
        while True:
            yield await self.links.get()
