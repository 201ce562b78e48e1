"""The whole agent over a world in memory: who attaches gets service, and nobody else does."""

import asyncio
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.conftest import running
from mag import steps
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.dataplane.fake import Delivered, Dropped, InnerPacket, Tunnelled
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.gateway_control import AttachRequest, ControlError, NodeSelector, NotFoundError
from mag.services.link_monitor import LinkState
from mag.services.wake_up import ALL_NODES_LINK_LAYER_ADDRESS
from mag.wire.neighbor_discovery import RouterAdvertisement
from mag.wire.options import HomeNetworkPrefixOption, MobileNodeIdentifierOption
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
from support.fake_lma import only_option, read_update

CORRESPONDENT = IPv6Address("2001:db8:ffff::1")


def packet_from(prefix: IPv6Network) -> InnerPacket:
    return InnerPacket(prefix.network_address + 1, CORRESPONDENT)


async def attached(world: FakeWorld, mac: bytes = MN1_MAC, link: str = "access1") -> IPv6Network:
    """Have a node attach by a frame; its prefix, once it has been told."""
    port = world.ports[link]
    port.frame(mac)
    packet, _ = await until(lambda: next((sent for sent in port.sent if sent[1] == mac), None))
    return RouterAdvertisement.decode(packet).prefixes[0].prefix


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


@pytest.mark.requirement("DETACH-05")
async def test_nodes_are_asked_to_speak_up_when_service_begins(
    gateway: Gateway, world: FakeWorld
) -> None:
    """A node whose prefix was withdrawn at the last stop sends nothing by itself."""
    for port in world.ports.values():
        assert port.queried == [ALL_NODES_LINK_LAYER_ADDRESS]


async def test_cleared_node_is_asked_to_speak_up_and_a_detached_one_is_not(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    await attached(world)
    await attached(world, MN2_MAC)
    control.clear(NodeSelector(mn_id="mn1@example.net"))
    control.detach(NodeSelector(mn_id="mn2@example.net"))
    await until(lambda: len(gateway.core.binding_update_list) == 0)
    await until(lambda: MN1_MAC in world.ports["access1"].queried)
    assert MN2_MAC not in world.ports["access1"].queried


HOURS_S = 3600.0


@pytest.fixture
def wakes_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions are repeated when the test says so, however slow the machine is."""
    monkeypatch.setattr("mag.daemon.wake_up_schedule.REPEAT_AFTER_S", HOURS_S)


@pytest.mark.usefixtures("wakes_by_hand")
async def test_cleared_node_whose_answer_was_not_heard_is_asked_again(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    """A packet path does not tell of a stranger's every packet, and frames get lost."""
    port = world.ports["access1"]
    await attached(world)
    control.clear(NodeSelector(mn_id="mn1@example.net"))
    await until(lambda: port.queried.count(MN1_MAC) == 1)
    gateway.waker.repeat(gateway.pump.now() + HOURS_S)
    assert port.queried.count(MN1_MAC) == 2
    port.frame(MN1_MAC)
    await until(lambda: len(gateway.core.binding_update_list))
    gateway.waker.repeat(gateway.pump.now() + 2 * HOURS_S)
    assert port.queried.count(MN1_MAC) == 2


@pytest.mark.usefixtures("wakes_by_hand")
async def test_detached_node_is_asked_no_more_though_it_was_before(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    port = world.ports["access1"]
    await attached(world)
    control.clear(NodeSelector(mn_id="mn1@example.net"))
    await until(lambda: MN1_MAC in port.queried)
    port.frame(MN1_MAC)
    await until(lambda: MN1_MAC in port.known)
    control.detach(NodeSelector(mn_id="mn1@example.net"))
    await until(lambda: MN1_MAC not in port.known)
    gateway.waker.repeat(gateway.pump.now() + HOURS_S)
    assert port.queried.count(MN1_MAC) == 1


@pytest.mark.usefixtures("wakes_by_hand")
async def test_node_is_asked_no_more_where_the_gateway_takes_none(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    port = world.ports["access1"]
    await attached(world)
    control.clear(NodeSelector(mn_id="mn1@example.net"))
    await until(lambda: MN1_MAC in port.queried)
    gateway.attachments.is_draining = True
    gateway.waker.repeat(gateway.pump.now() + HOURS_S)
    assert port.queried.count(MN1_MAC) == 1


@pytest.mark.parametrize("is_new", [False, True], ids=["up again", "made anew"])
async def test_link_that_comes_back_is_listened_to_and_restored(
    gateway: Gateway, world: FakeWorld, is_new: bool
) -> None:
    """With the link went the gateway's address, with the interface everything on it."""
    world.links.put_nowait(LinkState("access1", is_up=True, mtu_octets=1500, index=5))
    await attached(world)
    dumps = world.dataplane.dumps
    if not is_new:
        world.links.put_nowait(LinkState("access1", is_up=False, mtu_octets=1500, index=5))
    world.links.put_nowait(LinkState("access1", is_up=True, mtu_octets=1500, index=5 + is_new))
    port = world.ports["access1"]
    await until(lambda: port.reopened == 1 and world.dataplane.dumps > dumps)
    assert port.queried.count(ALL_NODES_LINK_LAYER_ADDRESS) == 2


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


async def test_link_monitor_that_fails_is_started_again(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mag.daemon.link_watch.LINK_MONITOR_RETRY_S", 0.0)
    world.link_failures = [OSError("no buffer space")]
    async with running(world):
        await attached(world)
        world.links.put_nowait(LinkState("access1", is_up=False, mtu_octets=1500))
        await until(lambda: MN1_MAC not in world.ports["access1"].known)


async def test_link_that_goes_down_ends_the_bindings_of_its_nodes(
    gateway: Gateway, world: FakeWorld
) -> None:
    """DETACH-05."""
    await attached(world)
    await attached(world, MN2_MAC, "access2")
    await world.links.put(LinkState("access1", is_up=False, mtu_octets=1500))
    await until(lambda: len(gateway.core.binding_update_list) == 1)
    (entry,) = gateway.core.binding_update_list
    assert entry.attachment.access_interface == "access2"


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


@pytest.mark.requirement("CFG-03")
async def test_digest_of_the_domain_is_told_and_exported(control: Control) -> None:
    """CFG-03: the same to the operator and to Prometheus."""
    domain = control.status()["domain"]
    assert len(domain["variables"]) == 4
    digest = domain["digest"]
    assert f'mag_domain_info{{digest="{digest}"}} 1.0' in (await control.metrics()).decode()


# What the admin API asks


async def test_attach_by_the_access_network_waits_until_packets_flow(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:01", wait_s=5
    )
    row = await control.attach(request)
    assert (row["state"], row["is_forwarding"]) == ("active", True)


async def test_attach_that_is_refused_says_so_to_whoever_waits(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    world.transport.status = 152
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:01", wait_s=0.01
    )
    with pytest.raises(ControlError, match="held"):
        await control.attach(request)


@pytest.mark.parametrize(
    ("link", "mac", "text"),
    [
        ("nowhere", "02:00:00:00:00:01", "nowhere is no access link"),
        ("access1", "02:00:00:00:00:ff", "policy knows no node"),
        ("access1", "first", "link_layer_address"),
        ("access1", "01:00:5e:00:00:01", "not one node's"),
        ("access1", "00:00:00:00:00:00", "on access1 nodes have link-layer addresses"),
    ],
)
async def test_attach_that_cannot_be_is_refused_with_the_reason(
    control: Control, link: str, mac: str, text: str
) -> None:
    with pytest.raises(ControlError, match=text):
        await control.attach(AttachRequest(access_interface=link, link_layer_address=mac))


@pytest.mark.requirement("MNID-04")
async def test_identity_from_access_authentication_needs_no_known_address(
    control: Control,
) -> None:
    """MNID-04: the second source of the MN-Identifier."""
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:77", mn_id="guest@other.net"
    )
    assert (await control.attach(request))["mn_id"] == "guest@other.net"


WITH_IDENTITIES = CONFIGURATION.replace(
    b"  default:",
    b"    mn3@example.net: {lma: lma1, identities: [tmp-1@wlan, tmp-2@wlan]}\n"
    b"  shared_identities: [family@wlan]\n  default:",
)


@pytest.mark.requirement("MNID-07", "MNID-02")
async def test_temporary_identities_of_a_node_are_one_mn_identifier_on_the_wire() -> None:
    """MNID-07: two authentications under two names, one binding of one node."""
    world = FakeWorld(configuration(WITH_IDENTITIES))
    async with running(world) as gateway:
        control = Control(gateway, Path("unused"))
        for name, link in (("tmp-1@wlan", "access1"), ("tmp-2@wlan", "access2")):
            request = AttachRequest(
                access_interface=link, link_layer_address="02:00:00:00:00:77", identity=name
            )
            assert (await control.attach(request))["mn_id"] == "mn3@example.net"
            await until(lambda link=link: world.ports[link].sent)
            assert (await control.explain(name))["reason"] == "served"
        assert len(gateway.core.binding_update_list) == 1
        assert len(world.transport.sent) == 2
        for message in world.transport.sent:
            sent = OutgoingMessage(message, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
            option = only_option(read_update(sent), MobileNodeIdentifierOption)
            assert option.identifier == b"mn3@example.net"


@pytest.mark.requirement("MNID-06")
@pytest.mark.parametrize("key", ["mn_id", "identity"])
async def test_name_that_nodes_share_is_refused_unless_the_address_tells_whose(key: str) -> None:
    """MNID-06: an attachment with the name of an account alone."""
    world = FakeWorld(configuration(WITH_IDENTITIES))
    async with running(world) as gateway:
        control = Control(gateway, Path("unused"))
        named = {"access_interface": "access1", key: "family@wlan"}
        unknown = AttachRequest.model_validate({**named, "link_layer_address": "02:00:00:00:00:77"})
        with pytest.raises(ControlError, match="family@wlan: several nodes share the name"):
            await control.attach(unknown)
        assert len(gateway.core.binding_update_list) == 0
        known = AttachRequest.model_validate({**named, "link_layer_address": "02:00:00:00:00:02"})
        assert (await control.attach(known))["mn_id"] == "mn2@example.net"


@pytest.mark.requirement("PROF-07")
async def test_each_interface_of_a_node_asks_for_its_own_prefixes() -> None:
    """PROF-07: two interfaces, two sessions."""
    interfaces = (
        b"link_layer_addresses: [02:00:00:00:00:01], home_network_prefixes: [2001:db8:1:1::/64],"
        b" interfaces: {02:00:00:00:00:03: {home_network_prefixes: [2001:db8:1:3::/64]}}}"
    )
    world = FakeWorld(
        configuration(
            CONFIGURATION.replace(b'link_layer_addresses: ["02:00:00:00:00:01"]}', interfaces)
        )
    )
    async with running(world):
        for number, mac in enumerate((MN1_MAC, bytes.fromhex("020000000003")), start=1):
            world.ports["access1"].frame(mac)
            await until(lambda number=number: len(world.transport.sent) == number)
        asked = [
            only_option(
                read_update(OutgoingMessage(sent, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)),
                HomeNetworkPrefixOption,
            ).prefix
            for sent in world.transport.sent
        ]
        assert asked == [IPv6Network("2001:db8:1:1::/64"), IPv6Network("2001:db8:1:3::/64")]


async def test_unknown_identity_is_refused(control: Control) -> None:
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:01", identity="who@wlan"
    )
    with pytest.raises(ControlError, match="who@wlan: no node of the policy goes by that name"):
        await control.attach(request)


async def test_identity_that_fits_into_no_message_is_refused(control: Control) -> None:
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:77", mn_id="a" * 254
    )
    with pytest.raises(ControlError, match="at most 253 octets"):
        await control.attach(request)


async def test_detach_ends_the_binding_on_the_named_link_only(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    await attached(world)
    mac = "02:00:00:00:00:01"
    with pytest.raises(NotFoundError):
        control.detach(NodeSelector(link_layer_address=mac, access_interface="access2"))
    control.detach(NodeSelector(link_layer_address=mac, access_interface="access1"))
    await until(lambda: MN1_MAC not in world.ports["access1"].known)
    assert len(gateway.core.binding_update_list) == 0


async def test_clear_without_a_node_named_is_refused(control: Control) -> None:
    with pytest.raises(ControlError, match="say which node"):
        control.clear(NodeSelector(access_interface="access1"))


async def test_metrics_tell_bindings_signalling_and_no_subscriber(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    await attached(world)
    text = (await control.metrics()).decode()
    assert 'mag_bindings{lma="lma1",state="active"} 1.0' in text
    assert 'mag_pbu_sent_total{kind="registration",lma="lma1"} 1.0' in text
    assert 'mag_pba_received_total{kind="registration",lma="lma1",status="0"} 1.0' in text
    assert "mag_setup_seconds_count 1.0" in text
    assert "mn1@example.net" not in text


async def test_traffic_of_all_bindings_is_in_the_metrics(
    gateway: Gateway, world: FakeWorld, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "TURN_S", 0.0)
    for mac in (MN1_MAC, MN2_MAC):
        prefix = await attached(world, mac)
        world.dataplane.uplink(mac, "access1", packet_from(prefix))
    text = (await control.metrics()).decode()
    octets = 2 * packet_from(prefix).octets
    assert 'mag_bindings_packets{direction="uplink"} 2.0' in text
    assert f'mag_bindings_octets{{direction="uplink"}} {float(octets)}' in text
    assert 'mag_bindings_packets{direction="downlink"} 0.0' in text


async def test_packet_path_that_is_away_is_shown_as_such(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    shown = await control.dataplane()
    assert (shown["is_up"], shown["times_lost"]) == (True, 0)
    assert "mag_dataplane_up 1.0" in (await control.metrics()).decode()
    world.dataplane.crash()
    shown = await control.dataplane()
    assert (shown["is_up"], shown["fault"], shown["times_lost"]) == (False, "crashed", 1)
    assert (shown["name"], shown["tunnels"], shown["mobile_nodes"]) == ("fake", [], 0)
    text = (await control.metrics()).decode()
    assert "mag_dataplane_up 0.0" in text
    assert "mag_dataplane_lost_total 1.0" in text


async def test_faults_between_packet_path_and_gateway_are_counted(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    world.dataplane.faults = {"punted_packets_lost": 5}
    world.transport.discarded["unknown_sender"] += 2
    counters = await control.counters()
    assert counters["dataplane"]["faults"] == {"punted_packets_lost": 5}
    assert counters["discarded"] == {"unknown_sender": 2}
    text = (await control.metrics()).decode()
    assert 'mag_dataplane_faults_total{fault="punted_packets_lost"} 5.0' in text
    assert 'mag_discarded_total{reason="unknown_sender"} 2.0' in text


async def test_nobody_pays_for_entries_that_nobody_sees(
    gateway: Gateway, world: FakeWorld, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each message there is one, and most are for whoever debugs or watches."""
    told: list[str] = []
    monkeypatch.setattr(gateway.log, "note", lambda entry: told.append(entry.name))
    await attached(world)
    assert told == ["tunnel_wanted", "binding_established", "forwarding_installed"]
    told.clear()
    events = control.events()
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    world.ports["access2"].frame(MN2_MAC)
    await until(lambda: "router_advertisement_sent" in told)
    assert "proxy_binding_update_sent" in told
    first.cancel()


async def test_monitor_is_told_what_happens(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    events = control.events()
    first = events.__anext__()
    world.ports["access1"].frame(MN1_MAC)
    told = [(await first)["event"], (await anext(events))["event"]]
    assert told == ["attachment_detected", "proxy_binding_update_sent"]
    gateway.log.stream.close()
    assert all([entry["at"] async for entry in events])  # it comes to its end


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


async def test_bindings_are_all_told_of_however_many_steps_it_takes(
    world: FakeWorld, gateway: Gateway, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "TURN_S", 0.0)
    await attached(world)
    await attached(world, MN2_MAC)
    rows = await control.bindings()
    assert [row["mn_id"] for row in rows] == ["mn1@example.net", "mn2@example.net"]
    assert (await control.counters())["bindings"] == rows
