"""An LMA on the core link of a gateway process: what it hears there, and what it says."""

import select
import socket
from ipaddress import IPv6Address
from typing import Any

from pyroute2 import IPRoute

from mag.protocol.outgoing_message import OutgoingMessage
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER, MobilityHeaderType
from mag.wire.ipv6 import IPv6Packet
from support.fake_lma import FakeLma
from support.namespaces import add_address, in_namespace, link_up, packet_socket
from support.waiting import PATIENCE_S

LMA_ADDRESS = IPv6Address("2001:db8:c::1")
STRANGER_ADDRESS = IPv6Address("2001:db8:c::bad")
LMA_MAC = bytes.fromhex("0200000000fe")
IPV6_CHECKSUM = 7
MH_TYPE_OFFSET = 2


class PlayedLma:
    """Its `anchor` decides what is assigned; the test decides when it speaks."""

    def __init__(self, namespace: str, gateway_address: IPv6Address, gateway_mac: bytes) -> None:
        self.anchor = FakeLma(LMA_ADDRESS)
        self._gateway_address = gateway_address
        self._gateway_mac = gateway_mac
        self._mobility, self._core = in_namespace(namespace, _connect)

    def close(self) -> None:
        self._mobility.close()
        self._core.close()

    def next_update(self) -> OutgoingMessage:
        """The next Proxy Binding Update that the gateway sends to the LMA."""
        while True:
            data, source = self._mobility.recvfrom(2048)
            if data[MH_TYPE_OFFSET] == MobilityHeaderType.BINDING_UPDATE:
                return OutgoingMessage(data, IPv6Address(source[0]), LMA_ADDRESS)

    def has_update(self) -> bool:
        """Whether a message has arrived that nobody has read."""
        return bool(select.select([self._mobility], [], [], 0)[0])

    def no_update(self) -> None:
        """Whatever has arrived by now, no Proxy Binding Update was among it."""
        self._mobility.setblocking(False)
        try:
            while True:
                data = self._mobility.recv(2048)
                assert data[MH_TYPE_OFFSET] != MobilityHeaderType.BINDING_UPDATE
        except BlockingIOError:
            self._mobility.settimeout(PATIENCE_S)

    def next_packet(self) -> IPv6Packet:
        """The next packet on the core link, whatever it is."""
        return IPv6Packet.decode(EthernetFrame.decode(self._core.recv(2048)).payload)

    def answer(self, update: OutgoingMessage, **choices: Any) -> None:
        """Send the acknowledgement; choices: those of FakeLma.answer."""
        acknowledgement = self.anchor.answer(update, **choices)
        self._mobility.sendto(acknowledgement, (str(self._gateway_address), 0))

    def inject(
        self,
        data: bytes,
        source: IPv6Address = LMA_ADDRESS,
        protocol: int = IP_PROTOCOL_MOBILITY_HEADER,
    ) -> None:
        """Put a Mobility Header, or another protocol, on the wire; no kernel checks it."""
        packet = IPv6Packet(source, self._gateway_address, protocol, data)
        frame = EthernetFrame(self._gateway_mac, LMA_MAC, ETHERTYPE_IPV6, packet.encode())
        self._core.send(frame.encode())


def _connect() -> tuple[socket.socket, socket.socket]:
    link_up("core")
    with IPRoute() as route:
        add_address(route, "core", LMA_ADDRESS)
    mobility = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IP_PROTOCOL_MOBILITY_HEADER)
    mobility.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, -1)
    mobility.bind((str(LMA_ADDRESS), 0))
    mobility.settimeout(PATIENCE_S)
    return mobility, packet_socket("core")
