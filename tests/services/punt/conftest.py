"""Our end of the punt socket, with VPP's end played by the test."""

import socket
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.services.node_signal import NodeSignal
from mag.services.punt_access_link import PuntAccessLink, SourceEvents
from mag.services.punt_socket import PuntSocket
from mag.services.punt_transport import PuntTransport
from mag.wire.checksum import checksum
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER
from mag.wire.ipv6 import IPv6Packet
from support.mobility_headers import LMA, MAG, acknowledgement

CORE, ACCESS, VLAN, PLAIN, DOWN = 1, 2, 3, 4, 5
GATEWAY_MAC = bytes.fromhex("00005e005213")
NODE_MAC = bytes.fromhex("02000000000a")
NODE = IPv6Address("fe80::a")
ADMIN_UP, LINK_UP = 1, 2
MESSAGE = acknowledgement(b"")
FROM_LMA = IPv6Packet(LMA, MAG, IP_PROTOCOL_MOBILITY_HEADER, MESSAGE).encode()


def interface(index: int, name: str, mac: bytes = GATEWAY_MAC, **changes: Any) -> SimpleNamespace:
    """sw_interface_details."""
    details = {
        "sw_if_index": index,
        "interface_name": name,
        "l2_address": SimpleNamespace(packed=mac),
        "flags": ADMIN_UP | LINK_UP,
        "mtu": [1500, 0, 0, 0],
        "link_mtu": 9000,
        "tag": "",
        "sub_number_of_tags": 0,
        "sub_if_flags": 0,
        "sub_outer_vlan_id": 0,
        "sub_inner_vlan_id": 0,
    }
    return SimpleNamespace(**details | changes)


@dataclass
class PlayedClient:
    """A VppClient's calls as far as the punt socket makes them."""

    server: str
    interfaces: list[SimpleNamespace]
    registered: list[dict[str, Any]] = field(default_factory=list)
    handlers: dict[str, Any] = field(default_factory=dict)

    async def call(self, message: str, **fields: Any) -> SimpleNamespace:
        if message == "punt_socket_register":
            self.registered.append(fields["punt"])
        return SimpleNamespace(pathname=self.server)

    async def dump(self, message: str, **_: Any) -> list[SimpleNamespace]:
        assert message == "sw_interface_dump"
        return self.interfaces

    def on_event(self, message: str, handler: Any) -> None:
        self.handlers[message] = handler


@dataclass
class PlayedStats:
    """VPP's own count of losses."""

    losses: int = 0

    async def punt_losses(self) -> int:
        return self.losses


@dataclass
class World:
    """VPP's end of the socket, and ours."""

    vpp: socket.socket
    path: str
    client: PlayedClient
    stats: PlayedStats
    directory: InterfaceDirectory
    punt: PuntSocket

    def deliver(self, sw_if_index: int, octets: bytes) -> None:
        """VPP punts a packet."""
        self.vpp.sendto(struct.pack("=II", sw_if_index, 0) + octets, self.path)

    def sent(self) -> tuple[int, int, bytes]:
        """What VPP got: interface, action, octets."""
        datagram = self.vpp.recv(65535)
        return *struct.unpack_from("=II", datagram), datagram[8:]


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="mag-punt-") as name:
        yield Path(name)


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    vpp = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    vpp.bind(str(folder / "punt.sock"))
    vpp.setblocking(False)
    client = PlayedClient(
        str(folder / "punt.sock"),
        [
            interface(CORE, "core"),
            interface(ACCESS, "access"),
            interface(
                VLAN,
                "access.5.6",
                sub_number_of_tags=2,
                sub_if_flags=8,
                sub_outer_vlan_id=5,
                sub_inner_vlan_id=6,
            ),
            interface(PLAIN, "memif0", bytes(6)),
            interface(DOWN, "down", flags=ADMIN_UP),
        ],
    )
    directory = InterfaceDirectory(client)
    await directory.refresh()
    stats = PlayedStats()
    path = str(folder / "agent.sock")
    punt = PuntSocket(client, directory, stats, path)
    await punt.open()
    yield World(vpp, path, client, stats, directory, punt)
    punt.close()
    vpp.close()
    assert not Path(path).exists()


def framed(packet: bytes, source: bytes = NODE_MAC) -> bytes:
    return EthernetFrame(GATEWAY_MAC, source, ETHERTYPE_IPV6, packet).encode()


def solicitation(hop_limit: int = 255) -> bytes:
    source, destination = NODE, IPv6Address("ff02::2")
    blank = bytes((133, *bytes(7)))
    value = checksum(blank, source, destination, IP_PROTOCOL_ICMPV6)
    message = blank[:2] + value.to_bytes(2, "big") + blank[4:]
    return IPv6Packet(source, destination, IP_PROTOCOL_ICMPV6, message, hop_limit).encode()


def transport_of(world: World) -> tuple[PuntTransport, list[tuple[bytes, IPv6Address]]]:
    transport = PuntTransport(world.punt, MAG, core_interfaces=("core",), lma_addresses=(LMA,))
    messages: list[tuple[bytes, IPv6Address]] = []
    transport.open(lambda data, source: messages.append((data, source)), lambda *_: None)
    return transport, messages


def port_of(world: World, *, pass_unknown: bool = True) -> tuple[PuntAccessLink, list[NodeSignal]]:
    port = PuntAccessLink(
        "access",
        world.punt,
        SourceEvents(world.client, world.directory),
        gateway_link_layer_address=GATEWAY_MAC,
        pass_unknown_sources=pass_unknown,
    )
    signals: list[NodeSignal] = []
    port.open(signals.append)
    return port, signals
