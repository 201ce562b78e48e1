"""Without a fixed link-local address: the LMA gives one to each session (RFC 5213 §6.8)."""

from ipaddress import IPv6Address

import pytest

from mag.services.wake_up import ALL_NODES_LINK_LAYER_ADDRESS
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import ROUTER_ADVERTISEMENT, RouterAdvertisement
from mag.wire.neighbor_solicitation import (
    NEIGHBOR_ADVERTISEMENT,
    NeighborAdvertisement,
    NeighborSolicitation,
    solicited_node,
)
from mag.wire.options import LinkLocalAddressOption
from support.fake_lma import only_option, read_update
from support.gateway_process import GatewayProcess
from support.marks import needs_root
from support.played_nodes import MN1_MAC, MN2_MAC
from support.waiting import wait_for

pytestmark = [pytest.mark.netns, needs_root]
GIVEN = IPv6Address("fe80::6d61:1")
ANOTHER = IPv6Address("fe80::6d61:2")
NODE = IPv6Address("fe80::ff:fe00:1")
NO_FIXED_ADDRESS = '{fixed_mag_link_local_address: "::"}'


@pytest.fixture
def gateway(bare: GatewayProcess) -> GatewayProcess:
    """Not started yet; its LMA gives GIVEN."""
    bare.lma.anchor.link_local_address = GIVEN
    return bare


def is_icmpv6(kind: int, packet: bytes) -> bool:
    return packet[6] == IP_PROTOCOL_ICMPV6 and packet[40] == kind


def is_advertisement(packet: bytes) -> bool:
    """That somebody is a router."""
    is_one = is_icmpv6(ROUTER_ADVERTISEMENT, packet)
    return is_one and RouterAdvertisement.decode(packet).router_lifetime_s > 0


def router_of(gateway: GatewayProcess, mac: bytes) -> IPv6Address:
    return IPv6Packet.decode(gateway.nodes.next_packet(mac, is_advertisement)).source


def said(gateway: GatewayProcess) -> IPv6Address:
    """The next PBU's Link-local Address option; it is answered."""
    message = gateway.lma.next_update()
    gateway.lma.answer(message)
    return only_option(read_update(message), LinkLocalAddressOption).address


def attach(gateway: GatewayProcess, mac: bytes, given: IPv6Address) -> None:
    gateway.lma.anchor.link_local_address = given
    solicitation = NeighborSolicitation(NODE, NODE)
    gateway.nodes.send(mac, solicitation.encode(solicited_node(NODE)))
    assert said(gateway) == IPv6Address("::")
    assert router_of(gateway, mac) == given


def is_answered(gateway: GatewayProcess, mac: bytes, target: IPv6Address) -> bool:
    """Neighbor Unreachability Detection of a node, from its link-local address."""
    wait_for(lambda: gateway.host.is_local(target), "the kernel has the address in its tables")
    asked = NeighborSolicitation(NODE, target, mac)
    gateway.nodes.send(mac, asked.encode(target))
    reply = gateway.nodes.next_packet(mac, lambda packet: is_icmpv6(NEIGHBOR_ADVERTISEMENT, packet))
    answer = NeighborAdvertisement.decode(reply)
    return (answer.source, answer.target) == (target, target)


@pytest.mark.requirement("LLA-02", "PBA-31", "ATT-28", "ATT-30", "DR-05")
def test_nodes_of_one_link_have_each_their_own_router(gateway: GatewayProcess) -> None:
    gateway.start_ready(protocol=NO_FIXED_ADDRESS)
    attach(gateway, MN1_MAC, GIVEN)
    attach(gateway, MN2_MAC, ANOTHER)
    assert is_answered(gateway, MN1_MAC, GIVEN)
    assert is_answered(gateway, MN2_MAC, ANOTHER)
    assert {str(GIVEN), str(ANOTHER)} <= gateway.host.access_addresses()
    rows = gateway.bindings()
    assert [row["gateway_link_local_address"] for row in rows] == [str(GIVEN), str(ANOTHER)]


@pytest.mark.requirement("LLA-04", "LLA-06")
def test_node_that_is_about_to_take_it_learns_that_it_is_taken(gateway: GatewayProcess) -> None:
    """RFC 4862 §5.4.3: by then the gateway has had it for long."""
    gateway.start_ready(protocol=NO_FIXED_ADDRESS)
    attach(gateway, MN1_MAC, GIVEN)
    wait_for(lambda: gateway.host.is_local(GIVEN), "the address is ours")
    claim = NeighborSolicitation(IPv6Address("::"), GIVEN)
    gateway.nodes.send(MN1_MAC, claim.encode(solicited_node(GIVEN)))
    reply = gateway.nodes.next_packet(
        ALL_NODES_LINK_LAYER_ADDRESS, lambda packet: is_icmpv6(NEIGHBOR_ADVERTISEMENT, packet)
    )
    assert NeighborAdvertisement.decode(reply).target == GIVEN
    (row,) = gateway.bindings()
    assert row["gateway_link_local_address"] == str(GIVEN)


@pytest.mark.requirement("LLA-02")
def test_address_goes_with_the_last_node_that_knows_it(gateway: GatewayProcess) -> None:
    gateway.start_ready(protocol=NO_FIXED_ADDRESS)
    attach(gateway, MN1_MAC, GIVEN)
    attach(gateway, MN2_MAC, GIVEN)
    gateway.detach(MN1_MAC)
    said(gateway)
    wait_for(lambda: len(gateway.bindings()) == 1, "one binding has gone")
    assert is_answered(gateway, MN2_MAC, GIVEN)
    gateway.detach(MN2_MAC)
    said(gateway)
    wait_for(lambda: str(GIVEN) not in gateway.host.access_addresses(), "so has the address")


@pytest.mark.requirement("LLA-03", "BUL-09")
def test_killed_gateway_starts_again_with_the_same_address(gateway: GatewayProcess) -> None:
    gateway.start_ready(protocol=NO_FIXED_ADDRESS, policy="keep")
    attach(gateway, MN1_MAC, GIVEN)
    gateway.kill()
    gateway.start_ready(protocol=NO_FIXED_ADDRESS, policy="keep")
    assert is_answered(gateway, MN1_MAC, GIVEN)
    (row,) = gateway.bindings()
    assert row["gateway_link_local_address"] == str(GIVEN)
    gateway.lma.no_update()


@pytest.mark.requirement("PBA-32", "PBA-33", "PBA-34", "PBA-35", "LLA-06")
def test_gateway_yields_to_a_node_that_has_the_address(gateway: GatewayProcess) -> None:
    """An unmodified kernel that has had it before the gateway came."""
    gateway.kernel_node.attach(MN1_MAC, GIVEN)
    gateway.start_ready(protocol=NO_FIXED_ADDRESS)
    assert said(gateway) == IPv6Address("::")
    replacement = said(gateway)
    assert replacement.is_link_local
    assert replacement != GIVEN
    router = wait_for(gateway.kernel_node.router, "the node has a default router")
    assert router == replacement
    assert gateway.kernel_node.reaches(replacement)
    wait_for(lambda: str(GIVEN) not in gateway.host.access_addresses(), "the address is the node's")
    (row,) = gateway.bindings()
    assert row["gateway_link_local_address"] == str(replacement)
    assert row["is_forwarding"]
