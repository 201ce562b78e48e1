"""The pump under overload: nothing is asked twice that may have been answered, or has not left."""

import pytest

from mag.daemon.gateway import Gateway
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.outgoing_message import OutgoingMessage
from support.fake_adapters import (
    LMA_ADDRESS,
    MN1_MAC,
    MN2_MAC,
    PROXY_CARE_OF_ADDRESS,
    FakeWorld,
    until,
)

LATER_S = 1.5
"""A first retransmission is due by then."""


def peer_of(gateway: Gateway) -> LmaPeer:
    return gateway.core.peers[LMA_ADDRESS]


async def asked(gateway: Gateway, world: FakeWorld) -> bytes:
    """A node has attached, and its PBU has left; the answer."""
    world.transport.is_answering = False
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: world.transport.sent)
    update = OutgoingMessage(world.transport.sent[0], PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
    return world.lma.answer(update)


def at(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, later_s: float) -> None:
    """It is that much later, the nodes are still there, and it is the pump's turn."""
    now = gateway.pump.now() + later_s
    for entry in gateway.core.binding_update_list:
        gateway.core.node_heard(entry.binding_id, None, now)
    monkeypatch.setattr(gateway.pump, "now", lambda: now)
    gateway.pump.run()


async def test_answer_that_lies_unread_is_read_before_anything_is_asked_again(
    gateway: Gateway, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.transport.unread.append(await asked(gateway, world))
    at(gateway, monkeypatch, LATER_S)
    assert len(world.transport.sent) == 1
    assert not peer_of(gateway).retransmitted
    assert sum(peer_of(gateway).answered.values()) == 1


async def test_what_has_no_answer_is_asked_again(
    gateway: Gateway, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(gateway, world)
    at(gateway, monkeypatch, LATER_S)
    assert len(world.transport.sent) == 2


async def test_nothing_is_made_while_earlier_messages_wait_to_leave(
    gateway: Gateway, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait there, too, and be asked again from there; as it is, it keeps its place."""
    await asked(gateway, world)
    world.transport.is_congested = True
    world.ports["access1"].frame(MN2_MAC)
    await until(lambda: len(gateway.core.binding_update_list) == 2)
    for later_s in (LATER_S, 2 * LATER_S, 4 * LATER_S):
        at(gateway, monkeypatch, later_s)
    assert len(world.transport.sent) == 1
    assert len(peer_of(gateway).updates) == 2
    world.transport.is_congested = False
    world.transport.tell_of_room()
    await until(lambda: len(world.transport.sent) == 3)


async def test_loop_has_its_turn_while_messages_wait_to_leave(
    gateway: Gateway, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due and cannot be sent must not wake the pump over and over."""
    await asked(gateway, world)
    world.transport.is_congested = True
    at(gateway, monkeypatch, LATER_S)
    runs = 0
    run = gateway.pump.run

    def counted() -> None:
        nonlocal runs
        runs += 1
        run()

    monkeypatch.setattr(gateway.pump, "run", counted)
    turns = iter(range(200))
    await until(lambda: next(turns) == 199)
    assert runs < 5
