"""A real `mag run` is killed and started again; its nodes notice nothing."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address

import pytest

from mag.services.gateway_control import Document
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_IPV6
from mag.wire.ipv6 import IPv6Packet
from netns.nodes import CORRESPONDENT, UDP, attach
from support.gateway_process import GatewayProcess
from support.marks import needs_root
from support.played_nodes import MN1_MAC, MN2_MAC
from support.waiting import wait_for

pytestmark = [pytest.mark.netns, needs_root]
INTERVAL_S = 0.005
LASTING = (
    *("binding_id", "mn_id", "link_layer_address", "access_interface"),
    *("lma", "home_network_prefixes", "state", "is_forwarding"),
)


class Pings:
    """A node's numbered packets, and what came back to it from behind the LMA."""

    def __init__(self, gateway: GatewayProcess, mac: bytes, address: IPv6Address) -> None:
        self.sent = 0
        self.answered: set[int] = set()
        self._gateway = gateway
        self._mac = mac
        self._address = address
        self._is_over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send one after the other; at the end wait for the last answer."""
        links = self._gateway.world_socket
        with links("access") as access, links("core") as core:
            thread = threading.Thread(target=self._run, args=(access, core))
            thread.start()
            try:
                yield
            finally:
                self._is_over.set()
                thread.join()
            while len(self.answered) < self.sent and select.select([access, core], [], [], 1)[0]:
                self._listen(access, core, 0)

    def _run(self, access: socket.socket, core: socket.socket) -> None:
        while not self._is_over.is_set():
            data = self.sent.to_bytes(20, "big")
            packet = IPv6Packet(self._address, CORRESPONDENT, UDP, data)
            self.sent += 1
            self._gateway.nodes.send(self._mac, packet.encode())
            self._listen(access, core, INTERVAL_S)

    def _listen(self, access: socket.socket, core: socket.socket, timeout_s: float) -> None:
        readable, _, _ = select.select([access, core], [], [], timeout_s)
        for link in readable:
            frame = EthernetFrame.decode(link.recv(2048))
            packet = IPv6Packet.decode(frame.payload)
            if link is core and packet.next_header == IP_PROTOCOL_IPV6:
                inner = IPv6Packet.decode(packet.payload)
                if inner.destination == CORRESPONDENT:
                    answer = IPv6Packet(CORRESPONDENT, inner.source, UDP, inner.payload)
                    self._gateway.lma.inject(answer.encode(), protocol=IP_PROTOCOL_IPV6)
            elif packet.source == CORRESPONDENT and frame.destination == self._mac:
                self.answered.add(int.from_bytes(packet.payload, "big"))


def lasting(rows: list[Document]) -> list[Document]:
    """What of `mag show bindings` a restart must not change."""
    return [{key: row[key] for key in LASTING} for row in rows]


@pytest.mark.requirement("SEQ-04")
def test_killed_gateway_goes_on_and_nodes_and_lma_notice_nothing(gateway: GatewayProcess) -> None:
    prefix = attach(gateway)
    attach(gateway, MN2_MAC)
    rows, path = gateway.bindings(), gateway.host.packet_path()
    assert len(rows) == 2
    pings = Pings(gateway, MN1_MAC, prefix.network_address + 1)
    with pings.running():
        wait_for(lambda: len(pings.answered) > 50, "packets go both ways")
        gateway.kill()
        assert gateway.host.packet_path() == path
        mark = pings.sent + 100
        wait_for(lambda: max(pings.answered) > mark, "packets go on without a gateway")
        gateway.start_ready()
        wait_for(lambda: lasting(gateway.bindings()) == lasting(rows), "the same bindings")
        assert gateway.host.packet_path() == path
        mark = pings.sent + 100
        wait_for(lambda: max(pings.answered) > mark, "packets go on with the next gateway")
    assert len(pings.answered) == pings.sent
    gateway.lma.no_update()
