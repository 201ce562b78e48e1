"""The whole agent on a real VPP: a node gets service, and keeps it when VPP is killed."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from structlog.testing import capture_logs

from dataplane.conftest import needs_vpp, vpp_installation
from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    LMA_A,
    PROXY_COA,
    TUNNELS,
    downlink_to,
    send_as,
    uplink_of,
)
from dataplane.contract.kernel_bench import (
    CORE,
    CORE_LINK_LAYER_ADDRESS,
    WORLD_LINK_LAYER_ADDRESS,
    tap_of,
)
from dataplane.contract.vpp_bench import VppBench
from mag.config.loader import parse
from mag.config.model import AttachTrigger
from mag.daemon.assembly import assemble
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.dataplane.base import MobileNodeForwarding, Operation, Remove
from mag.dataplane.verdict import Delivered, Tunnelled
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.request import RequestKind
from mag.services.router_advertisement import ALL_NODES
from mag.services.wake_up import ALL_NODES_LINK_LAYER_ADDRESS
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER, MobilityHeaderType
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_solicitation import NeighborAdvertisement
from mag.wire.options import MobileNodeIdentifierOption
from services.vpp_adapters_bench import eventually
from support.fake_adapters import MN1_MAC
from support.fake_lma import FakeLma, only_option
from support.marks import needs_root
from support.namespaces import in_namespace, namespace_pair
from support.vpp_process import VppInstallation
from support.waiting import PATIENCE_S

pytestmark = [pytest.mark.vpp, needs_root, needs_vpp]

MH_TYPE_OFFSET = 2
SO_RCVBUFFORCE = 33
BURST = 2000
BURST_DEADLINE_S = 60.0
SMALL_SEND_BUFFER = "mag { punt-send-buffer 0 }"
"""VPP's own, for 170 messages."""
CONFIGURATION = """
identity: mag1
proxy_care_of_address: {coa}
lmas: {{lma1: {{address: {lma}}}}}
access_links: {{acc1: {{presence: link_layer}}, acc2: {{}}}}
policy:
  nodes: {{alice@example.net: {{lma: lma1, link_layer_addresses: ["{alice}"]}}}}
  default: {{lma: lma1}}
shutdown: {{timeout_s: 0}}
dataplane:
  kind: vpp
  core_interfaces: [{core}]
  verify_interval_s: 1
  vpp: {{api_socket: {folder}/api.sock, stats_socket: {folder}/stats.sock,
         punt_socket: {folder}/agent.sock}}
protocol: {protocol}
"""


class LmaOnTheWire:
    """Answers every update that comes out of VPP's core interface."""

    def __init__(self, bench: VppBench, holds_back: int = 0) -> None:
        """holds_back: nodes whose answers wait for each other, to go out in one burst."""
        self.lma = FakeLma(LMA_A)
        self._holds_back = holds_back
        self._held: dict[bytes, bytes] = {}
        """By MN-Identifier, the frame that answers its last update."""
        self._tap = in_namespace(bench.world, lambda: tap_of(CORE))
        self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)

    def open(self) -> None:
        asyncio.get_running_loop().add_reader(self._tap, self._take)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._tap)
        self._tap.close()

    def _take(self) -> None:
        packet = IPv6Packet.decode(EthernetFrame.decode(self._tap.recv(65535)).payload)
        is_ours = packet.source == PROXY_COA and packet.destination == LMA_A
        if packet.next_header != IP_PROTOCOL_MOBILITY_HEADER or not is_ours:
            return
        if packet.payload[MH_TYPE_OFFSET] != MobilityHeaderType.BINDING_UPDATE:
            return
        answer = self.lma.answer(OutgoingMessage(packet.payload, PROXY_COA, LMA_A))
        reply = IPv6Packet(LMA_A, PROXY_COA, IP_PROTOCOL_MOBILITY_HEADER, answer).encode()
        addresses = (CORE_LINK_LAYER_ADDRESS, WORLD_LINK_LAYER_ADDRESS)
        to, source = (bytes.fromhex(address.replace(":", "")) for address in addresses)
        frame = EthernetFrame(to, source, ETHERTYPE_IPV6, reply).encode()
        mn_id = only_option(self.lma.received[-1], MobileNodeIdentifierOption).identifier
        self._held[mn_id] = frame
        if len(self._held) >= self._holds_back:
            self._holds_back = 0
            for held in self._held.values():
                self._tap.send(held)
            self._held.clear()


@asynccontextmanager
async def gateway_on_vpp(
    holds_back: int = 0,
    sections: tuple[str, ...] = (),
    *,
    protocol: str = "{}",
    given: IPv6Address | None = None,
) -> AsyncIterator[tuple[Gateway, VppBench]]:
    """In service, with an LMA that accepts everybody; see LmaOnTheWire.

    sections: of VPP's startup.conf, beside the usual ones. given: by the LMA to who asks.
    """
    assert isinstance(vpp_installation, VppInstallation)
    with TemporaryDirectory(prefix="mag-vpp-") as folder, namespace_pair() as (near, far):
        bench = VppBench(near, far, vpp_installation, Path(folder), sections)
        lma = LmaOnTheWire(bench, holds_back)
        lma.lma.link_local_address = given
        mac = ALICE.mn_link_layer_address.hex(":")
        text = CONFIGURATION.format(
            coa=PROXY_COA, lma=LMA_A, core=CORE, folder=folder, alice=mac, protocol=protocol
        )
        configuration = parse(text.encode(), "test.yaml")
        core = MobileAccessGateway(
            configuration.protocol_settings(), {LMA_A: LmaSettings()}, random.Random(1)
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                gateway = Gateway(configuration, core, assemble(configuration), tasks)
                try:
                    lma.open()
                    await gateway.open()
                    yield gateway, bench
                finally:
                    await gateway.close()
        finally:
            lma.close()
            bench.close()


class Told:
    """The names of all events, as `mag monitor` is told them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._is_news = asyncio.Event()

    def append(self, name: str) -> None:
        self.names.append(name)
        self._is_news.set()

    async def hears(self, name: str) -> None:
        """Wait until it is told."""
        async with asyncio.timeout(PATIENCE_S):
            while name not in self.names:
                self._is_news.clear()
                await self._is_news.wait()


@asynccontextmanager
async def monitored(gateway: Gateway) -> AsyncIterator[Told]:
    """From now on."""
    told = Told()

    async def watch() -> None:
        async for entry in gateway.log.stream.watch():
            told.append(entry["event"])

    task = asyncio.create_task(watch())
    await eventually(lambda: gateway.log.stream.is_watched)
    try:
        yield told
    finally:
        task.cancel()


def lma_of(gateway: Gateway) -> LmaPeer:
    """The only one there is."""
    (peer,) = gateway.core.peers.values()
    return peer


async def forwarding_of_alice(gateway: Gateway) -> MobileNodeForwarding:
    """What is in the packet path for her, once it is there."""

    def settled() -> MobileNodeForwarding | None:
        nodes = gateway.reconciler.actual.mobile_nodes.values()
        return next(iter(nodes), None)

    return await eventually(settled)


async def is_served(bench: VppBench, node: MobileNodeForwarding) -> bool:
    """Packets go both ways."""
    up = await send_as(bench, node, uplink_of(node))
    down = await bench.from_tunnel(LMA_A, downlink_to(node))
    return any(isinstance(seen, Tunnelled) for seen in up) and any(
        isinstance(seen, Delivered) for seen in down
    )


async def test_node_that_sends_a_packet_gets_service() -> None:
    """RFC 5213 §6.9.1.1: from the sign of life to forwarding, over VPP's sockets alone."""
    async with gateway_on_vpp() as (gateway, bench):
        await send_as(bench, ALICE, uplink_of(ALICE))
        node = await forwarding_of_alice(gateway)
        assert node.mn_link_layer_address == ALICE.mn_link_layer_address
        assert node.home_network_prefixes[0].subnet_of(IPv6Network("2001:db8:100::/48"))
        assert await is_served(bench, node)


async def test_node_keeps_its_service_when_vpp_is_killed() -> None:
    """The agent keeps its bindings, says what happened and puts everything back."""
    async with gateway_on_vpp() as (gateway, bench):
        await send_as(bench, ALICE, uplink_of(ALICE))
        node = await forwarding_of_alice(gateway)
        control = Control(gateway, Path("mag.yaml"))
        async with monitored(gateway) as told:
            bench.vpp.kill()
            await told.hears("vpp_lost")
            shown = await control.dataplane()
            assert (shown["is_up"], shown["times_lost"]) == (False, 1)
            await asyncio.to_thread(bench.start_vpp)
            await told.hears("vpp_restored")
        shown = await control.dataplane()
        assert (shown["is_up"], shown["times_lost"], shown["mobile_nodes"]) == (True, 1, 1)
        assert len(gateway.core.binding_update_list) == 1
        assert await is_served(bench, node)


@pytest.mark.requirement("PBA-32", "PBA-33", "PBA-34", "PBA-35", "LLA-02", "LLA-06")
async def test_gateway_yields_its_address_to_a_node_that_has_it() -> None:
    """VPP answers for what the LMA gives, until the node says that it is its own."""
    given = IPv6Address("fe80::6d61:1")
    protocol = '{fixed_mag_link_local_address: "::"}'
    async with gateway_on_vpp(protocol=protocol, given=given) as (gateway, bench):
        await send_as(bench, ALICE, uplink_of(ALICE))
        node = await forwarding_of_alice(gateway)
        (entry,) = gateway.core.binding_update_list
        assert entry.gateway_link_local_address == given
        link = node.access_interface
        assert list((await gateway.dataplane.dump()).gateway_addresses) == [(link, given)]
        claim = NeighborAdvertisement(given, given).encode(ALL_NODES)
        frame = EthernetFrame(
            ALL_NODES_LINK_LAYER_ADDRESS, node.mn_link_layer_address, ETHERTYPE_IPV6, claim
        )
        with in_namespace(bench.world, lambda: tap_of(link)) as tap:
            tap.send(frame.encode())
        await eventually(lambda: gateway.core.address_collisions)
        await eventually(lambda: not entry.gateway_link_local_address.is_unspecified)
        other = entry.gateway_link_local_address
        assert other != given
        await eventually(lambda: (link, other) in gateway.reconciler.actual.gateway_addresses)
        assert list((await gateway.dataplane.dump()).gateway_addresses) == [(link, other)]
        await eventually(lambda: lma_of(gateway).answered[RequestKind.REFRESH, 0])
        assert await is_served(bench, node)


async def _bindings(bench: VppBench, node: MobileNodeForwarding) -> None:
    await _as_another_client(bench, Remove(node))


async def _tunnel(bench: VppBench, node: MobileNodeForwarding) -> None:
    await _as_another_client(bench, Remove(node), Remove(TUNNELS[0]))


async def _access_link(bench: VppBench, node: MobileNodeForwarding) -> None:
    await _as_another_client(bench, Remove(node), *map(Remove, ACCESS_LINKS))


async def _as_another_client(bench: VppBench, *operations: Operation) -> None:
    other = bench.another_instance()
    await other.open()
    assert not any(await other.apply(operations))
    await other.close(remove=False)


async def _everything(bench: VppBench, _: MobileNodeForwarding) -> None:
    other = bench.another_instance()
    await other.open()
    await other.close(remove=True)


async def _loopback(bench: VppBench, _: MobileNodeForwarding) -> None:
    await asyncio.to_thread(bench.vpp.cli, "delete loopback interface intfc loop0")


DAMAGES = {
    "bindings": _bindings,
    "tunnel": _tunnel,
    "access link": _access_link,
    "loopback": _loopback,
    "everything": _everything,
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_somebody_takes_from_vpp_is_noticed_and_put_back(damage: str) -> None:
    async with gateway_on_vpp() as (gateway, bench):
        await send_as(bench, ALICE, uplink_of(ALICE))
        node = await forwarding_of_alice(gateway)
        async with monitored(gateway) as told:
            await DAMAGES[damage](bench, node)
            await told.hears("dataplane_restored")
        assert "packet_path_disturbed" in told.names
        assert await is_served(bench, node)
        assert len(gateway.core.binding_update_list) == 1
        assert await gateway.reconciler.losses() == []


@pytest.mark.parametrize("sections", [(), (SMALL_SEND_BUFFER,)], ids=["large", "small"])
async def test_burst_of_acknowledgements_serves_every_node_and_shows_what_was_lost(
    sections: tuple[str, ...],
) -> None:
    """RFC 6275 §11.8: what VPP cannot hand over in time is asked for again.

    The LMA shares the gateway's loop: while it sends its 2,000 answers nobody takes them from VPP.
    """
    with capture_logs() as logs:
        async with gateway_on_vpp(BURST, sections) as (gateway, _):
            first = int.from_bytes(MN1_MAC, "big")
            for number in range(BURST):
                await gateway.attachments.attach(
                    "acc1",
                    (first + number).to_bytes(6, "big"),
                    trigger=AttachTrigger.ADMIN,
                    mn_id=b"%d@example.net" % number,
                )
            bindings = gateway.core.binding_update_list
            async with asyncio.timeout(BURST_DEADLINE_S):
                for entry in bindings:
                    await gateway.attachments.wait_until_served(entry.binding_id, BURST_DEADLINE_S)
            assert len(bindings) == BURST
            if sections:
                await eventually(lambda: gateway.transport.lost)
            lost = (await gateway.dataplane.counters()).faults["punted_packets_lost"]
            (peer,) = gateway.core.peers.values()
            assert peer.retransmitted[RequestKind.REGISTRATION] >= lost
    assert bool(lost) is bool(sections)
    assert any(entry["event"] == "punted_packets_lost" for entry in logs) is bool(lost)


async def test_gateway_that_ends_leaves_nothing_in_vpp() -> None:
    async with gateway_on_vpp() as (gateway, bench):
        await send_as(bench, ALICE, uplink_of(ALICE))
        await forwarding_of_alice(gateway)
        await gateway.close()
        assert "0 bindings" in (shown := await asyncio.to_thread(bench.vpp.cli, "show mag"))
        assert "0 LMAs" in shown
        assert "mag mobility" not in await asyncio.to_thread(bench.vpp.cli, "show ip6 fib")
