"""What the packet generator sends: one frame for each mobile node, in a shuffled order.

An order by address would find every table entry in the cache line of the one before.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Final

HOME_NETWORK: Final = IPv6Network("2001:db8::/32")
"""Home network prefix i is its i-th /64; the infrastructure is at its far end."""
LMA_ADDRESS: Final = IPv6Address("2001:db8:ffff:a::1")
PROXY_CARE_OF_ADDRESS: Final = IPv6Address("2001:db8:ffff:b::1")
CORE_NEXT_HOP: Final = IPv6Address("2001:db8:ffff:b::2")
CORE_NEXT_HOP_MAC: Final = bytes.fromhex("02ff00000002")
CORRESPONDENTS: Final = IPv6Network("2001:db8:ffff:c::/64")
UPLINK_OCTETS: Final = 128
"""Ethernet header included, checksum not; 40 more when it is tunnelled."""

_SEED: Final = 5213
_ETHERNET_OCTETS: Final = 14
_IPV6_OCTETS: Final = 40
_PAYLOAD: Final = bytes(UPLINK_OCTETS - _ETHERNET_OCTETS - _IPV6_OCTETS)
_ETHERTYPE_IPV6: Final = b"\x86\xdd"
_IPV6_IN_IPV6: Final = 41
_DESTINATION_OPTIONS: Final = 60
_NO_NEXT_HEADER: Final = 59
_ENCAPSULATION_LIMIT: Final = bytes([_IPV6_IN_IPV6, 0, 4, 1, 4, 1, 1, 0])
"""RFC 2473 §4.1.1, as Linux sends it unless told otherwise."""
_HIGH: Final = int(HOME_NETWORK.network_address) >> 64
_CORRESPONDENTS_HIGH: Final = int(CORRESPONDENTS.network_address) >> 64
_PCAP_HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)


@dataclass(frozen=True, slots=True)
class MobileNodes:
    """So many nodes, each with one /64 and a MAC of its own."""

    count: int
    correspondents: int = 1
    """Addresses beyond the tunnel that the nodes exchange packets with, evenly spread.

    Our path looks up none of them; a route lookup has its misses in the caches when it is one.
    """

    def prefix(self, node: int) -> IPv6Network:
        """Home network prefix of a node, counted from 0."""
        return IPv6Network(((_HIGH + node) << 64, 64))

    def address(self, node: int) -> bytes:
        """The address that a node uses."""
        return struct.pack("!QQ", _HIGH + node, 1)

    def mac(self, node: int) -> bytes:
        """Link-layer address of a node."""
        return b"\x02\x00" + node.to_bytes(4, "big")

    def link_local(self, node: int) -> IPv6Address:
        """Link-local address of a node, consecutive as VPP's `ip neighbor ... count` makes them."""
        return IPv6Address((0xFE80 << 112) + (1 << 32) + node)

    def correspondent(self, node: int) -> bytes:
        """Address that a node exchanges packets with."""
        return struct.pack("!QQ", _CORRESPONDENTS_HIGH, 1 + node % self.correspondents)

    def shuffled(self) -> list[int]:
        """All nodes in an order that is the same in every run."""
        order = list(range(self.count))
        random.Random(_SEED).shuffle(order)  # noqa: S311
        return order


def uplink_frame(nodes: MobileNodes, node: int, gateway_mac: bytes) -> bytes:
    """From a node to a correspondent far away, as it comes in on the access link."""
    source, destination = nodes.address(node), nodes.correspondent(node)
    header = _ipv6_header(len(_PAYLOAD), _NO_NEXT_HEADER, source, destination)
    return gateway_mac + nodes.mac(node) + _ETHERTYPE_IPV6 + header + _PAYLOAD


def plain_downlink_frame(nodes: MobileNodes, node: int, gateway_mac: bytes) -> bytes:
    """To a node, in no tunnel: what a plain router forwards."""
    return gateway_mac + CORE_NEXT_HOP_MAC + _ETHERTYPE_IPV6 + _downlink_packet(nodes, node)


def tunnel_frame(nodes: MobileNodes, node: int, gateway_mac: bytes) -> bytes:
    """To a node, from the LMA in IPv6-in-IPv6 (RFC 2473)."""
    inner = _downlink_packet(nodes, node)
    return gateway_mac + CORE_NEXT_HOP_MAC + _ETHERTYPE_IPV6 + _outer(inner, _IPV6_IN_IPV6)


def limited_tunnel_frame(nodes: MobileNodes, node: int, gateway_mac: bytes) -> bytes:
    """The same with a Tunnel Encapsulation Limit option (RFC 2473 §4.1.1)."""
    inner = _ENCAPSULATION_LIMIT + _downlink_packet(nodes, node)
    return gateway_mac + CORE_NEXT_HOP_MAC + _ETHERTYPE_IPV6 + _outer(inner, _DESTINATION_OPTIONS)


def write_capture(path: Path, frames: Iterator[bytes]) -> None:
    """A pcap file of Ethernet frames."""
    with path.open("wb") as file:
        file.write(_PCAP_HEADER)
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


def _downlink_packet(nodes: MobileNodes, node: int) -> bytes:
    source, destination = nodes.correspondent(node), nodes.address(node)
    header = _ipv6_header(len(_PAYLOAD), _NO_NEXT_HEADER, source, destination)
    return header + _PAYLOAD


def _outer(inner: bytes, next_header: int) -> bytes:
    source, destination = LMA_ADDRESS.packed, PROXY_CARE_OF_ADDRESS.packed
    return _ipv6_header(len(inner), next_header, source, destination) + inner


def _ipv6_header(length: int, next_header: int, source: bytes, destination: bytes) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, length, next_header, 64, source, destination)
