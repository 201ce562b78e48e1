"""The gateway asks nodes whether they are still there, over either kind of packet path."""

import asyncio
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from daemon.conftest import running
from mag.daemon.gateway import Adapters, Gateway
from mag.daemon.presence import LOOK_AFTER_S
from mag.dataplane.base import DataplaneError
from mag.protocol.registration import RegistrationState
from mag.wire.neighbor_solicitation import NEIGHBOR_SOLICITATION, NeighborSolicitation
from support.fake_adapters import (
    MN1_MAC,
    NODE_ADDRESS,
    FakePort,
    FakeWorld,
    until,
)

GATEWAY_ADDRESS = IPv6Address("fe80::200:5eff:fe00:5213")


def solicitations(port: FakePort) -> list[NeighborSolicitation]:
    return [
        NeighborSolicitation.decode(packet)
        for packet, _ in port.sent
        if packet[40] == NEIGHBOR_SOLICITATION
    ]


async def doubtful(gateway: Gateway, world: FakeWorld) -> FakePort:
    """A node with service whose refresh is due, an hour before its time."""
    port = world.ports["access1"]
    port.frame(MN1_MAC)
    await until(lambda: port.sent)
    (entry,) = gateway.core.binding_update_list
    entry.last_heard_at -= 3600
    world.transport.sent.clear()
    gateway.core._machine.timer_due(entry, gateway.pump.now())
    gateway.pump.wake()
    return port


@pytest.mark.requirement("DETACH-07", "RTX-05")
async def test_node_is_solicited_at_its_address_and_its_answer_lets_the_refresh_go(
    gateway: Gateway, world: FakeWorld
) -> None:
    port = await doubtful(gateway, world)
    (asked,) = await until(lambda: solicitations(port))
    assert (asked.source, asked.target) == (GATEWAY_ADDRESS, NODE_ADDRESS)
    assert asked.source_link_layer_address == bytes.fromhex("00005e005213")
    assert world.transport.sent == []
    port.answer(MN1_MAC)
    await until(lambda: world.transport.sent)


async def test_node_whose_address_nobody_knows_is_asked_for_its_groups(
    gateway: Gateway, world: FakeWorld
) -> None:
    world.ports["access1"].frame(MN1_MAC, source=IPv6Address("::"))
    await until(lambda: world.ports["access1"].sent)
    port = await doubtful(gateway, world)
    await until(lambda: MN1_MAC in port.queried)
    assert solicitations(port) == []


@pytest.mark.requirement("DETACH-02")
async def test_question_that_cannot_be_sent_counts_for_nothing(
    gateway: Gateway, world: FakeWorld
) -> None:
    port = world.ports["access1"]
    port.frame(MN1_MAC)
    await until(lambda: port.sent)
    port.is_up = False
    await doubtful(gateway, world)
    (entry,) = gateway.core.binding_update_list
    await until(lambda: entry.solicitations == 0)
    assert entry.state is RegistrationState.ACTIVE
    assert world.transport.sent == []


class StampingPath:
    """Tells how long ago it saw a node, or that it is away."""

    def __init__(self, world: FakeWorld) -> None:
        self._world = world
        self.looks = 0
        self.has_told_all = asyncio.Event()
        self.seen: list[float | DataplaneError | None] = []

    def adapters(self) -> Adapters:
        return replace(self._world.adapters(), idle_s=self.idle_s)

    async def idle_s(self, binding_id: int) -> float | None:
        self.looks += 1
        seen = self.seen.pop(0)
        if not self.seen:
            self.has_told_all.set()
        if isinstance(seen, DataplaneError):
            raise seen
        return seen


@pytest.mark.requirement("DETACH-09")
async def test_stamp_of_the_packet_path_is_as_good_as_an_answer(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = StampingPath(world)
    path.seen = [5.0, 0.0]
    adapters = path.adapters()
    monkeypatch.setattr(world, "adapters", lambda: adapters)
    async with running(world) as gateway:
        await doubtful(gateway, world)
        async with asyncio.timeout(5):
            await path.has_told_all.wait()
        await until(lambda: world.transport.sent)
        assert path.looks == 2


async def test_packet_path_that_is_away_says_nothing_of_its_nodes(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = StampingPath(world)
    path.seen = [None, DataplaneError("idle time", "VPP is away")]
    adapters = path.adapters()
    monkeypatch.setattr(world, "adapters", lambda: adapters)
    async with running(world) as gateway:
        await doubtful(gateway, world)
        async with asyncio.timeout(5):
            await path.has_told_all.wait()
        await until(lambda: not gateway.presence.is_looking)
        assert world.transport.sent == []


@pytest.mark.requirement("RTX-05")
async def test_node_without_service_is_heard_though_the_packet_path_has_no_stamp_of_it(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = StampingPath(world)
    path.seen = [None] * len(LOOK_AFTER_S)
    adapters = path.adapters()
    monkeypatch.setattr(world, "adapters", lambda: adapters)
    async with running(world) as gateway:
        port = await doubtful(gateway, world)
        await until(lambda: solicitations(port))
        port.frame(MN1_MAC)
        await until(lambda: world.transport.sent)
