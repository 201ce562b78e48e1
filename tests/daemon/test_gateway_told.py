"""What operators are told of a gateway: metrics, monitor, counters."""

import asyncio

import pytest

from daemon.nodes import attached, packet_from
from mag import steps
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from support.fake_adapters import (
    MN1_MAC,
    MN2_MAC,
    FakeWorld,
    until,
)


@pytest.mark.requirement("CFG-03")
async def test_digest_of_the_domain_is_told_and_exported(control: Control) -> None:
    """CFG-03: the same to the operator and to Prometheus."""
    domain = control.status()["domain"]
    assert len(domain["variables"]) == 4
    digest = domain["digest"]
    assert f'mag_domain_info{{digest="{digest}"}} 1.0' in (await control.metrics()).decode()


# What the admin API asks


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


async def test_bindings_are_all_told_of_however_many_steps_it_takes(
    world: FakeWorld, gateway: Gateway, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "TURN_S", 0.0)
    await attached(world)
    await attached(world, MN2_MAC)
    rows = await control.bindings()
    assert [row["mn_id"] for row in rows] == ["mn1@example.net", "mn2@example.net"]
    assert (await control.counters())["bindings"] == rows
