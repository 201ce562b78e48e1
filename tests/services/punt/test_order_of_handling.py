"""Of all that has been punted, answers come before what asks, and neither keeps the loop."""

import asyncio

import pytest

from mag.services import punt_socket
from mag.services.punt_transport import PuntTransport
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER
from services.punt.conftest import (
    ACCESS,
    CORE,
    FROM_LMA,
    World,
    framed,
    port_of,
    solicitation,
    transport_of,
)
from support.fake_adapters import until
from support.mobility_headers import LMA, MAG


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
