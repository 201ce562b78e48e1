"""Mobility Headers from and to LMAs by the punt socket."""

from collections import Counter
from ipaddress import IPv6Address

import pytest

from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER
from mag.wire.ipv6 import IPv6Packet
from services.punt.conftest import CORE, FROM_LMA, MESSAGE, World, framed, transport_of
from support.fake_adapters import until
from support.mobility_headers import LMA, MAG


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


async def test_message_that_vpp_would_cut_off_is_not_sent(world: World) -> None:
    transport, _ = transport_of(world)
    assert not transport.send(bytes(2009), LMA)
    assert transport.send(bytes(2008), LMA)


async def test_ping_that_resolves_an_lma_has_a_right_checksum(world: World) -> None:
    transport, _ = transport_of(world)
    await transport.resolve_lmas()
    _, _, octets = world.sent()
    packet = IPv6Packet.decode(octets)
    assert (packet.source, packet.destination, packet.payload[0]) == (MAG, LMA, 128)
    assert checksum(packet.payload, MAG, LMA, IP_PROTOCOL_ICMPV6) == 0
