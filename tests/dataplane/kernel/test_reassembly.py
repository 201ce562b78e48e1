"""Fragments on the kernel's path: those of tunnel packets are joined, those of nodes are not."""

from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, defragment6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from dataplane.contract import frames
from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    LMA_A,
    PROXY_COA,
    STRANGER,
    TUNNELS,
    downlink_to,
    ensure,
    uplink_of,
)
from dataplane.contract.kernel_bench import CORE, WITNESS, KernelBench
from mag.dataplane.base import BindingCounters
from mag.dataplane.kernel import probe, reassembly
from mag.dataplane.verdict import Delivered, InnerPacket
from support.marks import needs_root
from support.namespaces import in_namespace

pytestmark = [pytest.mark.netns, needs_root]

ELSEWHERE = IPv6Address("2001:db8:9::1")
LARGE_OCTETS = 3000
CONNTRACK_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")
FRAGMENT_MEMORY = "/proc/sys/net/netfilter/nf_conntrack_frag6_{}_thresh"


def seen_packets(bench: KernelBench, link: str) -> list[IPv6]:
    return [Ether(frame)[IPv6] for name, frame in bench.frames if name == link]


def allow_fragments(octets: int) -> None:
    for limit in ("low", "high"):
        Path(FRAGMENT_MEMORY.format(limit)).write_text(str(octets))


def as_sent(packet: Packet) -> bytes:
    """Without the hop limit, which is counted down on the way."""
    return bytes(packet)[:7] + bytes(packet)[8:]


async def test_fragments_of_a_node_go_through_the_tunnel_as_they_are(bound: KernelBench) -> None:
    """RFC 8200 §4.5: only their destination joins them; the tunnel packets stay whole."""
    parts = frames.cut(frames.inner_of(uplink_of(ALICE, octets=LARGE_OCTETS)), 1400)
    link_layer = Ether(
        src=ALICE.mn_link_layer_address.hex(":"),
        dst=ACCESS_LINKS[0].gateway_link_layer_address.hex(":"),
    )
    bound.exchange("acc1", *(link_layer / part for part in parts))
    tunnelled = seen_packets(bound, CORE)
    assert [as_sent(packet.payload) for packet in tunnelled] == [as_sent(part) for part in parts]
    counted = (await bound.dataplane.counters()).bindings[ALICE.binding_id]
    assert counted.uplink_packets == len(parts) == 3


async def test_fragments_to_a_node_come_out_of_the_tunnel_as_they_are(bound: KernelBench) -> None:
    parts = frames.cut(frames.inner_of(downlink_to(ALICE, octets=LARGE_OCTETS)), 1400)
    outer = IPv6(src=str(LMA_A), dst=str(PROXY_COA))
    bound.exchange(CORE, *(bound.to_gateway(outer / part) for part in parts))
    delivered = seen_packets(bound, "acc1")
    assert [as_sent(packet) for packet in delivered] == [as_sent(part) for part in parts]


async def test_fragments_are_joined_in_any_order(bound: KernelBench) -> None:
    packet = downlink_to(ALICE, octets=1280)
    outer = IPv6(src=str(LMA_A), dst=str(PROXY_COA))
    parts = frames.cut(outer / frames.inner_of(packet), 1280)
    seen = bound.exchange(CORE, *map(bound.to_gateway, reversed(parts)))
    delivered = replace(packet, hop_limit=63)
    assert seen == [Delivered("acc1", ALICE.mn_link_layer_address, delivered)]


async def test_packet_larger_than_the_largest_fragment_reaches_the_node_whole_in_fragments(
    bound: KernelBench,
) -> None:
    """A limit of this path: the kernel sends no more at once than it got at once."""
    packet = downlink_to(ALICE, octets=1460)
    await bound.from_tunnel(LMA_A, packet, fragment_octets=1400)
    delivered = seen_packets(bound, "acc1")
    assert len(delivered) == 2
    assert all(IPv6ExtHdrFragment in part and len(part) <= 1400 for part in delivered)
    (whole,) = defragment6(delivered)
    assert as_sent(whole)[6:] == as_sent(frames.inner_of(packet))[6:]
    counted = (await bound.dataplane.counters()).bindings[ALICE.binding_id]
    assert counted == BindingCounters(downlink_packets=1, downlink_octets=1460)


async def test_fragments_of_a_stranger_take_no_memory(bound: KernelBench) -> None:
    """Each is dropped by itself: not even the rest of the packet from the LMA completes it."""
    packet = downlink_to(ALICE, octets=1280)
    await bound.from_tunnel(STRANGER, packet, fragment_octets=1280)
    assert (await bound.dataplane.counters()).drops["unknown_tunnel_peer"] == 2


async def test_whole_packets_flow_where_memory_for_fragments_is_used_up(
    bound: KernelBench,
) -> None:
    in_namespace(bound.gateway, lambda: allow_fragments(octets=60_000))
    packet = downlink_to(ALICE, octets=1280)
    outer = IPv6(src=str(LMA_A), dst=str(PROXY_COA))
    halves = [frames.cut(outer / frames.inner_of(packet), 1280)[0] for _ in range(200)]
    assert bound.exchange(CORE, *map(bound.to_gateway, halves)) == []
    assert await bound.from_tunnel(LMA_A, packet, fragment_octets=1280) == []
    (seen,) = await bound.from_tunnel(LMA_A, packet)
    assert isinstance(seen, Delivered)


async def test_fragments_for_others_come_out_complete(bound: KernelBench) -> None:
    """What is forwarded beside our tunnels is cut again as it was."""
    inner = frames.inner_of(InnerPacket(WITNESS, ELSEWHERE, octets=LARGE_OCTETS))
    parts = frames.cut(inner, 1400)
    bound.exchange(CORE, *map(bound.to_gateway, parts))
    forwarded = seen_packets(bound, CORE)
    assert list(map(len, forwarded)) == list(map(len, parts))
    (whole,) = defragment6(forwarded)
    assert bytes(whole.payload) == bytes(inner.payload)


async def test_nothing_is_tracked(bound: KernelBench) -> None:
    """Connection tracking, which would cost every packet, is not what joins them."""
    await bound.from_tunnel(LMA_A, downlink_to(ALICE, octets=1280), fragment_octets=1280)
    await bound.from_tunnel(LMA_A, downlink_to(ALICE))
    assert in_namespace(bound.gateway, CONNTRACK_COUNT.read_text).strip() == "0"


async def test_kernel_that_cannot_join_fragments_works_and_says_so(
    monkeypatch: pytest.MonkeyPatch, untouched: KernelBench
) -> None:
    refused = reassembly.PROBE.replace("tproxy", "nosuchexpression")
    monkeypatch.setattr(reassembly, "PROBE", refused)
    await untouched.dataplane.open()
    await ensure(untouched, *TUNNELS, *ACCESS_LINKS, ALICE)
    assert (await untouched.dataplane.status()).missing == probe.WITHOUT_REASSEMBLY
    (seen,) = await untouched.from_tunnel(LMA_A, downlink_to(ALICE))
    assert isinstance(seen, Delivered)
