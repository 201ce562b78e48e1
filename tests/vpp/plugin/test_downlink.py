"""Packets from LMAs: RFC 5213 §6.10.5, RFC 2473 §3.3, RFC 3168 §9.1.1."""

import pytest
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    Pad1,
    PadN,
    fragment6,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from vpp.plugin.gateway import (
    ALICE_MAC,
    BOB_MAC,
    CORRESPONDENT,
    NEXT_HOP_MAC,
    OTHER_LMA,
    PROXY_CARE_OF_ADDRESS,
    VLAN,
    Gateway,
    stream,
)
from vpp.plugin.generator import delete_streams, run

pytestmark = pytest.mark.vpp

NOT_ECT, ECT_1, ECT_0, CE = range(4)
HAND_OFF_BURST = 256 * 2000


def limit_header(*options: Packet) -> IPv6ExtHdrDestOpt:
    """A Destination Options header in front of an IPv6 packet."""
    return IPv6ExtHdrDestOpt(nh=41, options=list(options), autopad=False)


LIMIT = HBHOptUnknown(otype=4, optlen=1, optdata=b"\4")


@pytest.mark.requirement("FWD-01", "FWD-02")
def test_tunnelled_packet_reaches_its_node(any_gateway: Gateway) -> None:
    """FWD-01, FWD-02: the right link and MAC, without the outer header, hop limit less one."""
    alice, bob = any_gateway.alice(), any_gateway.bob()
    any_gateway.bind(alice, bob)
    inner = any_gateway.to_node(alice.address(), hlim=7)
    frames = stream(any_gateway.tunnelled(inner))
    for packet in any_gateway.send_and_expect(any_gateway.core, frames, any_gateway.access):
        assert (packet.dst, packet.src) == (ALICE_MAC, any_gateway.access.mac)
        expected = bytearray(bytes(inner))
        expected[7] = 6
        assert bytes(packet[IPv6]) == bytes(expected)
    to_bob = any_gateway.tunnelled(any_gateway.to_node(bob.address()))
    received = any_gateway.send_and_expect(
        any_gateway.core, stream(to_bob), any_gateway.other_access
    )
    assert {p.dst for p in received} == {BOB_MAC}
    counted = {d.binding_id: d for d in any_gateway.bindings()}
    assert counted[alice.binding_id].down_packets == 63
    assert counted[alice.binding_id].down_octets == 63 * len(inner)


def test_vlan_access_link_gets_tagged_frames(gateway: Gateway) -> None:
    """The rewrite of a sub-interface has its tag."""
    alice = gateway.alice(sw_if_index=gateway.vlan_sw_if_index)
    gateway.bind(alice)
    frames = stream(gateway.tunnelled(gateway.to_node(alice.address())))
    for packet in gateway.send_and_expect(gateway.core, frames, gateway.access):
        assert (packet.dst, packet[Dot1Q].vlan) == (ALICE_MAC, VLAN)
        assert packet[IPv6].dst == alice.address()


@pytest.mark.parametrize(
    "header",
    [
        limit_header(LIMIT, PadN(optdata=b"\0")),
        limit_header(PadN(optdata=b"\0"), LIMIT),
        limit_header(LIMIT, Pad1(), Pad1(), Pad1()),
        limit_header(LIMIT, PadN(optdata=bytes(9))),
        limit_header(HBHOptUnknown(otype=0x1E, optlen=4, optdata=bytes(4))),
        IPv6ExtHdrDestOpt(nh=60, options=[PadN(optdata=bytes(4))], autopad=False)
        / limit_header(LIMIT, PadN(optdata=b"\0")),
    ],
    ids=["as Linux", "padding first", "Pad1", "16 octets", "unknown, skippable", "two headers"],
)
def test_destination_options_are_taken_off(gateway: Gateway, header: Packet) -> None:
    """T2473-02: the option that Linux LMAs send by default, and what else may be there."""
    alice = gateway.alice()
    gateway.bind(alice)
    inner = gateway.to_node(alice.address())
    frame = gateway.tunnelled(header / inner, nh=60)
    for packet in gateway.send_and_expect(gateway.core, stream(frame), gateway.access):
        assert bytes(packet[IPv6].payload) == bytes(inner.payload)


@pytest.mark.parametrize("otype", [0x5E, 0x9E, 0xDE])
def test_options_not_to_be_skipped_drop_the_packet(gateway: Gateway, otype: int) -> None:
    """RFC 8200 §4.2: top bits other than 00 of an option that is not known."""
    gateway.bind(gateway.alice())
    header = limit_header(HBHOptUnknown(otype=otype, optlen=4, optdata=bytes(4)))
    frame = gateway.tunnelled(header / gateway.to_node(gateway.alice().address()), nh=60)
    gateway.send_and_expect_drop(gateway.core, stream(frame), "mag-downlink-ip6/bad_tunnel_header")


@pytest.mark.requirement("TUN-16", "TUN-17")
@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("inner", range(4))
def test_inner_ecn_follows_full_functionality(gateway: Gateway, inner: int, outer: int) -> None:
    """TUN-16, TUN-17: CE reaches ECN-capable packets, drops others, and nothing else changes."""
    alice = gateway.alice()
    gateway.bind(alice)
    frames = [gateway.tunnelled(gateway.to_node(alice.address(), tc=0xB8 | inner), tc=outer)] * 5
    if outer == CE and inner == NOT_ECT:
        gateway.send_and_expect_drop(gateway.core, frames, "mag-downlink-ip6/bad_ecn")
        return
    received = gateway.send_and_expect(gateway.core, frames, gateway.access)
    assert {p[IPv6].tc for p in received} == {0xB8 | (CE if outer == CE else inner)}


@pytest.mark.requirement("FWD-04")
def test_unknown_inner_destination_is_dropped_silently(any_gateway: Gateway) -> None:
    """FWD-04, INT-15: counted, no ICMP to anyone, never back to the core."""
    frame = any_gateway.tunnelled(any_gateway.to_node("2001:db8:1:99::5"))
    any_gateway.send_and_expect_drop(
        any_gateway.core, stream(frame), "mag-downlink-ip6/unknown_inner_destination"
    )


@pytest.mark.parametrize(
    "fields",
    [{"src": "2001:db8:b::77"}, {"src": CORRESPONDENT}, {"src": "2001:db8:b::77", "nh": 60}],
)
def test_unknown_tunnel_peer_is_dropped(gateway: Gateway, fields: dict[str, object]) -> None:
    """FWD-03: only LMAs send into the tunnel; a bound destination does not change that."""
    gateway.bind(gateway.alice())
    inner = gateway.to_node(gateway.alice().address())
    payload = limit_header(LIMIT, PadN(optdata=b"\0")) / inner if "nh" in fields else inner
    frame = gateway.tunnelled(payload, **fields)
    gateway.send_and_expect_drop(
        gateway.core, stream(frame), "mag-downlink-ip6/unknown_tunnel_peer"
    )


def test_deleted_lma_is_unknown(gateway: Gateway) -> None:
    """TUN: after the tunnel is deleted its peer is a stranger."""
    gateway.bind(gateway.alice())
    gateway.vpp.api.mag_lma_add_del(is_add=False, lma_address=OTHER_LMA)
    frame = gateway.tunnelled(gateway.to_node(gateway.alice().address()), src=OTHER_LMA)
    gateway.send_and_expect_drop(
        gateway.core, stream(frame), "mag-downlink-ip6/unknown_tunnel_peer"
    )
    gateway.set_lma(lma_address=OTHER_LMA)


def test_other_packets_from_core_are_left_to_vpp(gateway: Gateway) -> None:
    """Ping to the Proxy-CoA is answered, transit is routed; none of our counters moves."""
    frame = Ether(src=NEXT_HOP_MAC, dst=gateway.core.mac) / IPv6(
        src=CORRESPONDENT, dst=PROXY_CARE_OF_ADDRESS
    )
    ping = frame / ICMPv6EchoRequest()
    [reply] = gateway.send_and_expect(gateway.core, [ping], gateway.core)
    assert reply[IPv6].src == PROXY_CARE_OF_ADDRESS
    transit = gateway.tunnelled(
        gateway.to_node("2001:db8:1:99::5"), src="2001:db8:dead::7", dst="2001:db8:dead::8"
    )
    [routed] = gateway.send_and_expect(gateway.core, [transit], gateway.core)
    assert routed[IPv6].dst == "2001:db8:dead::8"
    assert gateway.vpp.error_counters() == {}


def test_hop_limit_exceeded_is_answered_to_the_core(gateway: Gateway) -> None:
    """T2473-01: the answer to a correspondent is looked up in the core table."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.tunnelled(gateway.to_node(alice.address(), hlim=1))
    [packet] = gateway.send_and_expect(gateway.core, [frame], gateway.core)
    assert ICMPv6TimeExceeded in packet
    assert packet[IPv6].dst == CORRESPONDENT


def test_access_mtu_is_answered_to_the_core(gateway: Gateway) -> None:
    """MTU-15: a packet larger than the access link takes; the link's MTU may change."""
    alice = gateway.alice()
    gateway.bind(alice)
    gateway.set_mtu(gateway.access.sw_if_index, 1400)
    inner = gateway.to_node(alice.address(), payload=Raw(bytes(1401 - 40)))
    [packet] = gateway.send_and_expect(gateway.core, [gateway.tunnelled(inner)], gateway.core)
    assert packet[ICMPv6PacketTooBig].mtu == 1400
    assert packet[IPv6].dst == CORRESPONDENT
    gateway.set_mtu(gateway.access.sw_if_index, 1500)
    gateway.send_and_expect(gateway.core, [gateway.tunnelled(inner)], gateway.access)


@pytest.mark.requirement("FWD-03", "T2473-02", "T2473-15")
def test_fragmented_tunnel_packets_arrive_whole(any_gateway: Gateway) -> None:
    """T2473-02, T2473-15: outer fragments are reassembled, then decapsulated."""
    alice = any_gateway.alice()
    any_gateway.bind(alice)
    inner = any_gateway.to_node(alice.address(), payload=Raw(bytes(range(250)) * 5))
    frames = []
    for number in range(5):
        whole = any_gateway.tunnelled(IPv6ExtHdrFragment(id=number) / inner)[IPv6]
        frames += [
            Ether(src=NEXT_HOP_MAC, dst=any_gateway.core.mac) / part
            for part in fragment6(whole, 700)
        ]
    received = any_gateway.send_and_expect(any_gateway.core, frames, any_gateway.access, count=5)
    for packet in received:
        assert packet.dst == ALICE_MAC
        assert bytes(packet[IPv6].payload) == bytes(inner.payload)


def test_large_packet_in_several_buffers_passes_both_ways(gateway: Gateway) -> None:
    """Chains of buffers: jumbo frames up and down, octets and contents as they were."""
    alice = gateway.alice()
    gateway.set_lma(tunnel_mtu=8900)
    gateway.set_mtu(gateway.access.sw_if_index, 9000)
    gateway.bind(alice)
    try:
        payload = Raw(bytes(range(250)) * 24)
        frame = gateway.uplink(alice.address(), payload=payload)
        for packet in gateway.send_and_expect(gateway.access, [frame] * 5, gateway.core):
            assert packet[IPv6].payload.plen == len(payload)
            assert bytes(packet[IPv6].payload)[40:] == bytes(payload)
        inner = gateway.to_node(alice.address(), payload=payload)
        frames = [gateway.tunnelled(inner)] * 5
        for packet in gateway.send_and_expect(gateway.core, frames, gateway.access):
            assert bytes(packet[IPv6].payload) == bytes(payload)
        [details] = gateway.bindings()
        assert details.up_octets == details.down_octets == 5 * (40 + len(payload))
    finally:
        gateway.set_mtu(gateway.access.sw_if_index, 1500)


def test_interface_mac_change_reaches_bindings(gateway: Gateway) -> None:
    """The source of frames to nodes is the interface's MAC of now, on sub-interfaces too."""
    alice = gateway.alice()
    on_vlan = gateway.bob(sw_if_index=gateway.vlan_sw_if_index)
    gateway.bind(alice, on_vlan)
    before = gateway.access.mac
    new_mac = "02:fe:00:00:52:13"
    try:
        gateway.vpp.api.sw_interface_set_mac_address(
            sw_if_index=gateway.access.sw_if_index, mac_address=new_mac
        )
        for binding in (alice, on_vlan):
            frame = gateway.tunnelled(gateway.to_node(binding.address()))
            [packet] = gateway.send_and_expect(gateway.core, [frame], gateway.access)
            assert (packet.src, packet.dst) == (new_mac, binding.mac)
    finally:
        gateway.vpp.api.sw_interface_set_mac_address(
            sw_if_index=gateway.access.sw_if_index, mac_address=before
        )


def test_hand_off_spreads_nodes_and_keeps_order(two_worker_gateway: Gateway) -> None:
    """Every packet arrives once, in order per node, and both workers take part."""
    gateway = two_worker_gateway
    bindings = []
    for number in range(16):
        binding = gateway.alice(prefixes=[f"2001:db8:4:{number:x}::/64"])
        binding.binding_id = 100 + number
        bindings.append(binding)
    gateway.bind(*bindings)
    frames = [
        gateway.tunnelled(gateway.to_node(binding.address(), fl=turn))
        for turn in range(4)
        for binding in bindings
    ][:63]
    received = gateway.send_and_expect(gateway.core, frames, gateway.access, worker=0)
    for binding in bindings:
        turns = [p[IPv6].fl for p in received if p[IPv6].dst == binding.address()]
        assert turns == sorted(turns)
        assert len(turns) in (3, 4)
    with gateway.vpp.statistics() as statistics:
        per_thread = [
            sum(counter["packets"] for counter in thread)
            for thread in statistics["/mag/binding/down"]
        ]
    assert sum(per_thread) == 63
    assert sum(1 for packets in per_thread if packets) == 2


def test_congested_hand_off_drops_and_counts(two_worker_gateway: Gateway) -> None:
    """More than the other worker takes: counted, the rest delivered, no buffer lost."""
    gateway = two_worker_gateway
    bindings = []
    for number in range(16):
        binding = gateway.alice(prefixes=[f"2001:db8:4:{number:x}::/64"])
        binding.binding_id = 100 + number
        bindings.append(binding)
    gateway.bind(*bindings)
    buffers = gateway.vpp.buffers_in_use()
    frames = [gateway.tunnelled(gateway.to_node(b.address())) for b in bindings] * 16
    gateway.core.queue(frames, worker=0, limit=HAND_OFF_BURST)
    with gateway.vpp.workers_on_one_core():
        run(gateway.vpp, ())
    delete_streams(gateway.vpp)

    def total() -> int:
        return sum(gateway.vpp.error_counters().values())

    gateway.vpp.wait_until(lambda: total() == HAND_OFF_BURST)
    counters = gateway.vpp.error_counters()
    assert set(counters) == {
        "mag-downlink-ip6/decapsulated",
        "mag-downlink-hand-off-ip6/hand_off_congested",
    }
    gateway.vpp.wait_until(lambda: gateway.vpp.buffers_in_use() <= buffers)


def test_hand_off_leaves_other_packets_alone(two_worker_gateway: Gateway) -> None:
    """What is no tunnel packet goes on along the arc after the hand-off as before it."""
    gateway = two_worker_gateway
    ping = (
        Ether(src=NEXT_HOP_MAC, dst=gateway.core.mac)
        / IPv6(src=CORRESPONDENT, dst=PROXY_CARE_OF_ADDRESS)
        / ICMPv6EchoRequest()
    )
    gateway.send_and_expect(gateway.core, [ping] * 5, gateway.core)
    stranger = gateway.tunnelled(gateway.to_node("2001:db8:1:99::5"), src="2001:db8:b::77")
    gateway.send_and_expect_drop(
        gateway.core, stream(stranger), "mag-downlink-ip6/unknown_tunnel_peer"
    )
