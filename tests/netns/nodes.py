"""Nodes of a gateway process: how they come to service, and what they send."""

from ipaddress import IPv6Address, IPv6Network

from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import RouterAdvertisement
from support.gateway_process import GatewayProcess
from support.played_nodes import MN1_MAC

CORRESPONDENT = IPv6Address("2001:db8:ffff::1")
UDP = 17


def datagram(source: IPv6Address | str, destination: IPv6Address = CORRESPONDENT) -> bytes:
    return IPv6Packet(IPv6Address(source), destination, UDP, bytes(20)).encode()


def is_advertisement(packet: bytes) -> bool:
    return packet[6] == 58 and packet[40] == 134


def attach(gateway: GatewayProcess, mac: bytes = MN1_MAC) -> IPv6Network:
    """Any frame of the node, an honest LMA; the prefix the node is told."""
    gateway.nodes.send(mac, datagram("fe80::1"))
    gateway.lma.answer(gateway.lma.next_update())
    told = RouterAdvertisement.decode(gateway.nodes.next_packet(mac, is_advertisement))
    return told.prefixes[0].prefix
