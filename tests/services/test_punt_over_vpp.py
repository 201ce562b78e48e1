"""The adapters of a gateway on a real VPP: what nodes and LMAs send and receive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from structlog.testing import capture_logs

from dataplane.conftest import needs_vpp
from dataplane.contract.bench import (
    ALICE,
    CORRESPONDENT,
    LMA_A,
    PROXY_COA,
    STRANGER,
    address_of,
    send_as,
    uplink_of,
)
from dataplane.contract.kernel_bench import CORE
from mag.dataplane.base import DataplaneError, MobileNodeForwarding
from mag.dataplane.verdict import Tunnelled
from mag.protocol.events import AdvertisePrefixes, Binding
from mag.protocol.registration import RegistrationState
from mag.protocol.settings import (
    RESERVED_LINK_LAYER_ADDRESS,
    RESERVED_LINK_LOCAL_ADDRESS,
    ProtocolSettings,
)
from mag.services import router_advertisement
from mag.services.link_monitor import LinkState
from mag.services.node_signal import NodeSignal
from mag.wire.checksum import checksum
from mag.wire.iana import (
    IP_PROTOCOL_ICMPV6,
    IP_PROTOCOL_IPV6,
    IP_PROTOCOL_MOBILITY_HEADER,
)
from mag.wire.ipv6 import IPv6Packet
from services.vpp_adapters_bench import AdaptersBench, eventually, frame_of, opened_adapters
from support.marks import needs_root
from support.mobility_headers import acknowledgement

pytestmark = [pytest.mark.vpp, needs_root, needs_vpp]

ALICE_LINK_LOCAL = IPv6Address("fe80::a")
ALL_ROUTERS = IPv6Address("ff02::2")
ALL_ROUTERS_MAC = "33:33:00:00:00:02"
MESSAGE = acknowledgement(b"")
ACKNOWLEDGEMENT = IPv6Packet(LMA_A, PROXY_COA, IP_PROTOCOL_MOBILITY_HEADER, MESSAGE)
BURST = 2000
SMALL_SEND_BUFFER = "mag { punt-send-buffer 0 }"
"""VPP's own, for 170 messages."""


@pytest.fixture
async def bench() -> AsyncIterator[AdaptersBench]:
    async with opened_adapters() as opened:
        yield opened


def solicitation() -> bytes:
    blank = bytes((133, *bytes(7)))
    value = checksum(blank, ALICE_LINK_LOCAL, ALL_ROUTERS, IP_PROTOCOL_ICMPV6)
    message = blank[:2] + value.to_bytes(2, "big") + blank[4:]
    packet = IPv6Packet(ALICE_LINK_LOCAL, ALL_ROUTERS, IP_PROTOCOL_ICMPV6, message, hop_limit=255)
    return frame_of(ALICE.mn_link_layer_address, ALL_ROUTERS_MAC, packet)


async def test_router_solicitation_is_a_signal_of_its_link_and_node(bench: AdaptersBench) -> None:
    """RFC 5213 §6.9.2."""
    bench.send("acc1", solicitation())
    wanted = NodeSignal("acc1", ALICE.mn_link_layer_address, True, ALICE_LINK_LOCAL)
    await eventually(lambda: wanted in bench.signals)


async def test_mobility_header_of_an_lma_is_handed_on_without_its_ipv6_header(
    bench: AdaptersBench,
) -> None:
    bench.send_from_core(ACKNOWLEDGEMENT)
    await eventually(lambda: bench.messages)
    assert bench.messages == [(MESSAGE, LMA_A)]
    assert bench.adapters.transport.received == 1


async def test_mobility_header_of_a_stranger_is_counted_and_dropped(bench: AdaptersBench) -> None:
    """RFC 5213 §4: only the LMAs speak for bindings."""
    bench.send_from_core(replace(ACKNOWLEDGEMENT, source=STRANGER))
    bench.send_from_core(ACKNOWLEDGEMENT)
    await eventually(lambda: bench.messages)
    assert bench.messages == [(MESSAGE, LMA_A)]
    assert bench.adapters.transport.discarded == {"unknown_sender": 1}


async def test_mobility_header_from_an_access_link_is_counted_and_dropped(
    bench: AdaptersBench,
) -> None:
    """A node can send one to the gateway's link-local address."""
    forged = IPv6Packet(
        ALICE_LINK_LOCAL, RESERVED_LINK_LOCAL_ADDRESS, IP_PROTOCOL_MOBILITY_HEADER, MESSAGE
    )
    mac = RESERVED_LINK_LAYER_ADDRESS.hex(":")
    bench.send("acc1", frame_of(ALICE.mn_link_layer_address, mac, forged))
    await eventually(lambda: bench.adapters.punt.discarded["wrong_interface"])
    assert bench.messages == []


async def test_message_to_an_lma_leaves_on_the_core_from_the_proxy_care_of_address(
    bench: AdaptersBench,
) -> None:
    """RFC 5213 §6.9.1.5: source is the Proxy-CoA, no Home Address option."""
    assert bench.adapters.transport.send(MESSAGE, LMA_A)
    _, packet = bench.await_frame(
        CORE, lambda _, packet: packet.next_header == IP_PROTOCOL_MOBILITY_HEADER
    )
    assert (packet.source, packet.destination, packet.payload) == (PROXY_COA, LMA_A, MESSAGE)
    assert packet.hop_limit == 64


async def test_lmas_are_pinged_when_vpp_is_there(bench: AdaptersBench) -> None:
    """The packet that makes VPP resolve a next hop is lost: it shall be none of ours."""
    _, packet = bench.await_frame(
        CORE,
        lambda _, packet: (
            packet.next_header == IP_PROTOCOL_ICMPV6
            and packet.destination == LMA_A
            and packet.payload[0] == 128
        ),
    )
    assert packet.source == PROXY_COA


def _binding_of(node: MobileNodeForwarding) -> Binding:
    return Binding(
        binding_id=node.binding_id,
        mn_id=b"alice@example.net",
        access_interface=node.access_interface,
        mn_link_layer_id=node.mn_link_layer_address,
        lma_address=node.lma_address,
        state=RegistrationState.ACTIVE,
        home_network_prefixes=node.home_network_prefixes,
        gateway_link_local_address=RESERVED_LINK_LOCAL_ADDRESS,
    )


async def test_router_advertisement_reaches_the_node_alone(bench: AdaptersBench) -> None:
    """RFC 6085: an IPv6 multicast in a frame to the node's own address."""
    packet = router_advertisement.advertisement(
        ProtocolSettings(proxy_care_of_address=PROXY_COA),
        AdvertisePrefixes(_binding_of(ALICE), 2592000, 604800),
        tunnel_mtu_octets=1460,
        access_mtu_octets=1500,
    )
    assert bench.adapters.ports["acc1"].send(packet, ALICE.mn_link_layer_address)
    frame, _ = bench.await_frame(
        "acc1",
        lambda _, packet: packet.next_header == IP_PROTOCOL_ICMPV6 and packet.payload[0] == 134,
    )
    assert frame.payload == packet
    assert (frame.destination, frame.source) == (
        ALICE.mn_link_layer_address,
        RESERVED_LINK_LAYER_ADDRESS,
    )


async def test_packet_of_a_node_without_binding_is_a_signal_until_the_node_is_known(
    bench: AdaptersBench,
) -> None:
    """RFC 5213 §6.9.2: any packet may be what tells of a node (design: attach triggers)."""
    port = bench.adapters.ports["acc1"]
    await send_as(bench.bench, ALICE, uplink_of(ALICE))
    await eventually(lambda: bench.signals)
    (signal,) = bench.signals
    assert signal.mn_link_layer_address == ALICE.mn_link_layer_address
    assert signal.source in ALICE.home_network_prefixes[0]
    port.know(ALICE.mn_link_layer_address)
    other = replace(ALICE, mn_link_layer_address=bytes.fromhex("02000000000c"))
    await send_as(bench.bench, ALICE, uplink_of(ALICE))
    await send_as(bench.bench, other, uplink_of(ALICE))
    await eventually(lambda: len(bench.signals) > 1)
    assert [signal.mn_link_layer_address for signal in bench.signals[1:]] == [
        other.mn_link_layer_address
    ]


async def test_burst_waits_for_an_agent_that_is_busy(bench: AdaptersBench) -> None:
    """While it is sent nobody takes it from VPP, whose own send buffer would hold 170."""
    for _ in range(BURST):
        bench.send_from_core(ACKNOWLEDGEMENT)
    await eventually(lambda: len(bench.messages) == BURST)
    assert bench.adapters.transport.lost == 0


async def test_what_the_send_buffer_does_not_hold_is_counted_as_lost_and_told() -> None:
    with capture_logs() as logs:
        async with opened_adapters((SMALL_SEND_BUFFER,)) as bench:
            for _ in range(BURST):
                bench.send_from_core(ACKNOWLEDGEMENT)
            transport = bench.adapters.transport
            await eventually(lambda: transport.received + transport.lost >= BURST)
    assert transport.received + transport.lost == BURST
    assert transport.received > 0
    assert transport.lost > 0
    assert any(entry["event"] == "punted_packets_lost" for entry in logs)


async def test_killed_vpp_gets_everything_back(bench: AdaptersBench) -> None:
    """State that VPP lost is put back without help, signalling and events with it."""
    bench.reconciler.want(ALICE)
    await bench.reconciler.converge()
    dataplane = bench.adapters.dataplane
    before = await dataplane.status()
    watch = asyncio.create_task(bench.adapters.keep_connected(bench.resync, bench.notes.append))
    bench.bench.vpp.kill()
    await eventually(lambda: bench.has_noted("vpp_lost", "VPP closed the connection"))
    with pytest.raises(DataplaneError):
        await dataplane.dump()
    away = await dataplane.status()
    assert (away.is_up, away.times_lost, away.version) == (False, 1, before.version)
    assert "VPP" in away.fault
    await asyncio.to_thread(bench.bench.start_vpp)
    await eventually(lambda: bench.has_noted("vpp_restored"))
    watch.cancel()
    assert await dataplane.status() == replace(before, times_lost=1)
    assert (await dataplane.dump()).mobile_nodes == {ALICE.key: ALICE}
    bench.send("acc2", solicitation())
    bench.send_from_core(ACKNOWLEDGEMENT)
    await eventually(lambda: bench.signals and bench.messages)
    seen = await send_as(bench.bench, ALICE, uplink_of(ALICE))
    assert any(isinstance(packet, Tunnelled) for packet in seen)


async def test_vpp_whose_interfaces_come_late_is_waited_for(bench: AdaptersBench) -> None:
    """VPP runs its own start-up commands two seconds after it answers, one after the other."""
    bench.reconciler.want(ALICE)
    await bench.reconciler.converge()
    vpp = bench.bench.vpp
    commands = vpp.commands.splitlines()
    late = [line for line in commands if "acc1" in line]
    watch = asyncio.create_task(bench.adapters.keep_connected(bench.resync, bench.notes.append))
    vpp.kill()
    vpp.commands = "\n".join(line for line in commands if line not in late) + "\n"
    await asyncio.to_thread(bench.bench.start_vpp)
    await eventually(lambda: bench.has_noted("vpp_not_back", "acc1"))
    for line in late:
        await asyncio.to_thread(vpp.cli, line)
    await eventually(lambda: bench.has_noted("vpp_restored"))
    watch.cancel()
    assert (await bench.adapters.dataplane.dump()).mobile_nodes == {ALICE.key: ALICE}


async def test_link_that_goes_down_and_up_is_told(bench: AdaptersBench) -> None:
    """RFC 5213 §6.9.1.4: the detach of a link is a trigger."""
    states: list[LinkState] = []

    async def collect() -> None:
        async for state in bench.adapters.link_monitor.watch(("acc1",)):
            states.append(state)

    watch = asyncio.create_task(collect())
    await eventually(lambda: states)
    vpp = bench.bench.vpp
    await asyncio.to_thread(vpp.cli, "set interface state acc1 down")
    await eventually(lambda: not states[-1].is_up)
    await asyncio.to_thread(vpp.cli, "set interface state acc1 up")
    await eventually(lambda: states[-1].is_up)
    watch.cancel()
    assert [state.is_up for state in states] == [True, False, True]
    assert {state.mtu_octets for state in states} == {1500}


async def test_nodes_packets_do_not_reach_the_agent(bench: AdaptersBench) -> None:
    """Only signalling is punted: traffic of a bound node never is."""
    bench.reconciler.want(ALICE)
    await bench.reconciler.converge()
    before = bench.adapters.punt.received
    packet = replace(uplink_of(ALICE), source=address_of(ALICE), destination=CORRESPONDENT)
    for _ in range(3):
        await send_as(bench.bench, ALICE, packet)
    frame, _ = bench.await_frame(CORE, lambda _, packet: packet.next_header == IP_PROTOCOL_IPV6)
    assert frame
    assert bench.adapters.punt.received == before
