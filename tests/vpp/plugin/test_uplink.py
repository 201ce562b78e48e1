"""Packets from mobile nodes: RFC 5213 §6.10.5, RFC 2473 §3.1 and §5."""

import pytest
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from vpp.plugin.gateway import (
    ALICE_MAC,
    BOB_MAC,
    CORRESPONDENT,
    GATEWAY_ADDRESS,
    LMA,
    NEXT_HOP_MAC,
    OTHER_LMA,
    PROXY_CARE_OF_ADDRESS,
    Gateway,
    stream,
    tagged,
)

pytestmark = pytest.mark.vpp

UNKNOWN_SOURCE = "mag-uplink-ip6/unknown_source"


@pytest.mark.requirement("FWD-13", "FWD-15", "T2473-01", "T2473-08")
def test_bound_source_goes_into_tunnel(any_gateway: Gateway) -> None:
    """FWD-13, FWD-15, T2473-01, T2473-08: outer Proxy-CoA to LMAA, inner hop limit less one."""
    alice = any_gateway.alice()
    any_gateway.bind(alice)
    frame = any_gateway.uplink(alice.address(), hlim=2)
    received = any_gateway.send_and_expect(any_gateway.access, stream(frame), any_gateway.core)
    for packet in received:
        outer = packet[IPv6]
        assert (packet.dst, packet.src) == (NEXT_HOP_MAC, any_gateway.core.mac)
        assert (outer.src, outer.dst, outer.nh, outer.hlim) == (PROXY_CARE_OF_ADDRESS, LMA, 41, 64)
        inner = outer.payload
        assert (inner.src, inner.dst, inner.hlim) == (alice.address(), CORRESPONDENT, 1)
        assert outer.plen == len(inner) == 40 + inner.plen
        assert bytes(inner.payload) == bytes(frame[IPv6].payload)


def test_every_node_goes_to_its_own_lma(any_gateway: Gateway) -> None:
    """FWD-13: two LMAs, the right tunnel per node, in one frame of packets."""
    alice, bob = any_gateway.alice(), any_gateway.bob(lma=OTHER_LMA)
    bob.sw_if_index = any_gateway.access.sw_if_index
    any_gateway.bind(alice, bob)
    frames = [any_gateway.uplink(alice.address()), any_gateway.uplink(bob.address(), mac=BOB_MAC)]
    received = any_gateway.send_and_expect(
        any_gateway.access, frames * 31 + frames[:1], any_gateway.core
    )
    assert [p[IPv6].dst for p in received].count(OTHER_LMA) == 31
    for packet in received:
        inner = packet[IPv6].payload
        assert (packet[IPv6].dst == LMA) == (inner.src == alice.address())


def test_packets_and_octets_are_counted_per_binding_and_lma(any_gateway: Gateway) -> None:
    """BUL-12: inner octets with the IPv6 header, of the node and of its LMA."""
    alice = any_gateway.alice()
    any_gateway.bind(alice)
    frame = any_gateway.uplink(alice.address())
    any_gateway.send_and_expect(any_gateway.access, stream(frame), any_gateway.core)
    octets = 63 * len(frame[IPv6])
    [details] = any_gateway.bindings()
    assert (details.up_packets, details.up_octets) == (63, octets)
    assert (details.down_packets, details.down_octets) == (0, 0)
    lmas = {str(lma.lma_address): lma for lma in any_gateway.vpp.api.mag_lma_dump()}
    assert (lmas[LMA].up_packets, lmas[LMA].up_octets) == (63, octets)
    assert lmas[OTHER_LMA].up_packets == 0
    with any_gateway.vpp.statistics() as statistics:
        per_thread = statistics["/mag/binding/up"]
    assert sum(thread[details.counter_index]["packets"] for thread in per_thread) == 63


def test_unbound_source_is_dropped_and_counted(any_gateway: Gateway) -> None:
    """FWD-09: no forwarding without a binding."""
    frame = any_gateway.uplink("2001:db8:1:99::5")
    any_gateway.send_and_expect_drop(any_gateway.access, stream(frame), UNKNOWN_SOURCE)


def test_deleted_binding_forwards_no_more(gateway: Gateway) -> None:
    """FWD-09: after expiry packets are dropped."""
    alice = gateway.alice()
    gateway.bind(alice)
    gateway.update({**alice.entries()[0], "operation": 1})
    frame = gateway.uplink(alice.address())
    gateway.send_and_expect_drop(gateway.access, stream(frame), UNKNOWN_SOURCE)


def test_source_from_another_mac_is_dropped(any_gateway: Gateway) -> None:
    """A prefix is its node's alone: a spoofed MAC is dropped with a counter of its own."""
    alice = any_gateway.alice()
    any_gateway.bind(alice)
    for octet in range(6):
        mac = bytearray.fromhex(ALICE_MAC.replace(":", ""))
        mac[octet] ^= 4
        frame = any_gateway.uplink(alice.address(), mac=mac.hex(":"))
        any_gateway.send_and_expect_drop(
            any_gateway.access, stream(frame, 5), "mag-uplink-ip6/wrong_link_layer_address"
        )


def test_source_on_another_access_link_is_dropped(gateway: Gateway) -> None:
    """A prefix that is bound on one link is spoofed on another."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address(), port=gateway.other_access)
    gateway.send_and_expect_drop(
        gateway.other_access, stream(frame), "mag-uplink-ip6/wrong_access_link"
    )
    frame = tagged(gateway.uplink(alice.address()))
    gateway.send_and_expect_drop(gateway.access, stream(frame), "mag-uplink-ip6/wrong_access_link")


def test_link_local_source_is_never_forwarded(gateway: Gateway) -> None:
    """FWD-14, also for the MAC of a bound node."""
    gateway.bind(gateway.alice())
    frame = gateway.uplink("fe80::5")
    gateway.send_and_expect_drop(gateway.access, stream(frame), "mag-uplink-ip6/link_local_source")


def test_vlan_access_link_forwards(gateway: Gateway) -> None:
    """The MAC is found before a VLAN tag too."""
    alice = gateway.alice(sw_if_index=gateway.vlan_sw_if_index)
    gateway.bind(alice)
    frame = tagged(gateway.uplink(alice.address()))
    received = gateway.send_and_expect(gateway.access, stream(frame), gateway.core)
    assert received[0][IPv6].payload.src == alice.address()
    spoofed = tagged(gateway.uplink(alice.address(), mac=BOB_MAC))
    gateway.send_and_expect_drop(
        gateway.access, stream(spoofed), "mag-uplink-ip6/wrong_link_layer_address"
    )


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("2001:db8:5600::/56", "2001:db8:5600:ff::1", "2001:db8:5600:100::1"),
        ("2001:db8:4800::/48", "2001:db8:4800:ffff::1", "2001:db8:4801::1"),
        ("2001:db8:80:1:aaaa::/80", "2001:db8:80:1:aaaa::1", "2001:db8:80:1:aaab::1"),
        ("2001:db8:128::7/128", "2001:db8:128::7", "2001:db8:128::6"),
        ("2001:db8:64:1::/64", "2001:db8:64:1:ffff::1", "2001:db8:64:2::1"),
    ],
)
def test_prefix_of_any_length_binds_its_addresses_only(
    gateway: Gateway, prefix: str, inside: str, outside: str
) -> None:
    """Home network prefixes of all lengths (RFC 5213 §8.3)."""
    gateway.bind(gateway.alice(prefixes=[prefix]))
    gateway.send_and_expect(gateway.access, stream(gateway.uplink(inside)), gateway.core)
    gateway.send_and_expect_drop(gateway.access, stream(gateway.uplink(outside)), UNKNOWN_SOURCE)


def test_longest_prefix_decides(gateway: Gateway) -> None:
    """A node's /64 inside another's /48, and a third one's /128 inside that."""
    nodes = {48: "02:00:00:00:00:48", 64: "02:00:00:00:00:64", 128: "02:00:00:00:01:28"}
    prefixes = {48: "2001:db8:77::/48", 64: "2001:db8:77:5::/64", 128: "2001:db8:77:5::5/128"}
    for length, mac in nodes.items():
        binding = gateway.alice(prefixes=[prefixes[length]], mac=mac)
        binding.binding_id = length
        gateway.bind(binding)
    for length, source in {
        48: "2001:db8:77:6::5",
        64: "2001:db8:77:5::6",
        128: "2001:db8:77:5::5",
    }.items():
        frame = gateway.uplink(source, mac=nodes[length])
        gateway.send_and_expect(gateway.access, [frame], gateway.core)
        counted = {d.binding_id: d.up_packets for d in gateway.bindings()}
        assert counted[length] == 1


def test_several_prefixes_share_a_binding(gateway: Gateway) -> None:
    """BUL-06: one binding, several prefixes, one counter; replacing takes the set as a whole."""
    prefixes = ["2001:db8:1:11::/64", "2001:db8:1:12::/64", "2001:db8:1:1300::/56"]
    alice = gateway.alice(prefixes=prefixes)
    gateway.bind(alice)
    frames = [gateway.uplink(alice.address(prefix=n)) for n in range(3)]
    gateway.send_and_expect(gateway.access, frames * 21, gateway.core)
    [details] = gateway.bindings()
    assert details.up_packets == 63
    assert sorted(str(p) for p in details.prefixes) == sorted(prefixes)
    gateway.bind(gateway.alice(prefixes=prefixes[1:2]))
    gateway.send_and_expect(gateway.access, frames[1:2], gateway.core)
    gateway.send_and_expect_drop(gateway.access, [frames[0], frames[2]], UNKNOWN_SOURCE)


def test_replaced_binding_keeps_its_counters(gateway: Gateway) -> None:
    """A handover between two links of one gateway: same binding, counters go on."""
    gateway.bind(gateway.alice())
    frame = gateway.uplink(gateway.alice().address())
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)
    gateway.bind(gateway.alice(sw_if_index=gateway.other_access.sw_if_index, lma=OTHER_LMA))
    gateway.send_and_expect_drop(gateway.access, [frame], "mag-uplink-ip6/wrong_access_link")
    moved = gateway.uplink(gateway.alice().address(), port=gateway.other_access)
    [packet] = gateway.send_and_expect(gateway.other_access, [moved], gateway.core)
    assert packet[IPv6].dst == OTHER_LMA
    [details] = gateway.bindings()
    assert details.up_packets == 64


def test_new_binding_starts_counting_at_zero(gateway: Gateway) -> None:
    """The counters of a binding that is gone are not inherited by the next."""
    gateway.bind(gateway.alice())
    frame = gateway.uplink(gateway.alice().address())
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)
    gateway.update({**gateway.alice().entries()[0], "operation": 1})
    bindings = []
    for number in range(20):
        bob = gateway.bob(prefixes=[f"2001:db8:3:{number:x}::/64"])
        bob.binding_id = 100 + number
        bindings.append(bob)
    gateway.bind(*bindings)
    assert {d.up_packets for d in gateway.bindings()} == {0}


def test_echo_request_to_gateway_link_local_is_answered(gateway: Gateway) -> None:
    """FWD: packets to the gateway itself reach it, from link-local sources as well."""
    gateway.bind(gateway.alice())
    gateway_link_local = gateway.link_local()
    frames = [
        gateway.uplink("fe80::ff:fe00:11", gateway_link_local, payload=ICMPv6EchoRequest(seq=n))
        for n in range(3)
    ]
    gateway.vpp.api.ip_neighbor_add_del(
        is_add=True,
        neighbor={
            "sw_if_index": gateway.access.sw_if_index,
            "mac_address": ALICE_MAC,
            "ip_address": "fe80::ff:fe00:11",
            "flags": 1,
        },
    )
    received = gateway.send_and_expect(gateway.access, frames, gateway.access)
    assert all(ICMPv6EchoReply in p for p in received)


@pytest.mark.parametrize("target", [GATEWAY_ADDRESS, "2001:db8:1:11::"])
def test_echo_request_to_gateway_addresses_is_answered(gateway: Gateway, target: str) -> None:
    """LLA-01: the Subnet-Router anycast address of a prefix, and the loopback, are the gateway."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address(), target, payload=ICMPv6EchoRequest(data=b"ping"))
    received = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    [reply] = received
    assert (reply[Ether].dst, reply[IPv6].dst) == (ALICE_MAC, alice.address())
    assert reply[IPv6].src == target
    assert reply[ICMPv6EchoReply].data == b"ping"


def test_address_beside_gateway_address_is_tunnelled(gateway: Gateway) -> None:
    """Equal upper halves do not make an address the gateway's."""
    alice = gateway.alice()
    gateway.bind(alice)
    beside = GATEWAY_ADDRESS.replace("::1", "::2")
    frame = gateway.uplink(alice.address(), beside)
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)
    frame = gateway.uplink(alice.address(), alice.address(host=6))
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)


@pytest.mark.requirement("FWD-11", "LR-02")
def test_local_destination_goes_through_tunnel_by_default(any_gateway: Gateway) -> None:
    """FWD-11, LR-02: without local routing both directions are seen at the LMA."""
    alice, bob = any_gateway.alice(), any_gateway.bob()
    any_gateway.bind(alice, bob)
    frame = any_gateway.uplink(alice.address(), bob.address())
    any_gateway.send_and_expect(any_gateway.access, stream(frame), any_gateway.core)


@pytest.mark.requirement("LR-01", "FWD-12")
def test_local_routing_delivers_straight(any_gateway: Gateway) -> None:
    """LR-01, FWD-12: both nodes allow it; hop limit less one, counted for both."""
    alice, bob = any_gateway.alice(local_routing=True), any_gateway.bob(local_routing=True)
    any_gateway.bind(alice, bob)
    frame = any_gateway.uplink(alice.address(), bob.address(), hlim=9)
    received = any_gateway.send_and_expect(
        any_gateway.access, stream(frame), any_gateway.other_access
    )
    for packet in received:
        assert (packet.dst, packet.src) == (BOB_MAC, any_gateway.other_access.mac)
        assert packet[IPv6].hlim == 8
    counted = {d.binding_id: d for d in any_gateway.bindings()}
    assert counted[alice.binding_id].up_packets == counted[bob.binding_id].down_packets == 63


@pytest.mark.requirement("LR-03", "LR-05")
def test_local_routing_needs_both_nodes(gateway: Gateway) -> None:
    """LR-03, LR-05: one node without the flag keeps its traffic at its LMA."""
    alice, bob = gateway.alice(local_routing=True), gateway.bob()
    gateway.bind(alice, bob)
    frame = gateway.uplink(alice.address(), bob.address())
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)


@pytest.mark.requirement("FWD-06", "FWD-07", "FWD-08")
@pytest.mark.parametrize("local_routing", [False, True])
def test_regular_node_reaches_local_node_by_its_lma_or_straight(
    gateway: Gateway, local_routing: bool
) -> None:
    """FWD-06 to FWD-08: without local routing natively towards the LMA that anchors the prefix."""
    bob = gateway.bob(local_routing=local_routing)
    gateway.bind(bob)
    gateway.vpp.api.mag_access_interface_enable_disable(
        sw_if_index=gateway.access.sw_if_index, enable=True, regular_table_id=0
    )
    gateway.route("2001:db8:1::/48")
    try:
        frame = gateway.uplink("2001:db8:9::5", bob.address(), hlim=7)
        out = gateway.other_access if local_routing else gateway.core
        for packet in gateway.send_and_expect(gateway.access, stream(frame), out):
            assert (packet[IPv6].nh, packet[IPv6].hlim) == (17, 6)
            assert packet.dst == (BOB_MAC if local_routing else NEXT_HOP_MAC)
    finally:
        gateway.route("2001:db8:1::/48", is_add=False)


@pytest.mark.requirement("FWD-13")
def test_local_routing_leaves_other_destinations_to_the_tunnel(any_gateway: Gateway) -> None:
    """FWD-13: also destinations in nobody's prefix and in that of a node without the permission."""
    alice, bob = any_gateway.alice(local_routing=True), any_gateway.bob()
    any_gateway.bind(alice, bob)
    frames = [any_gateway.uplink(alice.address(), to) for to in (CORRESPONDENT, bob.address())]
    received = any_gateway.send_and_expect(any_gateway.access, frames * 31, any_gateway.core)
    assert {p[IPv6].dst for p in received} == {LMA}


def test_regular_node_is_routed_where_link_offers_it(gateway: Gateway) -> None:
    """NODE-04: a source without a binding goes by the link's regular table, untunnelled."""
    gateway.bind(gateway.alice())
    gateway.vpp.api.mag_access_interface_enable_disable(
        sw_if_index=gateway.access.sw_if_index, enable=True, regular_table_id=0
    )
    frame = gateway.uplink("2001:db8:9::5", hlim=7)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.core)
    assert (packet[IPv6].src, packet[IPv6].nh, packet[IPv6].hlim) == ("2001:db8:9::5", 17, 6)
    spoofed = gateway.uplink(gateway.alice().address(), mac=BOB_MAC)
    gateway.send_and_expect_drop(
        gateway.access, [spoofed], "mag-uplink-ip6/wrong_link_layer_address"
    )
