"""The generator's frames, judged by scapy."""

import struct

import pytest
from perf.dataplane.frames import (
    HOME_NETWORK,
    LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    UPLINK_OCTETS,
    MobileNodes,
    limited_tunnel_frame,
    plain_downlink_frame,
    tunnel_frame,
    uplink_frame,
    write_capture,
)
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether

GATEWAY = bytes.fromhex("020000005213")
NODE = 70_000


@pytest.fixture
def nodes():
    return MobileNodes(100_000, correspondents=100)


@pytest.fixture
def few_nodes():
    return MobileNodes(3000, correspondents=100)


def test_uplink_frame_comes_from_the_node_in_its_prefix(nodes):
    frame = Ether(uplink_frame(nodes, NODE, GATEWAY))
    assert frame.dst == "02:00:00:00:52:13"
    assert bytes.fromhex(frame.src.replace(":", "")) == nodes.mac(NODE)
    assert frame[IPv6].src == str(nodes.prefix(NODE)[1])
    assert len(frame) == UPLINK_OCTETS


def test_tunnel_frame_carries_a_packet_to_the_node(nodes):
    """RFC 2473 §3."""
    outer = Ether(tunnel_frame(nodes, NODE, GATEWAY))[IPv6]
    assert (outer.src, outer.dst) == (str(LMA_ADDRESS), str(PROXY_CARE_OF_ADDRESS))
    inner = outer.payload
    assert inner.dst == str(nodes.prefix(NODE)[1])
    assert outer.plen == len(inner) == inner.plen + 40


def test_limited_tunnel_frame_has_the_encapsulation_limit_option(nodes):
    """RFC 2473 §4.1.1."""
    outer = Ether(limited_tunnel_frame(nodes, NODE, GATEWAY))[IPv6]
    header = outer[IPv6ExtHdrDestOpt]
    assert (outer.nh, header.nh) == (60, 41)
    assert [option.otype for option in header.options] == [4, 1]
    assert IPv6(bytes(header.payload)).dst == str(nodes.prefix(NODE)[1])


def test_plain_frame_is_the_tunnelled_packet_without_tunnel(nodes):
    plain = Ether(plain_downlink_frame(nodes, NODE, GATEWAY))[IPv6]
    assert bytes(plain) == bytes(Ether(tunnel_frame(nodes, NODE, GATEWAY))[IPv6].payload)


def test_every_node_has_prefix_and_mac_of_its_own(few_nodes):
    everyone = range(few_nodes.count)
    assert len({few_nodes.prefix(node) for node in everyone}) == few_nodes.count
    assert len({few_nodes.mac(node) for node in everyone}) == few_nodes.count
    assert few_nodes.prefix(few_nodes.count - 1).subnet_of(HOME_NETWORK)


def test_correspondents_are_as_many_as_asked_for(few_nodes):
    assert len({few_nodes.correspondent(node) for node in range(few_nodes.count)}) == 100


def test_order_is_shuffled_and_the_same_each_time(few_nodes):
    order = few_nodes.shuffled()
    assert order != sorted(order)
    assert sorted(order) == list(range(few_nodes.count))
    assert order == few_nodes.shuffled()


def test_capture_holds_every_frame(tmp_path):
    path = tmp_path / "frames.pcap"
    write_capture(path, iter([b"abc", b"defgh"]))
    octets = path.read_bytes()
    assert struct.unpack_from("<IIII", octets, 24) == (0, 0, 3, 3)
    assert octets[40:43] == b"abc"
    assert octets[59:] == b"defgh"
