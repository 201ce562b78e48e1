"""The punt socket itself: how it is opened, and whose each punted packet is."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from mag.dataplane.base import DataplaneError
from mag.services.punt_socket import PuntSocket
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER
from mag.wire.ipv6 import IPv6Packet
from services.punt.conftest import (
    ACCESS,
    CORE,
    FROM_LMA,
    PLAIN,
    VLAN,
    World,
    framed,
    port_of,
    solicitation,
    transport_of,
)
from support.fake_adapters import until
from support.mobility_headers import LMA, MAG

PACKET_TOO_BIG = IPv6Packet(LMA, MAG, IP_PROTOCOL_ICMPV6, bytes((2, *bytes(7)))).encode()


async def test_neighbor_discovery_of_vpp_itself_is_never_registered(world: World) -> None:
    """VPP's neighbour table would starve; a type once registered cannot be given back."""
    assert world.client.registered == [
        {"type": 1, "punt": {"ip_proto": {"af": 1, "protocol": IP_PROTOCOL_MOBILITY_HEADER}}},
        {"type": 0, "punt": {"l4": {"af": 1, "protocol": IP_PROTOCOL_ICMPV6, "port": 133}}},
    ]


async def test_socket_is_writable_for_the_group_and_nobody_else(world: World) -> None:
    """VPP writes to it: as root, or as a member of the agent's group."""
    assert Path(world.path).stat().st_mode & 0o777 == 0o660


async def test_socket_that_we_may_not_write_to_is_told_at_start(world: World) -> None:
    Path(world.client.server).unlink()
    with pytest.raises(DataplaneError, match=r"connect to VPP's punt socket .*: No such"):
        await world.punt.open()


async def test_path_that_does_not_fit_is_refused_in_words(world: World) -> None:
    long = PuntSocket(world.client, world.directory, world.stats, "/run/" + "x" * 110)
    with pytest.raises(DataplaneError, match="longer than 107 octets"):
        await long.open()


async def test_path_that_cannot_be_bound_is_told(world: World) -> None:
    nowhere = PuntSocket(world.client, world.directory, world.stats, "/nonexistent/agent.sock")
    with pytest.raises(DataplaneError, match=r"/nonexistent/agent\.sock: No such file"):
        await nowhere.open()


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


async def test_interface_without_ethernet_is_heard_too(world: World) -> None:
    """memif in IP mode: the packet stands right behind the descriptor."""
    heard: list[EthernetFrame] = []
    world.punt.listen("memif0", IP_PROTOCOL_MOBILITY_HEADER, heard.append)
    world.deliver(PLAIN, FROM_LMA)
    await until(lambda: heard)
    assert heard[0].payload == FROM_LMA


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


async def test_losses_are_counted_and_told(world: World) -> None:
    """What finds our socket full is VPP's to count."""
    transport, _ = transport_of(world)
    told: list[int] = []
    world.punt.on_losses(told.append)
    for world.stats.losses in (7, 7, 9):
        await world.punt.count_losses()
    assert transport.lost == world.punt.lost == 9
    assert told == [7, 2]


async def test_losses_go_on_from_where_they_were_when_vpp_restarts(world: World) -> None:
    """Its counters begin at 0 then."""
    world.stats.losses = 7
    await world.punt.count_losses()
    world.stats.losses = 0
    await world.punt.open()
    world.stats.losses = 2
    await world.punt.count_losses()
    assert world.punt.lost == 9
