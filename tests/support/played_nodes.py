"""Mobile nodes on the access link of a gateway process, each no more than a MAC and its frames."""

import socket
import time
from collections.abc import Callable

from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.neighbor_solicitation import (
    NEIGHBOR_SOLICITATION,
    NeighborAdvertisement,
    NeighborSolicitation,
)
from support.namespaces import in_namespace, link_up, packet_socket
from support.waiting import PATIENCE_S

MN1_MAC = bytes.fromhex("020000000001")
MN2_MAC = bytes.fromhex("020000000002")


class PlayedNodes:
    """All nodes of the link behind one socket; who looks for a packet passes over all others."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._access = in_namespace(namespace, _connect)

    def close(self) -> None:
        self._access.close()

    def reconnect(self) -> None:
        """To a link that was made anew."""
        self._access.close()
        self._access = in_namespace(self._namespace, _connect)

    def send(self, mac: bytes, packet: bytes) -> None:
        """A frame from a mobile node to its router."""
        frame = EthernetFrame(RESERVED_LINK_LAYER_ADDRESS, mac, ETHERTYPE_IPV6, packet)
        self._access.send(frame.encode())

    def next_packet(self, mac: bytes, is_it: Callable[[bytes], bool]) -> bytes:
        """The next packet to this node's MAC that is what the caller looks for."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            frame = EthernetFrame.decode(self._access.recv(2048))
            if frame.destination == mac and is_it(frame.payload):
                return frame.payload
        raise AssertionError("the node was sent nothing of that kind")

    def no_packet(self, mac: bytes, is_it: Callable[[bytes], bool]) -> None:
        """Whatever has arrived for this node by now, that was not among it."""
        self._access.setblocking(False)
        try:
            while True:
                frame = EthernetFrame.decode(self._access.recv(2048))
                assert not (frame.destination == mac and is_it(frame.payload))
        except BlockingIOError:
            self._access.settimeout(PATIENCE_S)

    def answer_probe(self, mac: bytes) -> None:
        """As the node whose address is solicited next."""

        def is_solicitation(packet: bytes) -> bool:
            return packet[6] == IP_PROTOCOL_ICMPV6 and packet[40] == NEIGHBOR_SOLICITATION

        asked = NeighborSolicitation.decode(self.next_packet(mac, is_solicitation))
        answer = NeighborAdvertisement(asked.target, asked.target, is_solicited=True)
        self.send(mac, answer.encode(asked.source))


def _connect() -> socket.socket:
    link_up("access")
    return packet_socket("access")
