"""The gateway says that it has the Subnet-Router anycast address of a node's prefixes."""

from ipaddress import IPv6Address

import pytest

from mag.daemon.gateway import Gateway
from mag.wire.neighbor_solicitation import NEIGHBOR_ADVERTISEMENT, NeighborAdvertisement
from support.fake_adapters import MN1_MAC, NODE_ADDRESS, FakePort, FakeWorld, until

GATEWAY_ADDRESS = IPv6Address("fe80::200:5eff:fe00:5213")


def advertisements(port: FakePort) -> list[tuple[NeighborAdvertisement, bytes]]:
    return [
        (NeighborAdvertisement.decode(packet), mac)
        for packet, mac in port.sent
        if packet[40] == NEIGHBOR_ADVERTISEMENT
    ]


@pytest.mark.requirement("LLA-01")
async def test_who_asks_for_the_anycast_address_of_its_prefix_is_answered(
    gateway: Gateway, world: FakeWorld
) -> None:
    port = world.ports["access1"]
    port.frame(MN1_MAC)
    await until(lambda: port.sent)
    (entry,) = gateway.core.binding_update_list
    (prefix,) = entry.home_network_prefixes
    port.ask_for(MN1_MAC, prefix.network_address)
    ((answer, mac),) = advertisements(port)
    assert mac == MN1_MAC
    assert answer == NeighborAdvertisement(
        GATEWAY_ADDRESS,
        prefix.network_address,
        is_solicited=True,
        is_router=True,
        overrides=False,
        target_link_layer_address=bytes.fromhex("00005e005213"),
    )
    assert port.sent[-1][0][24:40] == NODE_ADDRESS.packed


@pytest.mark.requirement("LLA-01")
async def test_nobody_is_answered_for_any_other_address(gateway: Gateway, world: FakeWorld) -> None:
    """RFC 5213 §6.8: duplicate address detection of the node never fails."""
    port = world.ports["access1"]
    port.frame(MN1_MAC)
    await until(lambda: port.sent)
    (entry,) = gateway.core.binding_update_list
    (prefix,) = entry.home_network_prefixes
    port.ask_for(MN1_MAC, prefix[1])
    port.ask_for(MN1_MAC, IPv6Address("2001:db8:ffff::"))
    assert advertisements(port) == []
