"""Another configuration for a gateway that serves: planned, applied, or refused as a whole."""

import asyncio
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.nodes import attached, packet_from
from mag import steps
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.dataplane.fake import Tunnelled
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.gateway_control import AttachRequest, ControlError, Document, DrainRequest
from mag.wire.neighbor_discovery import RouterAdvertisement
from support.fake_adapters import (
    CONFIGURATION,
    LMA_ADDRESS,
    MN1_MAC,
    MN2_MAC,
    OTHER_POOL,
    PROXY_CARE_OF_ADDRESS,
    STRANGER_MAC,
    FakeWorld,
    until,
)
from support.fake_lma import read_update
from support.waiting import eventually

OTHER_LMA = IPv6Address("2001:db8:0:b::2")
MN1 = "mn1@example.net"
MN2 = "mn2@example.net"


def edited(*changes: tuple[str, str]) -> bytes:
    """The configuration with some text replaced."""
    text = CONFIGURATION.decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


WITH_OTHER_LMA = (
    "lma1: {address: 2001:db8:0:b::1}",
    "lma1: {address: 2001:db8:0:b::1}, lma2: {address: 2001:db8:0:b::2}",
)
MN2_AT_OTHER_LMA = ("mn2@example.net: {lma: lma1", "mn2@example.net: {lma: lma2")
MN2_ENTRY = '    mn2@example.net: {lma: lma1, link_layer_addresses: ["02:00:00:00:00:02"]}\n'
WITHOUT_MN2 = (MN2_ENTRY, "")
WITHOUT_ACCESS2 = (", access2: {}", "")
SHORTER_PREFIX_LIFE = ("dataplane:", "router_advertisement: {valid_lifetime_s: 7200}\ndataplane:")


def effects(document: Document) -> dict[str, list[str]]:
    return {row["mn_id"]: list(row["effects"]) for row in document["sessions"]}


def requests(world: FakeWorld, since: int = 0) -> list[tuple[str, int]]:
    """MN-Identifier's first letters and lifetime of what went to LMAs."""
    updates = (
        read_update(OutgoingMessage(data, PROXY_CARE_OF_ADDRESS, destination))
        for data, destination in zip(
            world.transport.sent[since:], world.transport.sent_to[since:], strict=True
        )
    )
    return [(update.options[0].identifier.decode()[:3], update.lifetime_s) for update in updates]


async def plan(control: Control, text: bytes) -> Document:
    return await control.plan(text, "new.yaml")


async def reloaded(control: Control, file: Path, text: bytes) -> Document:
    file.write_bytes(text)
    return await control.reload()


def long_since_advertised(gateway: Gateway) -> None:
    """What is new is told at once, and not three seconds after the last advertisement."""
    for entry in gateway.core.binding_update_list:
        entry.advertised_to_all_at = 0.0


async def test_plan_of_the_same_file_changes_nothing(control: Control, world: FakeWorld) -> None:
    await attached(world)
    document = await plan(control, CONFIGURATION)
    assert document["changes"] == []
    assert document["sessions"] == []
    assert document["can_apply"] is True


PLANS: list[tuple[tuple[tuple[str, str], ...], dict[str, list[str]]]] = [
    ((WITH_OTHER_LMA,), {}),
    ((WITH_OTHER_LMA, MN2_AT_OTHER_LMA), {MN2: ["registered_anew"]}),
    ((WITHOUT_MN2,), {MN2: ["ended"]}),
    ((WITHOUT_ACCESS2,), {MN2: ["ended"]}),
    ((SHORTER_PREFIX_LIFE,), {MN1: ["advertised_again"], MN2: ["advertised_again"]}),
    (
        (("dataplane:", "protocol: {lifetime_s: 400}\ndataplane:"),),
        {MN1: ["other_lifetime"], MN2: ["other_lifetime"]},
    ),
    (
        (("mn1@example.net: {lma: lma1", "mn1@example.net: {lma: lma1, lifetime_s: 400"),),
        {MN1: ["other_lifetime"]},
    ),
    (
        (("mn1@example.net: {lma: lma1", "mn1@example.net: {home_network_prefixes: "
          "[2001:db8:1:1::/64], lma: lma1"),),
        {MN1: ["other_prefixes"]},
    ),
    (
        (("{address: 2001:db8:0:b::1}", "{address: 2001:db8:0:b::1, path_mtu_octets: 1400}"),),
        {MN1: ["advertised_again"], MN2: ["advertised_again"]},
    ),
    (
        (('["02:00:00:00:00:01"]', '["02:00:00:00:00:aa"]'),
         ('["02:00:00:00:00:02"]', '["02:00:00:00:00:01", "02:00:00:00:00:02"]')),
        {MN1: ["ended"]},
    ),
    (
        (("mn1@example.net: {lma: lma1", "mn1@example.net: {lma: lma1, local_routing: true"),),
        {MN1: ["local_routing"]},
    ),
    ((("identity: mag1", "identity: mag7"),), {}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), PLANS)
async def test_plan_tells_what_becomes_of_each_session_and_reload_does_the_same(
    control: Control,
    world: FakeWorld,
    file: Path,
    changes: tuple[tuple[str, str], ...],
    expected: dict[str, list[str]],
) -> None:
    await attached(world)
    await attached(world, MN2_MAC, "access2")
    planned = await plan(control, edited(*changes))
    assert effects(planned) == expected
    assert planned["changes"]
    assert await reloaded(control, file, edited(*changes)) == planned
    assert (await plan(control, edited(*changes)))["changes"] == []


async def test_plan_itself_changes_nothing(
    control: Control, gateway: Gateway, world: FakeWorld
) -> None:
    prefix = await attached(world)
    sent = len(world.transport.sent)
    await plan(control, edited(WITHOUT_MN2, SHORTER_PREFIX_LIFE, WITHOUT_ACCESS2))
    await until(lambda: not gateway.reconciler.dirty_count)
    assert len(world.transport.sent) == sent
    assert set(gateway.ports) == {"access1", "access2"}
    verdict = world.dataplane.uplink(MN1_MAC, "access1", packet_from(prefix))
    assert isinstance(verdict, Tunnelled)


async def test_faults_of_a_file_are_told_and_change_nothing(
    control: Control, gateway: Gateway, file: Path
) -> None:
    running = gateway.configuration
    faulty = edited(("identity: mag1", "identity: mag_1"), ("core_interfaces", "core_interface"))
    with pytest.raises(ControlError) as planned:
        await plan(control, faulty)
    first, *_, last = str(planned.value).splitlines()
    assert first.startswith("new.yaml:2:11: identity: must be a name")
    assert "core_interface: unknown key; did you mean core_interfaces?" in last
    with capture_logs() as logs, pytest.raises(ControlError, match="nothing is changed"):
        await reloaded(control, file, faulty)
    assert [entry["event"] for entry in logs] == ["reload_refused"]
    assert gateway.configuration is running
    assert gateway.reloads == {"refused": 1}


async def test_file_that_is_gone_changes_nothing(
    control: Control, gateway: Gateway, file: Path
) -> None:
    file.unlink()
    with pytest.raises(ControlError, match="No such file"):
        await control.reload()
    assert gateway.reloads == {"refused": 1}


async def test_what_needs_a_restart_refuses_the_rest_of_the_file_too(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world, MN2_MAC, "access2")
    text = edited(
        WITHOUT_MN2, ("core_interfaces: [core]", "core_interfaces: [core, core2]"),
        ("proxy_care_of_address: 2001:db8:0:a::1", "proxy_care_of_address: 2001:db8:0:a::2"),
    )  # fmt: skip
    planned = await plan(control, text)
    assert planned["can_apply"] is False
    assert [c["path"] for c in planned["changes"] if c["obstacle"]] == [
        "proxy_care_of_address",
        "dataplane.core_interfaces",
    ]
    with pytest.raises(ControlError, match="core_interfaces: the packet path is built"):
        await reloaded(control, file, text)
    assert len(gateway.core.binding_update_list) == 1
    assert requests(world) == [("mn2", 3600)]


async def test_untouched_node_keeps_everything_without_a_word(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    prefix = await attached(world)
    await attached(world, MN2_MAC, "access2")
    sent, told = len(world.transport.sent), len(world.ports["access1"].sent)
    await reloaded(control, file, edited(WITH_OTHER_LMA, MN2_AT_OTHER_LMA, ("mag1", "mag7")))
    assert isinstance(world.dataplane.uplink(MN1_MAC, "access1", packet_from(prefix)), Tunnelled)
    await until(lambda: len(world.transport.sent) == sent + 2)
    assert requests(world, sent) == [("mn2", 0), ("mn2", 3600)]
    assert len(world.ports["access1"].sent) == told
    assert isinstance(world.dataplane.uplink(MN1_MAC, "access1", packet_from(prefix)), Tunnelled)


async def test_node_of_another_lma_is_served_there_and_its_frames_are_no_news(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world, MN2_MAC, "access2")
    await reloaded(control, file, edited(WITH_OTHER_LMA, MN2_AT_OTHER_LMA))
    assert world.transport.reached == {LMA_ADDRESS, OTHER_LMA}
    (entry,) = await until(
        lambda: [e for e in gateway.core.binding_update_list if e.lma_address == OTHER_LMA]
    )
    assert MN2_MAC in world.ports["access2"].known
    await until(lambda: entry.is_forwarding)
    (prefix,) = entry.home_network_prefixes
    assert prefix.subnet_of(OTHER_POOL)
    verdict = world.dataplane.uplink(MN2_MAC, "access2", packet_from(prefix))
    assert isinstance(verdict, Tunnelled)
    assert verdict.lma_address == OTHER_LMA


async def test_removed_node_is_deregistered_told_and_not_taken_again(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world, MN2_MAC, "access2")
    await reloaded(control, file, edited(WITHOUT_MN2))
    await until(lambda: MN2_MAC not in world.ports["access2"].known)
    assert requests(world)[-1] == ("mn2", 0)
    last = RouterAdvertisement.decode(world.ports["access2"].sent[-1][0])
    assert last.router_lifetime_s == 0
    world.ports["access2"].frame(MN2_MAC)
    await until(lambda: gateway.attachments.refused["no_service"])
    assert len(gateway.core.binding_update_list) == 0


async def test_new_node_that_was_refused_before_is_taken_at_once(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    """It is asked to speak up, and its frame is news again."""
    port = world.ports["access1"]
    port.frame(STRANGER_MAC)
    await until(lambda: STRANGER_MAC in port.known)
    new = ("  nodes:\n", '  nodes:\n    mn9@example.net: {link_layer_addresses: '
           '["02:00:00:00:00:ff"]}\n')  # fmt: skip
    asked = len(port.queried)
    await reloaded(control, file, edited(new))
    assert len(port.queried) == asked + 1
    await attached(world, STRANGER_MAC)


async def test_new_access_link_is_opened_and_served(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await reloaded(control, file, edited(("access2: {}", "access2: {}, access3: {}")))
    await attached(world, MN1_MAC, "access3")
    assert set((await control.dataplane())["access_links"]) == {"access1", "access2", "access3"}


async def test_access_link_that_cannot_be_had_refuses_the_whole_file(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world, MN2_MAC, "access2")
    world.links_refused.add("access4")
    text = edited(("access2: {}", "access2: {}, access3: {}, access4: {}"), WITHOUT_MN2)
    with pytest.raises(ControlError, match="access link access4: refused"):
        await reloaded(control, file, text)
    assert not world.ports["access3"].is_open
    assert len(gateway.core.binding_update_list) == 1
    await until(lambda: not gateway.reconciler.dirty_count)
    assert set((await control.dataplane())["access_links"]) == {"access1", "access2"}


async def test_removed_access_link_is_given_up_when_its_last_session_has_ended(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world, MN2_MAC, "access2")
    world.transport.is_answering = False
    await reloaded(control, file, edited(WITHOUT_ACCESS2))
    world.ports["access2"].frame(MN1_MAC)
    assert world.ports["access2"].is_open
    request = AttachRequest(access_interface="access2", link_layer_address="02:00:00:00:00:01")
    with pytest.raises(ControlError, match="no access link"):
        await control.attach(request)
    await until(lambda: len(world.transport.sent) == 2)
    update = OutgoingMessage(world.transport.sent[-1], PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
    world.transport.deliver(world.lma.answer(update))
    await until(lambda: not world.ports["access2"].is_open)
    last = RouterAdvertisement.decode(world.ports["access2"].sent[-1][0])
    assert last.router_lifetime_s == 0
    await until(lambda: not gateway.reconciler.dirty_count)
    assert (await control.dataplane())["access_links"] == ["access1"]


async def test_changed_triggers_change_what_is_heard(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    port = world.ports["access2"]
    await attached(world, MN2_MAC, "access2")
    only_solicitations = ("access2: {}", "access2: {attach_triggers: [router_solicitation]}")
    await reloaded(control, file, edited(only_solicitations))
    assert not port.hears_unknown_sources
    await reloaded(control, file, CONFIGURATION)
    assert port.hears_unknown_sources
    assert MN2_MAC in port.known


async def test_changed_tunnel_mtu_reaches_packet_path_and_nodes(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world)
    port = world.ports["access1"]
    long_since_advertised(gateway)
    told = len(port.sent)
    mtu = ("{address: 2001:db8:0:b::1}", "{address: 2001:db8:0:b::1, path_mtu_octets: 1400}")
    await reloaded(control, file, edited(mtu))
    (packet, _) = await until(lambda: port.sent[told:] and port.sent[-1])
    assert RouterAdvertisement.decode(packet).mtu == 1360
    await until(lambda: not gateway.reconciler.dirty_count)
    (tunnel,) = (await control.dataplane())["tunnels"]
    assert tunnel["mtu_octets"] == 1360


async def test_changed_advertisement_values_are_told_to_nodes(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    prefix = await attached(world)
    port = world.ports["access1"]
    long_since_advertised(gateway)
    told = len(port.sent)
    await reloaded(control, file, edited(SHORTER_PREFIX_LIFE))
    (packet, _) = await until(lambda: port.sent[told:] and port.sent[-1])
    (information,) = RouterAdvertisement.decode(packet).prefixes
    assert (information.prefix, information.valid_lifetime_s) == (prefix, 7200)


async def test_renamed_lma_keeps_its_sessions(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    prefix = await attached(world)
    document = await reloaded(control, file, edited(("lma1", "anchor")))
    assert document["sessions"] == []
    assert [row["lma"] for row in await control.bindings()] == ["anchor"]
    assert 'mag_bindings{lma="anchor"' in (await control.metrics()).decode()
    assert prefix.subnet_of(IPv6Network("2001:db8:100::/48"))


async def test_reload_is_logged_with_its_cause_and_counted(
    control: Control, gateway: Gateway, world: FakeWorld, file: Path
) -> None:
    await attached(world, MN2_MAC, "access2")
    with capture_logs() as logs:
        await reloaded(control, file, edited(WITHOUT_MN2))
    assert [(e["event"], e.get("path")) for e in logs][:2] == [
        ("configuration_changed", f"policy.nodes.{MN2}"),
        ("configuration_reloaded", None),
    ]
    assert logs[1]["sessions"] == {"ended": 1}
    assert 'mag_reloads_total{result="applied"} 1.0' in (await control.metrics()).decode()


async def test_running_configuration_is_what_was_taken_last(
    control: Control, gateway: Gateway, file: Path
) -> None:
    await reloaded(control, file, edited(("identity: mag1", "identity: mag7")))
    shown: dict[str, Any] = control.configuration(with_defaults=False)
    assert shown["configuration"]["identity"] == "mag7"
    assert (await plan(control, shown["yaml"].encode()))["changes"] == []


# Drain


async def test_drained_gateway_ends_its_sessions_and_takes_no_others(
    control: Control, gateway: Gateway, world: FakeWorld
) -> None:
    await attached(world)
    assert (await control.drain(DrainRequest()))["sessions"] == 1
    await until(lambda: MN1_MAC not in world.ports["access1"].known)
    assert requests(world) == [("mn1", 3600), ("mn1", 0)]
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: gateway.attachments.refused["draining"])
    assert len(gateway.core.binding_update_list) == 0
    assert control.status()["drain"] == {
        "is_active": True,
        "sessions": 1,
        "remaining": 0,
        "rate_per_s": 100.0,
    }
    assert "mag_draining 1.0" in (await control.metrics()).decode()


async def test_drain_that_is_cancelled_keeps_what_is_left_and_takes_nodes_again(
    control: Control, gateway: Gateway, world: FakeWorld
) -> None:
    await attached(world)
    await attached(world, MN2_MAC, "access2")
    await control.drain(DrainRequest(rate_per_s=0.001))
    await until(lambda: MN1_MAC not in world.ports["access1"].known)
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: gateway.attachments.refused["draining"])
    asked = len(world.ports["access1"].queried)
    assert (await control.undrain())["remaining"] == 1
    assert len(world.ports["access1"].queried) == asked + 1
    (left,) = gateway.core.binding_update_list
    assert left.dismissal is None
    await attached(world, MN1_MAC)
    assert "mag_draining 0.0" in (await control.metrics()).decode()
    with pytest.raises(ControlError, match="not being drained"):
        await control.undrain()


async def test_reload_of_a_gateway_that_is_drained_is_refused(control: Control, file: Path) -> None:
    await control.drain(DrainRequest())
    with pytest.raises(ControlError, match="mag undrain"):
        await reloaded(control, file, CONFIGURATION)


async def test_node_that_moves_while_a_reload_goes_through_all_sessions_keeps_its_own(
    gateway: Gateway,
    world: FakeWorld,
    file: Path,
    control: Control,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With many sessions that takes more than one turn of the loop. Its link goes, it does not."""
    monkeypatch.setattr(steps, "TURN_S", 0.0)
    await attached(world)
    (stays,) = gateway.core.binding_update_list
    await attached(world, MN2_MAC, link="access2")
    moves = next(entry for entry in gateway.core.binding_update_list if entry is not stays)
    file.write_bytes(edited(WITHOUT_ACCESS2))
    reloading = asyncio.create_task(control.reload())
    await until(lambda: "access2" not in gateway.links)
    moved = replace(moves.attachment, access_interface="access1")
    gateway.core.attach(moved, moves.profile, gateway.pump.now())
    assert (await reloading)["effects"] == {}
    assert moves.dismissal is None
    await eventually(lambda: "access2" not in gateway.ports)


async def test_all_sessions_follow_a_reload_however_many_steps_it_takes(
    gateway: Gateway,
    world: FakeWorld,
    file: Path,
    control: Control,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "TURN_S", 0.0)
    await attached(world)
    await attached(world, MN2_MAC)
    for port in world.ports.values():
        port.sent.clear()
    file.write_bytes(edited(SHORTER_PREFIX_LIFE))
    await control.reload()
    told = world.ports["access1"].sent
    await eventually(lambda: {address for _, address in told} == {MN1_MAC, MN2_MAC})
