"""The whole agent ends or is killed and starts again: on a real journal, over a world in memory."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mag.config.model import Configuration
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.dataplane.base import DataplaneError, Ensure, MobileNodeForwarding, Remove
from mag.dataplane.verdict import Delivered, InnerPacket, Tunnelled
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.policy_profile import PolicyProfile
from mag.services.admin_api import AdminApi
from mag.services.admin_client import AdminClient
from mag.services.gateway_control import DrainRequest
from mag.services.journal.opening import open_journal
from mag.services.link_monitor import LinkState
from mag.services.policy_store import ConfiguredPolicyStore
from mag.wire import mobility_header
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import HeartbeatFlag
from mag.wire.options import RestartCounterOption
from support.fake_adapters import (
    CONFIGURATION,
    LMA_ADDRESS,
    MN1_MAC,
    MN2_MAC,
    PROXY_CARE_OF_ADDRESS,
    FakeWorld,
    configuration,
)
from support.fake_lma import read_update
from support.waiting import eventually


class Life:
    """One world, and one gateway after the other in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts = 0
        self.newest: Gateway
        """From before it serves."""
        self.world = FakeWorld(configuration(CONFIGURATION + b"shutdown: {policy: keep}\n"))

    @contextlib.asynccontextmanager
    async def gateway(
        self, text: Configuration | None = None, *, killed: bool = False
    ) -> AsyncIterator[Gateway]:
        """In service; at the end stopped in order, or `killed` with nothing of it run again."""
        if text is not None:
            dataplane, lma = self.world.dataplane, self.world.lma
            self.world = FakeWorld(text, lma, dataplane)
        else:
            self.world = FakeWorld(self.world.configuration, self.world.lma, self.world.dataplane)
        self.starts += 1
        opened = open_journal(self.path, PROXY_CARE_OF_ADDRESS, self.starts)
        core = MobileAccessGateway(
            self.world.configuration.protocol_settings(),
            self.world.configuration.lma_settings(),
            random.Random(1),
            restart_counter=opened.state.restart_counter,
            marks=opened.state.marks,
        )
        tasks = asyncio.TaskGroup()
        await tasks.__aenter__()
        gateway = Gateway(
            self.world.configuration,
            core,
            self.world.adapters(),
            tasks,
            journal=opened.start(),
            earlier=opened.state,
        )
        self.newest = gateway
        try:
            await gateway.open()
            yield gateway
        finally:
            if killed:
                for task in gateway._background:
                    task.cancel()
                gateway.link_watch.close()
                gateway.pump.close()
                gateway.transport.close()
            else:
                await gateway.close()
            await gateway.journal.close()
            await tasks.__aexit__(None, None, None)
            if opened.lock is not None:
                opened.lock.release()

    async def attached(self, gateway: Gateway, mac: bytes = MN1_MAC) -> IPv6Network:
        self.world.ports["access1"].frame(mac)
        entry = await eventually(lambda: gateway.core.binding_update_list.by_link("access1", mac))
        await asyncio.wait_for(gateway.attachments.wait_until_served(entry.binding_id, 5), 5)
        return entry.home_network_prefixes[0]

    def is_served(self, prefix: IPv6Network, mac: bytes = MN1_MAC, link: str = "access1") -> bool:
        """Packets go both ways, whether or not there is a gateway."""
        node, peer = prefix.network_address + 1, IPv6Network("2001:db8:ffff::/64")[1]
        up = self.world.dataplane.uplink(mac, link, InnerPacket(node, peer))
        down = self.world.dataplane.downlink(
            LMA_ADDRESS, PROXY_CARE_OF_ADDRESS, InnerPacket(peer, node)
        )
        return isinstance(up, Tunnelled) and isinstance(down, Delivered)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "journal.db")


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped in order"])
async def test_node_keeps_its_service_through_a_restart(life: Life, killed: bool) -> None:
    """And nothing happens in the packet path, on the link or towards the LMA."""
    async with life.gateway(killed=killed) as gateway:
        prefix = await life.attached(gateway)
    assert life.is_served(prefix)
    batches = len(life.world.dataplane.batches)
    with capture_logs() as logs:
        async with life.gateway() as gateway:
            await eventually(lambda: gateway.core.binding_update_list.by_id(1).is_forwarding)  # type: ignore[union-attr]
            assert life.is_served(prefix)
            assert len(life.world.dataplane.batches) == batches
            assert life.world.transport.sent == []
            port = life.world.ports["access1"]
            assert port.sent == []
            assert port.known == {MN1_MAC}
    (restored,) = (log for log in logs if log["event"] == "bindings_restored")
    assert (restored["served"], restored["expired"]) == (1, 0)
    assert life.is_served(prefix)


class HeldUp:
    """A start that has not got beyond its policy, which says nothing before `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked = asyncio.Event()
        self._may_answer = asyncio.Event()
        ask = ConfiguredPolicyStore.profile

        async def profile(*arguments: Any) -> PolicyProfile | None:
            self._asked.set()
            await self._may_answer.wait()
            return await ask(*arguments)

        monkeypatch.setattr(ConfiguredPolicyStore, "profile", profile)

    @contextlib.asynccontextmanager
    async def start(self, life: Life) -> AsyncIterator[asyncio.Future[Gateway]]:
        """Restoring has begun; the gateway comes once it serves."""
        serving: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
        end = asyncio.Event()

        async def live() -> None:
            async with life.gateway() as gateway:
                serving.set_result(gateway)
                await end.wait()

        living = asyncio.create_task(live())
        await asyncio.wait_for(self._asked.wait(), 5)
        try:
            yield serving
        finally:
            self.release()
            end.set()
            await living

    def release(self) -> None:
        self._may_answer.set()


def restarted(counter: int) -> bytes:
    """The LMA says so by itself (RFC 5847 §3.2)."""
    flags = HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED
    heartbeat = Heartbeat(0, flags, (RestartCounterOption(counter),))
    return mobility_header.encode(heartbeat, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)


async def test_lma_that_speaks_while_bindings_are_restored_is_heard_of_all_of_them(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has lost its bindings: every one of ours is registered again."""
    async with life.gateway(killed=True) as gateway:
        await life.attached(gateway)
        await life.attached(gateway, MN2_MAC)
        life.world.transport.deliver(restarted(7))
        await eventually(lambda: gateway.core.peers[LMA_ADDRESS].liveness.restart_counter == 7)
        gateway.pump.run()
    held_up = HeldUp(monkeypatch)
    async with held_up.start(life) as serving:
        transport = life.world.transport
        transport.deliver(restarted(8))
        await eventually(lambda: transport.received)
        held_up.release()
        gateway = await asyncio.wait_for(serving, 5)
        assert gateway.core.peers[LMA_ADDRESS].liveness.restarts_seen == 1
        await eventually(lambda: len(transport.sent) == 2)


async def test_no_flood_while_bindings_are_restored_takes_all_memory(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mag.daemon.resumption.MAX_WAITING", 3)
    async with life.gateway(killed=True) as gateway:
        await life.attached(gateway)
    held_up = HeldUp(monkeypatch)
    async with held_up.start(life) as serving:
        for counter in range(5):
            life.world.transport.deliver(restarted(counter))
        await eventually(lambda: life.world.transport.received == 5)
        held_up.release()
        gateway = await asyncio.wait_for(serving, 5)
        assert gateway.core.discarded == {"starting": 2}
        assert gateway.core.peers[LMA_ADDRESS].liveness.restart_counter == 2


async def test_node_that_is_reported_while_bindings_are_restored_goes_on_with_its_own(
    life: Life, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was stored never replaces what is newer, nor the other way round."""
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    held_up = HeldUp(monkeypatch)
    async with held_up.start(life) as serving:
        socket = tmp_path / "mag.sock"
        api = AdminApi(Control(life.newest, tmp_path / "mag.yaml"), socket, 0o600)
        await api.open()
        async with AdminClient(socket) as client:
            report = client.attach("access2", MN1_MAC.hex(":"))
            reporting = asyncio.create_task(report)
            assert (await client.status())["is_serving"] is False
            held_up.release()
            row = await asyncio.wait_for(reporting, 5)
        await api.close()
        assert (row["binding_id"], row["access_interface"]) == (1, "access2")
        assert len((await serving).core.binding_update_list) == 1
        await eventually(lambda: life.is_served(prefix, link="access2"))


async def test_what_is_missing_is_added_and_what_is_nobodys_removed(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        first = await life.attached(gateway)
        second = await life.attached(gateway, MN2_MAC)
    nodes = (await life.world.dataplane.dump()).mobile_nodes
    orphan = MobileNodeForwarding(
        99, (IPv6Network("2001:db8:dead::/64"),), "access1", bytes(5) + b"\x07", LMA_ADDRESS
    )
    assert not any(await life.world.dataplane.apply([Remove(nodes[1]), Ensure(orphan)]))
    assert not life.is_served(first)
    batches = len(life.world.dataplane.batches)
    async with life.gateway():
        (batch,) = life.world.dataplane.batches[batches:]
        assert sorted(type(operation).__name__ for operation in batch) == ["Ensure", "Remove"]
        assert life.is_served(first)
        assert life.is_served(second, MN2_MAC)
        assert set((await life.world.dataplane.dump()).mobile_nodes) == {1, 2}


async def test_agent_and_packet_path_lost_together(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    life.world.dataplane.crash()
    async with life.gateway():
        await eventually(lambda: life.is_served(prefix))
        assert life.world.transport.sent == []


async def test_lma_is_not_told_of_lost_bindings_when_none_is_lost(life: Life) -> None:
    """RFC 5847 §3.2: the restart counter is that of the first start."""
    counters = []
    for _ in range(2):
        async with life.gateway(killed=True):
            (told,) = await eventually(lambda: life.world.transport.heartbeats)
            heartbeat = mobility_header.decode(told, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
            assert isinstance(heartbeat, Heartbeat)
            counters.append(heartbeat.first(RestartCounterOption))
    assert counters == [RestartCounterOption(1), RestartCounterOption(1)]


async def test_node_that_moved_while_we_were_away_is_found_on_its_new_link(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    async with life.gateway():
        life.world.ports["access2"].frame(MN1_MAC)
        await eventually(lambda: life.is_served(prefix, link="access2"))
        assert len(life.world.transport.sent) == 1


async def test_node_that_the_policy_no_longer_knows_is_deregistered(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    without_mn1 = b"\n".join(
        line for line in CONFIGURATION.splitlines() if b"mn1" not in line and b"default" not in line
    )
    async with life.gateway(configuration(without_mn1)) as gateway:
        await eventually(lambda: not len(gateway.core.binding_update_list))
        assert len(life.world.transport.sent) == 1
        await eventually(lambda: not life.is_served(prefix))


@pytest.mark.requirement("CFG-09")
async def test_node_of_a_link_that_has_become_another_nodes_is_deregistered(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    text = CONFIGURATION.replace(b"ieee_802_11", b"ppp, mn_id: mn2@example.net")
    async with life.gateway(configuration(text)) as gateway:
        await eventually(lambda: not len(gateway.core.binding_update_list))
        await eventually(lambda: not life.is_served(prefix))


async def test_node_on_a_link_that_is_no_access_link_any_more_is_deregistered(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    text = CONFIGURATION.replace(b"access1: {access_technology_type: ieee_802_11}, ", b"")
    async with life.gateway(configuration(text)) as gateway:
        await eventually(lambda: not len(gateway.core.binding_update_list))
        await eventually(lambda: not life.is_served(prefix))


async def test_link_that_is_down_after_the_start_ends_its_bindings(life: Life) -> None:
    async with life.gateway(killed=True) as gateway:
        await life.attached(gateway)
    async with life.gateway() as gateway:
        await life.world.links.put(LinkState("access1", is_up=False, mtu_octets=1500))
        await eventually(lambda: not len(gateway.core.binding_update_list))


async def test_start_that_fails_leaves_forwarding_as_it_was(life: Life) -> None:
    """At 3 a.m. with a fault in the file: packets go on while somebody looks."""
    async with life.gateway(killed=True) as gateway:
        prefix = await life.attached(gateway)
    dump = life.world.dataplane.dump

    async def fail() -> None:
        raise DataplaneError("dump", "told to fail")

    life.world.dataplane.dump = fail  # type: ignore[assignment,method-assign]
    with pytest.raises(DataplaneError):
        async with life.gateway():
            pass
    life.world.dataplane.dump = dump  # type: ignore[method-assign]
    assert life.is_served(prefix)
    async with life.gateway() as gateway:
        assert len(gateway.core.binding_update_list) == 1


async def test_stop_with_deregistration_leaves_an_empty_journal(life: Life) -> None:
    async with life.gateway(configuration()) as gateway:
        prefix = await life.attached(gateway)
    assert not life.is_served(prefix)
    async with life.gateway() as gateway:
        assert len(gateway.core.binding_update_list) == 0
        assert gateway.core.changes_to_store(0.0, 0.0).bindings == {}


async def test_what_an_lma_would_not_hear_in_time_is_taken_back_by_the_next_start(
    life: Life,
) -> None:
    """Its nodes are told that their router goes, and so is the operator."""
    text = configuration(CONFIGURATION + b"shutdown: {timeout_s: 0}\n")
    with capture_logs() as logs:
        async with life.gateway(text) as gateway:
            prefix = await life.attached(gateway)
            gateway.core.peers[LMA_ADDRESS].updates.hold(gateway.pump.now() + 100)
            port = life.world.ports["access1"]
            port.sent.clear()
    (left,) = (log for log in logs if log["event"] == "deregistrations_left")
    assert (left["bindings"], left["log_level"]) == (1, "warning")
    assert [mac for _, mac in port.sent] == [MN1_MAC] * 3
    assert not life.is_served(prefix)
    async with life.gateway(text) as gateway:
        await eventually(lambda: not len(gateway.core.binding_update_list))
        (update,) = life.world.transport.sent
        message = OutgoingMessage(update, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
        assert read_update(message).lifetime_s == 0


@pytest.mark.requirement("CFG-01")
async def test_settings_are_those_of_the_file_at_every_start(life: Life) -> None:
    """The journal keeps sessions; what is configured comes from the file alone."""
    text = configuration(CONFIGURATION + b"protocol: {lifetime_s: 400, refresh_fraction: 0.5}\n")
    async with life.gateway(text, killed=True) as gateway:
        before = gateway.core.settings
    async with life.gateway() as gateway:
        assert gateway.core.settings == before


async def test_operator_sees_that_a_restart_would_forget(life: Life) -> None:
    async with life.gateway() as gateway:
        control = Control(gateway, life.path)
        await life.attached(gateway)
        journal = control.status()["journal"]
        assert (journal["trouble"], journal["failures"], journal["behind_s"]) == ("", {}, 0)
        assert journal["rows"] >= 1
        text = (await control.metrics()).decode()
        assert "mag_journal_up 1.0" in text
        assert f"mag_journal_octets {float(journal['octets'])}" in text
        gateway.journal._file._connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]
        gateway.core.detach(1, gateway.pump.now())
        gateway.pump.wake()
        await eventually(lambda: gateway.journal.failures["read_only"])
        assert "readonly" in control.status()["journal"]["trouble"]
        text = (await control.metrics()).decode()
        assert "mag_journal_up 0.0" in text
        assert 'mag_journal_failures_total{reason="read_only"}' in text


async def test_gateway_without_a_journal_says_so(gateway: Gateway, control: Control) -> None:
    assert control.status()["journal"] is None
    assert "mag_journal" not in (await control.metrics()).decode()


TWO_LMAS = CONFIGURATION.replace(b"}}\naccess", b"}, lma2: {address: 2001:db8:0:b::2}}\naccess", 1)
AT_LMA2 = TWO_LMAS.replace(b"mn1@example.net: {lma: lma1", b"mn1@example.net: {lma: lma2")
LMA2_ADDRESS = IPv6Address("2001:db8:0:b::2")


async def test_node_on_its_way_to_another_lma_gets_there_all_the_same(
    life: Life, tmp_path: Path
) -> None:
    """Killed between the farewell to one LMA and the registration at the other."""
    file = tmp_path / "mag.yaml"
    file.write_bytes(AT_LMA2)
    async with life.gateway(configuration(TWO_LMAS), killed=True) as gateway:
        await life.attached(gateway)
        life.world.transport.is_answering = False
        await Control(gateway, file).reload()
        await eventually(lambda: len(life.world.transport.sent) > 1)
    async with life.gateway(configuration(AT_LMA2)) as gateway:
        transport = life.world.transport
        (entry,) = await eventually(
            lambda: [e for e in gateway.core.binding_update_list if e.lma_address == LMA2_ADDRESS]
        )
        await asyncio.wait_for(gateway.attachments.wait_until_served(entry.binding_id, 5), 5)
        assert len(gateway.core.binding_update_list) == 1
        updates = [
            (to, read_update(OutgoingMessage(data, PROXY_CARE_OF_ADDRESS, to)).lifetime_s)
            for data, to in zip(transport.sent, transport.sent_to, strict=True)
        ]
        assert updates[0] == (LMA_ADDRESS, 0)
        assert updates[-1][0] == LMA2_ADDRESS


async def test_drain_ends_with_the_process_and_what_it_had_begun_is_finished(
    life: Life, tmp_path: Path
) -> None:
    """What was being given up goes; what was not yet goes on, and nodes are taken again."""
    async with life.gateway(killed=True) as gateway:
        given_up = await life.attached(gateway)
        kept = await life.attached(gateway, MN2_MAC)
        life.world.transport.is_answering = False
        await Control(gateway, tmp_path / "mag.yaml").drain(DrainRequest(rate_per_s=0.1))
        await eventually(lambda: len(life.world.transport.sent) == 3)
    async with life.gateway() as gateway:
        await eventually(lambda: len(gateway.core.binding_update_list) == 1)
        await eventually(lambda: not life.is_served(given_up))
        assert life.is_served(kept, MN2_MAC)
        assert not gateway.attachments.is_draining
        assert life.is_served(await life.attached(gateway))
