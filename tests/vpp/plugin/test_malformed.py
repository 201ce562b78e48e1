"""Packets that lie: every one is dropped and counted, or left to VPP, and none crashes it."""

import os
import random
import struct

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6, IPv6ExtHdrDestOpt, PadN
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from vpp.plugin.gateway import (
    ALICE_MAC,
    LMA,
    NEXT_HOP_MAC,
    PROXY_CARE_OF_ADDRESS,
    Gateway,
    stream,
)

pytestmark = pytest.mark.vpp

BAD_LENGTH_UP = "mag-uplink-ip6/bad_length"
BAD_LENGTH_DOWN = "mag-downlink-ip6/bad_length"
PLEN_OFFSET = 4
MUTATED_FRAMES = int(os.environ.get("MAG_MUTATED_FRAMES", "20000"))
FRAMES_AT_ONCE = 10_000


def with_payload_length(packet: IPv6, octets: int) -> bytes:
    """The packet with another payload length in its header."""
    raw = bytearray(bytes(packet))
    struct.pack_into("!H", raw, PLEN_OFFSET, octets)
    return bytes(raw)


def from_core(gateway: Gateway, packet: bytes) -> Packet:
    """A frame on the core link."""
    return Ether(src=NEXT_HOP_MAC, dst=gateway.core.mac, type=0x86DD) / Raw(packet)


def test_uplink_payload_length_beyond_frame_is_dropped(gateway: Gateway) -> None:
    """A packet that claims more octets than came."""
    gateway.bind(gateway.alice())
    frame = gateway.uplink(gateway.alice().address())
    packet = with_payload_length(frame[IPv6], 900)
    lying = Ether(src=frame.src, dst=frame.dst, type=0x86DD) / Raw(packet)
    gateway.send_and_expect_drop(gateway.access, stream(lying), BAD_LENGTH_UP)


def test_uplink_trailer_is_trimmed(gateway: Gateway) -> None:
    """What follows the packet in its frame does not go into the tunnel."""
    gateway.bind(gateway.alice())
    frame = gateway.uplink(gateway.alice().address())
    padded = Ether(bytes(frame) + b"trailer")
    for packet in gateway.send_and_expect(gateway.access, stream(padded), gateway.core):
        assert packet[IPv6].plen == len(frame[IPv6])
        assert bytes(packet)[14:].endswith(b"u" * 40)


def test_downlink_inner_length_beyond_outer_is_dropped(gateway: Gateway) -> None:
    """VPP's own decapsulation sends such a packet on."""
    gateway.bind(gateway.alice())
    inner = with_payload_length(gateway.to_node(gateway.alice().address()), 900)
    frame = gateway.tunnelled(Raw(inner), nh=41)
    gateway.send_and_expect_drop(gateway.core, stream(frame), BAD_LENGTH_DOWN)


def test_downlink_outer_length_beyond_frame_is_dropped(gateway: Gateway) -> None:
    """The outer header claims more than came, the inner one does not."""
    gateway.bind(gateway.alice())
    outer = gateway.tunnelled(gateway.to_node(gateway.alice().address()))[IPv6]
    frame = from_core(gateway, with_payload_length(outer, len(outer) - 40 + 8))
    gateway.send_and_expect_drop(gateway.core, stream(frame), BAD_LENGTH_DOWN)


def test_downlink_outer_length_within_inner_is_dropped(gateway: Gateway) -> None:
    """The outer header ends before the inner packet does."""
    gateway.bind(gateway.alice())
    outer = gateway.tunnelled(gateway.to_node(gateway.alice().address()))[IPv6]
    for octets in (0, 8, 39, 40, len(outer) - 41):
        frame = from_core(gateway, with_payload_length(outer, octets))
        gateway.send_and_expect_drop(gateway.core, stream(frame, 5), BAD_LENGTH_DOWN)


def test_downlink_trailers_are_trimmed(gateway: Gateway) -> None:
    """Octets after the inner packet, inside the outer one or behind it, do not reach the node."""
    gateway.bind(gateway.alice())
    inner = gateway.to_node(gateway.alice().address())
    inside = gateway.tunnelled(Raw(bytes(inner) + b"inside"), nh=41)
    behind = Ether(bytes(gateway.tunnelled(inner)) + b"behind")
    for frame in (inside, behind):
        for packet in gateway.send_and_expect(gateway.core, stream(frame), gateway.access):
            assert bytes(packet)[14:].endswith(b"d" * 40)


@pytest.mark.parametrize("version", [0, 4, 5, 7, 15])
def test_inner_packet_of_other_version_is_dropped(gateway: Gateway, version: int) -> None:
    """Next header 41 promises IPv6."""
    gateway.bind(gateway.alice())
    inner = bytearray(bytes(gateway.to_node(gateway.alice().address())))
    inner[0] = version << 4
    frame = gateway.tunnelled(Raw(bytes(inner)), nh=41)
    gateway.send_and_expect_drop(gateway.core, stream(frame), "mag-downlink-ip6/bad_inner_header")


def test_truncated_tunnel_packets_are_dropped(gateway: Gateway) -> None:
    """Cut anywhere: behind the outer header, in the option, in the inner header, in its payload."""
    gateway.bind(gateway.alice())
    inner = gateway.to_node(gateway.alice().address())
    option = IPv6ExtHdrDestOpt(nh=41, options=[PadN(optdata=bytes(4))])
    for nh, payload in ((41, bytes(inner)), (60, bytes(option / inner))):
        outer = IPv6(src=LMA, dst=PROXY_CARE_OF_ADDRESS, nh=nh, plen=len(payload))
        whole = bytes(outer) + payload
        frames = [from_core(gateway, whole[:length]) for length in range(40, len(whole))]
        gateway.vpp.forget_counters()
        gateway.send_and_expect_nothing(gateway.core, frames)
        assert sum(gateway.vpp.error_counters().values()) == len(frames)


def test_lying_option_lengths_are_dropped(gateway: Gateway) -> None:
    """Headers longer than the packet, options longer than their header."""
    gateway.bind(gateway.alice())
    inner = bytes(gateway.to_node(gateway.alice().address()))
    for header in (
        bytes([41, 255]) + bytes(6),
        bytes([41, 14]) + bytes(6),
        bytes([41, 0, 4, 200, 4, 1, 1, 0]),
        bytes([41, 0, 1, 5, 0, 0, 0, 0]),
        bytes([41, 0, 0, 0, 0, 0, 0, 1]),
        bytes([60, 0, 1, 4, 0, 0, 0, 0]),
    ):
        frame = gateway.tunnelled(Raw(header + inner), nh=60)
        gateway.vpp.forget_counters()
        gateway.send_and_expect_nothing(gateway.core, stream(frame, 5))
        assert sum(gateway.vpp.error_counters().values()) == 5, header


def test_lying_option_lengths_uplink_do_no_harm(gateway: Gateway) -> None:
    """The search for an inner limit stays within the packet."""
    gateway.bind(gateway.alice())
    for header in (bytes([59, 255, 4, 1, 0]) + bytes(3), bytes([60, 0, 4, 200, 0, 0, 0, 4])):
        frame = gateway.uplink(gateway.alice().address(), nh=60, payload=Raw(header))
        received = gateway.send_and_expect(gateway.access, stream(frame), gateway.core)
        assert received[0][IPv6].nh == 41


def mutated(chance: random.Random, good: list[bytes]) -> bytes:
    """One of the frames with up to three octets changed, or cut."""
    frame = bytearray(chance.choice(good))
    for _ in range(chance.randrange(4)):
        frame[chance.randrange(12, len(frame))] = chance.randrange(256)
    if chance.random() < 0.3:
        frame = frame[: chance.randrange(54, len(frame))]
    return bytes(frame)


@pytest.mark.timeout(120 + MUTATED_FRAMES // 1000)
def test_mutated_frames_never_crash(gateway: Gateway) -> None:
    """Any packet: a few octets of good frames changed or cut, both directions; no buffer is lost.

    MAG_MUTATED_FRAMES says how many frames, 20,000 if left out.
    """
    chance = random.Random(5213)
    buffers = gateway.vpp.buffers_in_use()
    alice, bob = gateway.alice(local_routing=True), gateway.bob(local_routing=True)
    gateway.bind(alice, bob)
    option = IPv6ExtHdrDestOpt(nh=41, options=[PadN(optdata=bytes(4))])
    inner = gateway.to_node(alice.address())
    up = [
        bytes(gateway.uplink(alice.address())),
        bytes(gateway.uplink(alice.address(), bob.address())),
        bytes(gateway.uplink(alice.address(), payload=IPv6ExtHdrDestOpt() / Raw(bytes(24)))),
        bytes(
            Ether(src=ALICE_MAC, dst="33:33:ff:00:00:31")
            / IPv6(src="::", dst="ff02::1:ff00:31", hlim=255)
            / ICMPv6ND_NS(tgt="fe80::31")
        ),
    ]
    down = [
        bytes(gateway.tunnelled(inner)),
        bytes(gateway.tunnelled(option / inner, nh=60)),
    ]
    ports = ((gateway.access, up), (gateway.core, down))
    before = sum(gateway.vpp.received_packets(port.sw_if_index) for port, _ in ports)
    for _ in range(0, MUTATED_FRAMES, 2 * FRAMES_AT_ONCE):
        for port, good in ports:
            gateway.send_whatever(port, [mutated(chance, good) for _ in range(FRAMES_AT_ONCE)])
    received = sum(gateway.vpp.received_packets(port.sw_if_index) for port, _ in ports) - before
    assert received >= MUTATED_FRAMES
    gateway.vpp.wait_until(lambda: gateway.vpp.buffers_in_use() <= buffers, timeout=30)
    survivor = gateway.uplink(alice.address())
    gateway.send_and_expect(gateway.access, stream(survivor), gateway.core)
