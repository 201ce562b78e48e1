"""The whole agent over a world in memory: who attaches gets service, and nobody else does."""

import asyncio
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from structlog.testing import capture_logs

from daemon.conftest import running
from daemon.nodes import CORRESPONDENT, attached, packet_from
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.dataplane.fake import Delivered, Dropped, InnerPacket, Tunnelled
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.gateway_control import AttachRequest
from mag.services.link_monitor import LinkState
from mag.wire.neighbor_discovery import RouterAdvertisement
from support.fake_adapters import (
    CONFIGURATION,
    LMA_ADDRESS,
    MN1_MAC,
    MN2_MAC,
    PROXY_CARE_OF_ADDRESS,
    STRANGER_MAC,
    FakeWorld,
    configuration,
    until,
)
from support.fake_lma import read_update


@pytest.mark.requirement(
    "ROLE-01",
    "ROLE-02",
    "ROLE-03",
    "ROLE-04",
    "LINK-03",
    "LINK-05",
    "ATT-01",
    "ATT-02",
    "PROF-01",
    "RA-03",
    "RA-07",
    "MTU-14",
    "DR-01",
    "DR-03",
    "NODE-02",
)
async def test_frame_of_a_node_brings_it_service_and_its_prefix(
    gateway: Gateway, world: FakeWorld
) -> None:
    """ROLE-02 to ROLE-04, MTU-14, DR-01, DR-03."""
    prefix = await attached(world)
    ((packet, mac),) = world.ports["access1"].sent
    assert mac == MN1_MAC
    told = RouterAdvertisement.decode(packet)
    assert told.mtu == 1460
    assert told.router_lifetime_s == 1800
    assert told.source_link_layer_address == bytes.fromhex("00005e005213")
    verdict = world.dataplane.uplink(MN1_MAC, "access1", packet_from(prefix))
    assert isinstance(verdict, Tunnelled)
    assert verdict.lma_address == LMA_ADDRESS


@pytest.mark.requirement("LR-01", "LR-02", "LR-05", "FWD-10", "FWD-11", "FWD-12")
@pytest.mark.parametrize(
    ("domain", "own", "is_local"),
    [
        ("false", "", False),
        ("true", "", True),
        ("true", "local_routing: false, ", False),
        ("false", "local_routing: true, ", True),
    ],
    ids=["off", "on", "on, but not for one", "off, but for both"],
)
async def test_local_routing_follows_domain_and_policy(
    domain: str, own: str, is_local: bool
) -> None:
    """LR-05: from the configuration down to where the packets go, in both directions."""
    text = CONFIGURATION.decode() + f"protocol: {{local_routing: {domain}}}\n"
    both = is_local and bool(own)
    text = text.replace("net: {lma: lma1, link", f"net: {{lma: lma1, {own}link", 2 if both else 1)
    world = FakeWorld(configuration(text.encode()))
    async with running(world):
        one = await attached(world, MN1_MAC)
        other = await attached(world, MN2_MAC)
        for mac, source, destination in ((MN1_MAC, one, other), (MN2_MAC, other, one)):
            packet = replace(packet_from(source), destination=destination[0x77])
            verdict = world.dataplane.uplink(mac, "access1", packet)
            assert isinstance(verdict, Delivered if is_local else Tunnelled)


@pytest.mark.requirement("MTU-15")
async def test_access_mtu_below_the_tunnel_mtu_is_what_the_node_is_told(
    gateway: Gateway, world: FakeWorld
) -> None:
    """MTU-15."""
    await world.links.put(LinkState("access1", is_up=True, mtu_octets=1400))
    await until(world.links.empty)
    await attached(world)
    assert RouterAdvertisement.decode(world.ports["access1"].sent[0][0]).mtu == 1400


@pytest.mark.requirement("PROF-02", "LINK-04", "NODE-02")
async def test_stranger_gets_no_service_and_is_looked_at_once(
    gateway: Gateway, world: FakeWorld
) -> None:
    """PROF-02, LINK-04: and its further frames cost the agent nothing."""
    port = world.ports["access1"]
    for _ in range(100):
        port.frame(STRANGER_MAC)
    await until(lambda: gateway.attachments.refused["no_service"])
    port.frame(STRANGER_MAC)
    for _ in range(20):  # whatever that frame might have set in motion
        await asyncio.sleep(0)
    assert gateway.attachments.refused == {"no_service": 1}
    assert world.transport.sent == []
    assert port.sent == []


@pytest.mark.requirement("RA-05", "FWD-09")
async def test_silent_lma_means_no_advertisement_and_dropped_packets(
    gateway: Gateway, world: FakeWorld
) -> None:
    """RA-05, FWD-09."""
    world.transport.is_answering = False
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: world.transport.sent)
    verdict = world.dataplane.uplink(
        MN1_MAC, "access1", packet_from(IPv6Network("2001:db8:100:1::/64"))
    )
    assert verdict == Dropped("unknown_source")
    assert world.ports["access1"].sent == []


@pytest.mark.requirement("PBA-22")
async def test_rejecting_lma_means_no_advertisement_and_a_row_that_says_why(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    """PBA-22."""
    world.transport.status = 152
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: len(gateway.core.binding_update_list))
    (row,) = await control.bindings()
    await until(lambda: gateway.core.peers[LMA_ADDRESS].answered)
    (row,) = await control.bindings()
    assert (row["state"], row["last_status"]) == ("held", "PROXY_REG_NOT_ENABLED (152)")
    assert world.ports["access1"].sent == []


async def test_start_is_told_to_the_lma(gateway: Gateway, world: FakeWorld) -> None:
    """HB-08."""
    (told,) = await until(lambda: world.transport.heartbeats)
    assert told[7] == 0x03  # response, unsolicited


@pytest.mark.requirement("HNE-06")
async def test_advertisement_waits_for_the_packet_path(gateway: Gateway, world: FakeWorld) -> None:
    world.dataplane.hold()
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: gateway.core.peers[LMA_ADDRESS].serving_bindings)
    assert world.ports["access1"].sent == []
    world.dataplane.release()
    await until(lambda: world.ports["access1"].sent)


async def test_nonsense_from_anywhere_stops_nothing(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    """Each message that changes nothing is counted under its reason."""
    await attached(world)
    for data in (b"", b"\x00", b"\x3b\x01\x06\x00" + bytes(12), bytes(40)):
        world.transport.deliver(data)
    world.transport.deliver(b"\x3b", IPv6Address("2001:db8::bad"))
    await until(lambda: world.transport.received == 1 + 5)
    await attached(world, MN2_MAC)
    counters = await control.counters()
    assert sum(counters["discarded"].values()) == 5
    assert counters["discarded"]["unknown_peer"] == 1


async def test_node_that_moves_between_our_links_is_told_on_the_new_one(
    gateway: Gateway, world: FakeWorld
) -> None:
    prefix = await attached(world)
    assert await attached(world, MN1_MAC, "access2") == prefix
    inner = InnerPacket(CORRESPONDENT, prefix.network_address + 1)
    verdict = world.dataplane.downlink(LMA_ADDRESS, PROXY_CARE_OF_ADDRESS, inner)
    assert isinstance(verdict, Delivered)
    assert verdict.access_interface == "access2"
    assert MN1_MAC not in world.ports["access1"].known
    assert MN1_MAC in world.ports["access2"].known


async def test_node_that_flaps_between_links_faster_than_the_packet_path_is_told_in_the_end(
    gateway: Gateway, world: FakeWorld
) -> None:
    """There and back while the packet path is busy: nothing to change there, the node to tell."""
    await attached(world)
    world.dataplane.hold()
    world.ports["access2"].frame(MN1_MAC)
    await until(lambda: MN1_MAC in world.ports["access2"].known)
    world.ports["access1"].sent.clear()
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: MN1_MAC in world.ports["access1"].known)
    world.dataplane.release()
    await until(lambda: world.ports["access1"].sent)


async def test_node_that_is_back_before_the_packet_path_was_asked_is_told_all_the_same(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    """Two moves in one turn of the loop leave nothing for the packet path to do."""
    await attached(world)
    batches = len(world.dataplane.batches)
    world.ports["access1"].sent.clear()
    for link in ("access2", "access1"):
        request = AttachRequest(access_interface=link, link_layer_address="02:00:00:00:00:01")
        await control.attach(request)
    await until(lambda: world.ports["access1"].sent)
    assert len(world.dataplane.batches) == batches


@pytest.mark.requirement("RA-03", "ND-04")
async def test_solicitation_of_a_served_node_reaches_the_schedule(
    gateway: Gateway, world: FakeWorld
) -> None:
    """RA-03: the answer is due within half a second."""
    await attached(world)
    before = gateway.core.get_timer()
    world.ports["access1"].frame(MN1_MAC, is_router_solicitation=True)
    after = gateway.core.get_timer()
    assert before is not None
    assert after is not None
    assert after < before
    assert after - gateway.pump.now() <= 0.5


async def test_packet_path_that_something_else_has_emptied_is_put_back_at_the_first_failure(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tool flushed what is ours: the next change finds out, and everything returns."""
    monkeypatch.setattr("mag.daemon.forwarding.FIRST_RETRY_S", 0.0)
    async with running(world) as gateway:
        prefix = await attached(world)
        world.dataplane.crash()
        world.ports["access2"].frame(MN2_MAC)
        await until(gateway.forwarding.failures.total)
        await until(lambda: world.ports["access2"].sent)
        verdict = world.dataplane.uplink(MN1_MAC, "access1", packet_from(prefix))
        assert isinstance(verdict, Tunnelled)


async def test_machine_that_lacks_something_is_told_at_start_and_served(world: FakeWorld) -> None:
    """Without libnftables for instance: one warning for each thing that is missing."""
    world.dataplane.missing = ("no counters", "no ECN")
    with capture_logs() as logs:
        async with running(world):
            await attached(world)
    told = [entry["what"] for entry in logs if entry["event"] == "dataplane_incomplete"]
    assert told == ["no counters", "no ECN"]


async def test_failing_packet_path_is_counted_and_tried_again(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mag.daemon.forwarding.FIRST_RETRY_S", 0.0)
    async with running(world) as gateway:
        world.dataplane.fail_next(2)
        await attached(world)
        assert gateway.forwarding.failures.total() >= 1


@pytest.mark.requirement("DEREG-02", "ND-13")
async def test_shut_down_takes_back_all_bindings_and_removes_everything(world: FakeWorld) -> None:
    """DEREG-02."""
    async with running(world):
        await attached(world)
        await attached(world, MN2_MAC, "access2")
        sent_before = len(world.transport.sent)
    updates = [
        read_update(OutgoingMessage(data, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS))
        for data in world.transport.sent[sent_before:]
    ]
    assert [update.lifetime_s for update in updates] == [0, 0]
    last, _ = world.ports["access1"].sent[-1]
    assert RouterAdvertisement.decode(last).router_lifetime_s == 0


async def test_shut_down_does_not_wait_for_a_dead_lma_longer_than_configured() -> None:
    world = FakeWorld(configuration(CONFIGURATION + b"shutdown: {timeout_s: 0.01}\n"))
    async with running(world) as gateway:
        await attached(world)
        world.transport.is_answering = False
        started = gateway.pump.now()
    assert gateway.pump.now() - started < 1.0
    assert len(gateway.core.binding_update_list) == 0
    last, _ = world.ports["access1"].sent[-1]
    assert RouterAdvertisement.decode(last).router_lifetime_s == 0


@pytest.mark.requirement("HNE-03", "ACFG-03")
async def test_two_gateways_of_a_domain_tell_a_node_the_same(world: FakeWorld) -> None:
    """Another gateway, another access link and technology: octet by octet the same."""
    other = FakeWorld(configuration(CONFIGURATION.replace(b"identity: mag1", b"identity: mag2")))
    told = []
    for each, link in ((world, "access1"), (other, "access2")):
        async with running(each):
            await attached(each, link=link)
            told.append(each.ports[link].sent[0][0])
    assert told[0] == told[1]
