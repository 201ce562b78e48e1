"""Nodes of a gateway under test: how they come to service, and what they send."""

from ipaddress import IPv6Address, IPv6Network

from mag.dataplane.fake import InnerPacket
from mag.wire.neighbor_discovery import RouterAdvertisement
from support.fake_adapters import (
    MN1_MAC,
    FakeWorld,
    until,
)

CORRESPONDENT = IPv6Address("2001:db8:ffff::1")


def packet_from(prefix: IPv6Network) -> InnerPacket:
    return InnerPacket(prefix.network_address + 1, CORRESPONDENT)


async def attached(world: FakeWorld, mac: bytes = MN1_MAC, link: str = "access1") -> IPv6Network:
    """Have a node attach by a frame; its prefix, once it has been told."""
    port = world.ports[link]
    port.frame(mac)
    packet, _ = await until(lambda: next((sent for sent in port.sent if sent[1] == mac), None))
    return RouterAdvertisement.decode(packet).prefixes[0].prefix
