"""Our end of the punt socket, with VPP's end played by the test."""

import asyncio
import os
import select
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.services import punt_socket
from mag.services.node_signal import NodeSignal
from mag.services.punt_access_link import PuntAccessLink, SourceEvents
from mag.services.punt_socket import PuntSocket
from mag.services.punt_transport import PuntTransport
from mag.services.vpp_link_monitor import VppLinkMonitor
from mag.wire.checksum import checksum
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER
from mag.wire.ipv6 import IPv6Packet
from support.fake_adapters import until
from support.mobility_headers import LMA, MAG, acknowledgement

CORE, ACCESS, VLAN, PLAIN, DOWN = 1, 2, 3, 4, 5
GATEWAY_MAC = bytes.fromhex("00005e005213")
NODE_MAC = bytes.fromhex("02000000000a")
NODE = IPv6Address("fe80::a")
ADMIN_UP, LINK_UP = 1, 2
MESSAGE = acknowledgement(b"")
FROM_LMA = IPv6Packet(LMA, MAG, IP_PROTOCOL_MOBILITY_HEADER, MESSAGE).encode()
PACKET_TOO_BIG = IPv6Packet(LMA, MAG, IP_PROTOCOL_ICMPV6, bytes((2, *bytes(7)))).encode()


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


async def test_neighbor_discovery_of_vpp_itself_is_never_registered(world: World) -> None:
    """VPP's neighbour table would starve; a type once registered cannot be given back."""
    assert world.client.registered == [
        {"type": 1, "punt": {"ip_proto": {"af": 1, "protocol": IP_PROTOCOL_MOBILITY_HEADER}}},
        {"type": 0, "punt": {"l4": {"af": 1, "protocol": IP_PROTOCOL_ICMPV6, "port": 133}}},
    ]


async def test_socket_is_writable_for_the_group_and_nobody_else(world: World) -> None:
    """VPP writes to it: as root, or as a member of the agent's group."""
    assert Path(world.path).stat().st_mode & 0o777 == 0o660


async def test_mobility_header_reaches_the_transport(world: World) -> None:
    transport, messages = transport_of(world)
    world.deliver(CORE, framed(FROM_LMA))
    await until(lambda: messages)
    assert messages == [(MESSAGE, LMA)]
    assert transport.received == 1


async def test_link_padding_is_not_part_of_the_message(world: World) -> None:
    _, messages = transport_of(world)
    world.deliver(CORE, framed(FROM_LMA + bytes(6)))
    await until(lambda: messages)
    assert messages == [(MESSAGE, LMA)]


@pytest.mark.parametrize(
    ("sw_if_index", "octets", "reason"),
    [
        (ACCESS, framed(FROM_LMA), "wrong_interface"),
        (99, framed(FROM_LMA), "unknown_interface"),
        (CORE, framed(b""), "wrong_interface"),
        (CORE, b"short", "truncated"),
        (CORE, framed(bytes(60)), "wrong_interface"),
    ],
    ids=["from access", "no such interface", "empty", "half a header", "no IPv6"],
)
async def test_packet_that_is_nobodys_is_counted(
    world: World, sw_if_index: int, octets: bytes, reason: str
) -> None:
    """The descriptor's interface is the only protection: punts are of the whole VPP."""
    _, messages = transport_of(world)
    world.deliver(sw_if_index, octets)
    await until(lambda: world.punt.received)
    assert world.punt.discarded == Counter({reason: 1})
    assert messages == []


async def test_datagram_without_descriptor_is_counted(world: World) -> None:
    world.vpp.sendto(b"abc", world.path)
    await until(lambda: world.punt.received)
    assert world.punt.discarded == Counter({"truncated": 1})


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (IPv6Packet(IPv6Address("2001:db8::bad"), MAG, 135, MESSAGE), "unknown_sender"),
        (IPv6Packet(LMA, IPv6Address("fe80::1"), 135, MESSAGE), "wrong_destination"),
    ],
    ids=["stranger", "to link-local"],
)
async def test_message_of_or_to_another_is_counted(
    world: World, packet: IPv6Packet, reason: str
) -> None:
    transport, messages = transport_of(world)
    world.deliver(CORE, framed(packet.encode()))
    await until(lambda: transport.discarded)
    assert transport.discarded == Counter({reason: 1})
    assert messages == []


async def test_message_leaves_as_a_routed_packet_of_the_core(world: World) -> None:
    transport, _ = transport_of(world)
    assert transport.send(MESSAGE, LMA)
    expected = IPv6Packet(MAG, LMA, IP_PROTOCOL_MOBILITY_HEADER, MESSAGE).encode()
    assert world.sent() == (CORE, 2, expected)


async def test_ping_that_resolves_an_lma_has_a_right_checksum(world: World) -> None:
    transport, _ = transport_of(world)
    await transport.resolve_lmas()
    _, _, octets = world.sent()
    packet = IPv6Packet.decode(octets)
    assert (packet.source, packet.destination, packet.payload[0]) == (MAG, LMA, 128)
    assert checksum(packet.payload, MAG, LMA, IP_PROTOCOL_ICMPV6) == 0


async def test_what_vpp_does_not_take_is_counted(world: World) -> None:
    """VPP is away; retransmission makes up for it."""
    transport, _ = transport_of(world)
    world.vpp.close()
    assert not transport.send(MESSAGE, LMA)
    assert transport.send_failures == world.punt.send_failures == 1


async def test_what_vpp_has_no_room_for_yet_waits_its_turn(world: World) -> None:
    """Its socket holds few packets, and it takes one at a time."""
    transport, _ = transport_of(world)
    for number in range(3000):
        assert transport.send(number.to_bytes(4, "big"), LMA)
    assert world.punt.sent < 3000
    for number in range(3000):
        await until(lambda: select.select([world.vpp], [], [], 0)[0])
        _, _, octets = world.sent()
        assert octets[-4:] == number.to_bytes(4, "big")
    assert (world.punt.sent, transport.send_failures) == (3000, 0)


async def test_what_waited_for_a_vpp_that_went_is_counted(world: World) -> None:
    transport, _ = transport_of(world)
    for _ in range(3000):
        transport.send(MESSAGE, LMA)
    waiting = 3000 - world.punt.sent
    world.vpp.close()
    await until(lambda: world.punt.send_failures)
    assert world.punt.send_failures == waiting
    assert not transport.send(MESSAGE, LMA)


async def test_socket_that_we_may_not_write_to_is_told_at_start(world: World) -> None:
    Path(world.client.server).unlink()
    with pytest.raises(DataplaneError, match=r"connect to VPP's punt socket .*: No such"):
        await world.punt.open()


async def test_message_that_vpp_would_cut_off_is_not_sent(world: World) -> None:
    transport, _ = transport_of(world)
    assert not transport.send(bytes(2009), LMA)
    assert transport.send(bytes(2008), LMA)


async def test_losses_are_counted_and_told(world: World) -> None:
    """What finds our socket full is VPP's to count."""
    transport, _ = transport_of(world)
    told: list[int] = []
    world.punt.on_losses(told.append)
    for world.stats.losses in (7, 7, 9):
        await world.punt.count_losses()
    assert transport.lost == world.punt.lost == 9
    assert told == [7, 2]


async def test_socket_is_emptied_while_a_burst_is_handled(world: World) -> None:
    """Its queue is short: what comes while one packet is handled must not wait for all others."""
    handled: list[bytes] = []

    def take(frame: EthernetFrame) -> None:
        handled.append(frame.payload)
        if len(handled) <= 400:
            for _ in range(5):
                world.deliver(CORE, framed(FROM_LMA))

    world.punt.listen("core", IP_PROTOCOL_MOBILITY_HEADER, take)
    for _ in range(10):
        world.deliver(CORE, framed(FROM_LMA))
    await until(lambda: len(handled) == 10 + 400 * 5)
    assert world.punt.received == len(handled)


async def test_answers_overtake_what_asks(world: World) -> None:
    """Whoever is served first must not wait for all who come: else more is asked, and less done."""
    order: list[str] = []
    world.punt.listen("access", IP_PROTOCOL_ICMPV6, lambda frame: order.append("asks"))
    transport = PuntTransport(world.punt, MAG, core_interfaces=("core",), lma_addresses=(LMA,))
    transport.open(lambda data, source: order.append("answer"), lambda *_: None)
    for _ in range(50):
        world.deliver(ACCESS, framed(solicitation()))
    for _ in range(50):
        world.deliver(CORE, framed(FROM_LMA))
    await until(lambda: len(order) == 100)
    assert order == ["answer"] * 50 + ["asks"] * 50


async def test_flood_of_what_asks_costs_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much is dropped here, and counted: in VPP's buffer it would leave no room."""
    monkeypatch.setattr(punt_socket, "MOST_WAITING", 100)
    transport, messages = transport_of(world)
    _, signals = port_of(world)
    for _ in range(2):
        for _ in range(70):
            world.deliver(ACCESS, framed(solicitation()))
        world.punt._receive()
    world.deliver(CORE, framed(FROM_LMA))
    await until(lambda: len(signals) == 100)
    assert len(messages) == 1
    assert transport.discarded == {"too_many_waiting": 40}


async def test_others_have_their_turn_while_many_packets_wait(world: World) -> None:
    _, signals = port_of(world)
    for _ in range(150):
        world.deliver(ACCESS, framed(solicitation()))
    seen = []
    while len(signals) < 150:
        await asyncio.sleep(0)
        seen.append(len(signals))
    assert len({count for count in seen if count}) >= 3


async def test_answers_are_read_when_somebody_is_about_to_ask_again(world: World) -> None:
    transport, messages = transport_of(world)
    _, signals = port_of(world)
    for _ in range(3):
        world.deliver(ACCESS, framed(solicitation()))
        world.deliver(CORE, framed(FROM_LMA))
    transport.catch_up()  # no turn of the loop in between
    assert len(messages) == 3
    assert not signals
    await until(lambda: len(signals) == 3)


async def test_much_that_waits_for_vpp_is_told_and_so_is_its_end(world: World) -> None:
    transport, _ = transport_of(world)
    room: list[int] = []
    transport.on_room(lambda: room.append(len(world.punt._outgoing)))
    assert not transport.is_congested
    for number in range(1500):
        transport.send(number.to_bytes(4, "big"), LMA)
    assert transport.is_congested
    for _ in range(1500):
        await until(lambda: select.select([world.vpp], [], [], 0)[0])
        world.sent()
    await until(lambda: room)
    assert room == [0]
    assert not transport.is_congested


async def test_vpp_that_goes_ends_the_waiting(world: World) -> None:
    transport, _ = transport_of(world)
    room: list[int] = []
    transport.on_room(lambda: room.append(1))
    for _ in range(1500):
        transport.send(MESSAGE, LMA)
    world.vpp.close()
    await until(lambda: room)
    assert not transport.is_congested


async def test_losses_go_on_from_where_they_were_when_vpp_restarts(world: World) -> None:
    """Its counters begin at 0 then."""
    world.stats.losses = 7
    await world.punt.count_losses()
    world.stats.losses = 0
    await world.punt.open()
    world.stats.losses = 2
    await world.punt.count_losses()
    assert world.punt.lost == 9


async def test_router_solicitation_is_a_signal(world: World) -> None:
    """RFC 5213 §6.9.2, RFC 4861 §6.1.1."""
    _, signals = port_of(world)
    world.deliver(ACCESS, framed(solicitation()))
    await until(lambda: signals)
    assert signals == [NodeSignal("access", NODE_MAC, True, NODE)]


async def test_known_nodes_solicitation_is_a_signal_all_the_same(world: World) -> None:
    """It asks for an answer."""
    port, signals = port_of(world)
    port.know(NODE_MAC)
    world.deliver(ACCESS, framed(solicitation()))
    await until(lambda: signals)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (framed(solicitation(hop_limit=64)), "bad_hop_limit"),
        (framed(solicitation(), source=bytes.fromhex("01000000000a")), "bad_source"),
        (
            framed(IPv6Packet(LMA, MAG, 58, bytes((2, *bytes(7)))).encode()),
            "no_router_solicitation",
        ),
    ],
    ids=["routed", "multicast MAC", "ICMPv6 error"],
)
async def test_invalid_solicitation_is_counted(world: World, frame: bytes, reason: str) -> None:
    """ND-01."""
    port, signals = port_of(world)
    world.deliver(ACCESS, frame)
    await until(lambda: port.discarded)
    assert list(port.discarded) == [reason]
    assert signals == []


def unknown_source(mac: bytes, sw_if_index: int = ACCESS) -> SimpleNamespace:
    return SimpleNamespace(
        sw_if_index=sw_if_index,
        mac=SimpleNamespace(packed=mac),
        source_address=NODE,
        n_suppressed=3,
    )


async def test_event_of_an_unknown_source_is_a_signal_until_the_node_is_known(
    world: World,
) -> None:
    port, signals = port_of(world)
    tell = world.client.handlers["mag_unknown_source_event"]
    tell(unknown_source(NODE_MAC))
    port.know(NODE_MAC)
    tell(unknown_source(NODE_MAC))
    tell(unknown_source(NODE_MAC, CORE))
    assert signals == [NodeSignal("access", NODE_MAC, False, NODE)]
    port.forget(NODE_MAC)
    tell(unknown_source(NODE_MAC))
    assert len(signals) == 2


@pytest.mark.requirement("PBA-33", "LLA-06")
async def test_claim_of_an_address_is_a_signal_from_whomever(world: World) -> None:
    """RFC 4861 §4.4, RFC 4862 §5.4: of a bound node too, it may be the gateway's address."""
    port, signals = port_of(world, pass_unknown=False)
    port.know(NODE_MAC)
    claim = unknown_source(NODE_MAC)
    claim.claimed_address = IPv6Address("fe80::6d61:1")
    world.client.handlers["mag_address_claimed_event"](claim)
    assert signals == [NodeSignal("access", NODE_MAC, False, NODE, IPv6Address("fe80::6d61:1"))]


async def test_event_is_no_signal_where_only_solicitations_attach(world: World) -> None:
    """design: attach triggers are configuration."""
    _, signals = port_of(world, pass_unknown=False)
    world.client.handlers["mag_unknown_source_event"](unknown_source(NODE_MAC))
    assert signals == []


async def test_frame_to_a_node_goes_out_of_its_link(world: World) -> None:
    """RFC 6085: to the node's own address."""
    port, _ = port_of(world)
    assert port.send(b"packet", NODE_MAC)
    frame = NODE_MAC + GATEWAY_MAC + bytes.fromhex("86dd") + b"packet"
    assert world.sent() == (ACCESS, 0, frame)


async def test_frame_out_of_a_vlan_carries_its_tags(world: World) -> None:
    """VPP sends the frame as it is, outer tag of 802.1ad first."""
    assert world.punt.send_frame("access.5.6", NODE_MAC, GATEWAY_MAC, b"packet")
    _, _, frame = world.sent()
    assert frame[12:20] == bytes.fromhex("88a8 0005 8100 0006".replace(" ", ""))
    assert EthernetFrame.decode(frame).payload == b"packet"


async def test_interface_without_ethernet_is_heard_too(world: World) -> None:
    """memif in IP mode: the packet stands right behind the descriptor."""
    heard: list[EthernetFrame] = []
    world.punt.listen("memif0", IP_PROTOCOL_MOBILITY_HEADER, heard.append)
    world.deliver(PLAIN, FROM_LMA)
    await until(lambda: heard)
    assert heard[0].payload == FROM_LMA


async def test_frame_out_of_a_link_that_is_down_is_refused(world: World) -> None:
    assert not world.punt.send_frame("down", NODE_MAC, GATEWAY_MAC, b"packet")
    assert not world.punt.send_frame("nosuch", NODE_MAC, GATEWAY_MAC, b"packet")
    assert world.punt.send_failures == 2


async def test_any_octets_are_handed_on_or_counted(world: World) -> None:
    """Nodes and strangers write these: nothing of it may end the drain."""
    transport, messages = transport_of(world)
    port, signals = port_of(world)
    random = Random(1)
    sent = 0
    for template in (b"", framed(FROM_LMA), framed(solicitation()), framed(PACKET_TOO_BIG)):
        for _ in range(500):
            octets = bytearray(template[: random.randint(0, len(template))] + random.randbytes(30))
            octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)
            world.deliver(random.choice((CORE, ACCESS, VLAN, PLAIN)), bytes(octets))
            sent += 1
            await until(lambda sent=sent: world.punt.received == sent)
    counted = transport.discarded + port.discarded
    assert counted.total() + len(messages) + len(signals) == sent


async def test_path_that_does_not_fit_is_refused_in_words(world: World) -> None:
    long = PuntSocket(world.client, world.directory, world.stats, "/run/" + "x" * 110)
    with pytest.raises(DataplaneError, match="longer than 107 octets"):
        await long.open()


async def test_path_that_cannot_be_bound_is_told(world: World) -> None:
    nowhere = PuntSocket(world.client, world.directory, world.stats, "/nonexistent/agent.sock")
    with pytest.raises(DataplaneError, match=r"/nonexistent/agent\.sock: No such file"):
        await nowhere.open()


async def test_link_that_is_down_right_after_a_restart_of_vpp_is_waited_for(world: World) -> None:
    """Bindings outlive VPP: its start-up commands may still be running."""
    monitor = VppLinkMonitor(world.client, world.directory, settling_s=0.05)
    await monitor.open()
    states = monitor.watch(("access",))
    assert (await anext(states)).is_up
    world.client.interfaces[1].flags = ADMIN_UP
    await monitor.open()
    down = await anext(states)
    assert (down.is_up, down.mtu_octets) == (False, 1500)
    world.client.interfaces[1].flags = ADMIN_UP | LINK_UP
    world.client.handlers["sw_interface_event"](None)
    assert (await anext(states)).is_up
    await states.aclose()


async def test_events_are_asked_for_in_the_name_of_this_process(world: World) -> None:
    asked: dict[str, Any] = {}

    async def call(message: str, **fields: Any) -> None:
        asked[message] = fields

    world.client.call = call
    await VppLinkMonitor(world.client, world.directory).open()
    await SourceEvents(world.client, world.directory).open()
    assert asked == {
        "want_interface_events": {"settled": (-31,), "enable_disable": 1, "pid": os.getpid()},
        "want_mag_events": {"enable": True, "pid": os.getpid()},
    }
