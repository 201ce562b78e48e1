"""The outer header: RFC 2473 §4 to §7, RFC 3168 §9.1."""

import pytest
from scapy.layers.inet6 import (
    UDP,
    HBHOptUnknown,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    defragment6,
)
from scapy.packet import Packet, Raw

from vpp.plugin.gateway import ALICE_MAC, GATEWAY_ADDRESS, Gateway, stream

pytestmark = pytest.mark.vpp

NOT_ECT, ECT_1, ECT_0, CE = range(4)


def limit_option(limit: int) -> HBHOptUnknown:
    """A Tunnel Encapsulation Limit option (RFC 2473 §4.1.1)."""
    return HBHOptUnknown(otype=4, optlen=1, optdata=bytes([limit]))


def limit_of(outer: IPv6) -> int:
    """The limit of an outer header's option; the header must have the usual form."""
    header = bytes(outer.payload)[:8]
    assert outer.nh == 60
    assert (header[0], header[1], header[2:4], header[5:8]) == (41, 0, b"\4\1", b"\1\1\0")
    return header[4]


def one_through(gateway: Gateway, **fields: object) -> IPv6:
    """The outer header of one packet of Alice's."""
    frame = gateway.uplink(gateway.alice().address(), **fields)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.core)
    return packet[IPv6]


@pytest.mark.requirement("TUN-14", "TUN-15")
@pytest.mark.parametrize(
    ("inner", "outer"), [(NOT_ECT, NOT_ECT), (ECT_1, ECT_1), (ECT_0, ECT_0), (CE, ECT_0)]
)
def test_outer_ecn_follows_full_functionality(gateway: Gateway, inner: int, outer: int) -> None:
    """TUN-14, TUN-15: ECT is copied, CE goes out as ECT(0), the inner field stays."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address(), tc=inner)
    for packet in gateway.send_and_expect(gateway.access, stream(frame), gateway.core):
        assert packet[IPv6].tc == outer
        assert packet[IPv6].payload.tc == inner


@pytest.mark.requirement("T2473-09")
@pytest.mark.parametrize(
    ("settings", "traffic_class"),
    [
        ({"dscp_mode": 0, "dscp": 0}, 0),
        ({"dscp_mode": 0, "dscp": 46}, 46 << 2),
        ({"dscp_mode": 1, "dscp": 46}, 10 << 2),
    ],
)
def test_outer_dscp_is_configured_or_copied(
    gateway: Gateway, settings: dict[str, int], traffic_class: int
) -> None:
    """T2473-09: both modes; ECN is left to RFC 3168."""
    gateway.set_lma(**settings)
    gateway.bind(gateway.alice())
    assert one_through(gateway, tc=10 << 2 | ECT_0).tc == traffic_class | ECT_0


@pytest.mark.requirement("T2473-10")
def test_outer_flow_label_is_configured_or_copied(gateway: Gateway) -> None:
    """T2473-10: 0 by default."""
    gateway.bind(gateway.alice())
    assert one_through(gateway, fl=0x12345).fl == 0
    gateway.set_lma(flow_label_mode=0, flow_label=0xABCDE)
    assert one_through(gateway, fl=0x12345).fl == 0xABCDE
    gateway.set_lma(flow_label_mode=1)
    assert one_through(gateway, fl=0x12345).fl == 0x12345


def test_outer_flow_label_as_entropy_tells_flows_apart(gateway: Gateway) -> None:
    """T2473-10: never 0, the same for the same addresses, different for most others."""
    alice = gateway.alice()
    gateway.bind(alice)
    gateway.set_lma(flow_label_mode=2)
    frames = [gateway.uplink(alice.address(), f"2001:db8:dead::{n:x}") for n in range(1, 32)] * 2
    received = gateway.send_and_expect(gateway.access, frames, gateway.core)
    labels = [packet[IPv6].fl for packet in received]
    assert labels[:31] == labels[31:]
    assert 0 not in labels
    assert len(set(labels)) > 28


@pytest.mark.requirement("T2473-08")
def test_outer_hop_limit_is_configured(gateway: Gateway) -> None:
    """T2473-08: whatever the inner one is."""
    gateway.set_lma(hop_limit=5)
    gateway.bind(gateway.alice())
    assert one_through(gateway, hlim=2).hlim == 5
    assert one_through(gateway, hlim=255).hlim == 5


def test_hop_limit_exceeded_is_answered(gateway: Gateway) -> None:
    """T2473-01: a packet that may go no further is answered, from the loopback's address."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address(), hlim=1)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet.dst == ALICE_MAC
    assert (packet[IPv6].src, packet[IPv6].dst) == (GATEWAY_ADDRESS, alice.address())
    assert packet[ICMPv6TimeExceeded].code == 0
    assert gateway.vpp.error_counters()["mag-uplink-ip6/hop_limit_exceeded"] == 1


def test_configured_limit_goes_out_with_every_packet(gateway: Gateway) -> None:
    """T2473-05: costs 8 octets."""
    gateway.set_lma(add_encapsulation_limit=True, encapsulation_limit=4, tunnel_mtu=1452)
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address())
    for packet in gateway.send_and_expect(gateway.access, stream(frame), gateway.core):
        assert limit_of(packet[IPv6]) == 4
        assert packet[IPv6].plen == 8 + len(frame[IPv6])
        inner = IPv6(bytes(packet[IPv6].payload)[8:])
        assert (inner.src, inner.plen) == (alice.address(), frame[IPv6].plen or len(frame[UDP]))


@pytest.mark.requirement("T2473-04")
@pytest.mark.parametrize("configured", [False, True])
def test_inner_limit_is_decremented(gateway: Gateway, configured: bool) -> None:
    """T2473-04: an inner limit n gives an outer n - 1, whatever is configured."""
    gateway.set_lma(add_encapsulation_limit=configured, encapsulation_limit=200, tunnel_mtu=1452)
    gateway.bind(gateway.alice())
    for header in (
        IPv6ExtHdrDestOpt(options=[limit_option(9), PadN(optdata=b"\0")]),
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0"), limit_option(9)]),
        IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
        / IPv6ExtHdrDestOpt(options=[limit_option(9)]),
    ):
        assert limit_of(one_through(gateway, payload=header / UDP() / Raw(b"x" * 20))) == 8


@pytest.mark.requirement("T2473-03")
def test_inner_limit_zero_is_answered(gateway: Gateway) -> None:
    """T2473-03: Parameter Problem code 0, pointer at the limit octet."""
    alice = gateway.alice()
    gateway.bind(alice)
    payload = IPv6ExtHdrDestOpt(options=[limit_option(0), PadN(optdata=b"\0")]) / UDP()
    frame = gateway.uplink(alice.address(), payload=payload)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    problem = packet[ICMPv6ParamProblem]
    assert (problem.code, problem.ptr) == (0, 40 + 4)
    assert gateway.vpp.error_counters()["mag-uplink-ip6/encapsulation_limit_reached"] == 1


def test_options_without_limit_are_tunnelled_as_they_are(gateway: Gateway) -> None:
    """T2473-06: no inner option, none configured: none added."""
    gateway.bind(gateway.alice())
    for payload in (
        IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / UDP(),
        IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / UDP(),
        IPv6ExtHdrFragment(offset=0, m=1, id=7) / Raw(bytes(64)),
    ):
        assert one_through(gateway, payload=payload).nh == 41


@pytest.mark.requirement("T2473-12")
def test_largest_packet_fits_and_next_is_answered(gateway: Gateway) -> None:
    """T2473-12, MTU-13: 1460 of 1500 pass; one more gives Packet Too Big 1460."""
    alice = gateway.alice()
    gateway.bind(alice)
    fits = gateway.uplink(alice.address(), payload=Raw(bytes(1460 - 40)))
    [packet] = gateway.send_and_expect(gateway.access, [fits], gateway.core)
    assert len(packet[IPv6]) == 1500
    larger = gateway.uplink(alice.address(), payload=Raw(bytes(1461 - 40)))
    [packet] = gateway.send_and_expect(gateway.access, [larger], gateway.access)
    assert (packet[IPv6].src, packet.dst) == (GATEWAY_ADDRESS, ALICE_MAC)
    assert packet[ICMPv6PacketTooBig].mtu == 1460
    assert gateway.vpp.error_counters()["mag-uplink-ip6/packet_too_big"] == 1


def test_packet_too_big_counts_octets_of_limit_option(gateway: Gateway) -> None:
    """RFC 2473 §6.7: an inner limit makes the outer headers 8 octets longer."""
    alice = gateway.alice()
    gateway.bind(alice)
    header = IPv6ExtHdrDestOpt(options=[limit_option(3), PadN(optdata=b"\0")])
    frame = gateway.uplink(alice.address(), payload=header / Raw(bytes(1460 - 48)))
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet[ICMPv6PacketTooBig].mtu == 1452


@pytest.mark.requirement("T2473-12")
def test_packet_too_big_is_never_below_minimum_mtu(gateway: Gateway) -> None:
    """INT-13: tunnel MTU 1240, Packet Too Big 1280."""
    gateway.set_lma(tunnel_mtu=1240)
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address(), payload=Raw(bytes(1281 - 40)))
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet[ICMPv6PacketTooBig].mtu == 1280


@pytest.mark.requirement("T2473-13", "T2473-15")
@pytest.mark.parametrize("limit", [False, True])
def test_minimum_mtu_packet_goes_out_in_fragments(gateway: Gateway, limit: bool) -> None:
    """T2473-13, T2473-15: 1280 octets over a path of 1280 go out as two outer fragments."""
    overhead = 48 if limit else 40
    gateway.set_lma(tunnel_mtu=1288 - overhead, add_encapsulation_limit=limit, hop_limit=33)
    alice = gateway.alice()
    gateway.bind(alice)
    frame = gateway.uplink(alice.address(), payload=Raw(bytes(range(256)) * 4 + bytes(216)))
    received = gateway.send_and_expect(gateway.access, [frame] * 3, gateway.core, count=6)
    assert all(len(packet[IPv6]) <= 1288 for packet in received)
    for number in range(3):
        pair = received[2 * number : 2 * number + 2]
        assert {packet[IPv6].hlim for packet in pair} == {33}
        [whole] = defragment6([packet[IPv6] for packet in pair])
        inner = bytes(whole)[overhead:]
        expected = bytearray(bytes(frame[IPv6]))
        expected[7] -= 1
        assert inner == bytes(expected)
    assert gateway.vpp.error_counters()["mag-uplink-ip6/fragmented"] == 3


def test_mtu_change_takes_effect_under_bindings(gateway: Gateway) -> None:
    """MTU-16: an LMA is changed in place."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame: Packet = gateway.uplink(alice.address(), payload=Raw(bytes(1400 - 40)))
    gateway.send_and_expect(gateway.access, [frame], gateway.core)
    gateway.set_lma(tunnel_mtu=1360)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet[ICMPv6PacketTooBig].mtu == 1360
