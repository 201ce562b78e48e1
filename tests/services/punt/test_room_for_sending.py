"""What VPP has no room for waits its turn, and what it never takes is counted."""

import select

from services.punt.conftest import MESSAGE, World, transport_of
from support.fake_adapters import until
from support.mobility_headers import LMA


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
