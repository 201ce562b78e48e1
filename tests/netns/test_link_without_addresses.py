"""An access link without link-layer addresses (RFC 5213 §9.3): a kernel behind a tun device."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network

import pytest
from pyroute2 import IPRoute

from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_IPV6
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import ROUTER_ADVERTISEMENT, RouterAdvertisement
from mag.wire.neighbor_discovery_packet import encode_packet
from mag.wire.options import MobileNodeLinkLayerIdentifierOption
from netns.nodes import CORRESPONDENT
from support.fake_lma import read_update
from support.gateway_process import GatewayProcess
from support.kernel_node import ECHO_REPLY, ECHO_REQUEST
from support.marks import needs_root
from support.tun_cable import tun_cable
from support.waiting import wait_for

pytestmark = [pytest.mark.netns, needs_root]
LINK = "{mn_id: mn1@example.net, access_technology_type: ppp}"
ECHO = bytes((ECHO_REQUEST, 0, 0, 0)) + bytes(4)
NOBODYS = IPv6Address("2001:db8:bad::1")
OTHER_PREFIX = IPv6Address("2001:db8:ffff::")
"""An address with host part zero that is not the gateway's."""


@pytest.fixture
def gateway(bare: GatewayProcess) -> Iterator[GatewayProcess]:
    """It serves, and the node at the other end has not switched on yet."""
    with without_addresses(bare):
        yield bare.start_ready(link=LINK)


@contextmanager
def without_addresses(gateway: GatewayProcess) -> Iterator[None]:
    """Its access link is one without link-layer addresses."""
    gateway.host.netlink(lambda route: route.link("del", index=index_of(route)))
    with tun_cable("access", *gateway.namespaces):
        yield


def index_of(route: IPRoute) -> int:
    index: int = route.link_lookup(ifname="access")[0]
    return index


def switch_on(gateway: GatewayProcess) -> RouterAdvertisement:
    """The node's kernel comes up, an honest LMA; what the node is told."""
    gateway.in_world(switch_on_tun)
    with gateway.world_socket("access") as link:
        message = gateway.lma.next_update()
        update = read_update(message)
        assert not any(isinstance(o, MobileNodeLinkLayerIdentifierOption) for o in update.options)
        gateway.lma.answer(message)
        while True:
            packet = link.recv(2048)
            if packet[6] == IP_PROTOCOL_ICMPV6 and packet[40] == ROUTER_ADVERTISEMENT:
                return RouterAdvertisement.decode(packet)


def switch_on_tun() -> None:
    with IPRoute() as route:
        route.link("set", index=index_of(route), state="up")


def address_in(gateway: GatewayProcess, prefix: IPv6Network) -> IPv6Address:
    def look() -> IPv6Address | None:
        return next((each for each in gateway.kernel_node.addresses() if each in prefix), None)

    address = wait_for(look, "the node has an address of its prefix")
    assert address is not None
    return address


def echo_through_the_tunnel(gateway: GatewayProcess, node: IPv6Address) -> IPv6Packet:
    """The correspondent asks the node; what the node's kernel says, as it comes to the LMA."""
    with gateway.world_socket("core") as core:
        request = encode_packet(ECHO, CORRESPONDENT, node)
        gateway.lma.inject(request, protocol=IP_PROTOCOL_IPV6)
        while True:
            outer = IPv6Packet.decode(EthernetFrame.decode(core.recv(2048)).payload)
            if outer.next_header == IP_PROTOCOL_IPV6:
                inner = IPv6Packet.decode(outer.payload)
                if inner.payload[0] == ECHO_REPLY:
                    return inner


@pytest.mark.requirement("CFG-09", "ATT-25")
def test_node_behind_it_is_served(gateway: GatewayProcess) -> None:
    told = switch_on(gateway)
    assert told.source_link_layer_address is None
    node = address_in(gateway, told.prefixes[0].prefix)
    wait_for(gateway.kernel_node.router, "the node has a default router")
    reply = echo_through_the_tunnel(gateway, node)
    assert (reply.source, reply.destination) == (node, CORRESPONDENT)
    (row,) = gateway.bindings()
    assert row["link_layer_address"] == "00:00:00:00:00:00"
    assert row["uplink_packets"] >= 1
    assert row["downlink_packets"] >= 1


@pytest.mark.requirement("CFG-09")
def test_source_that_is_not_the_nodes_goes_nowhere(gateway: GatewayProcess) -> None:
    switch_on(gateway)

    def spoof() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as link:
            link.bind(("access", ETHERTYPE_IPV6))
            link.send(encode_packet(ECHO, NOBODYS, CORRESPONDENT))

    gateway.in_world(spoof)
    drops = lambda: gateway.counters()["dataplane"]["drops"]["unknown_source"]  # noqa: E731
    wait_for(drops, "the packet is dropped and counted")


@pytest.mark.requirement("CFG-09", "LLA-01")
def test_anycast_address_of_its_prefix_is_the_gateways_and_no_other(
    gateway: GatewayProcess,
) -> None:
    prefix = switch_on(gateway).prefixes[0].prefix
    node = address_in(gateway, prefix)
    wait_for(gateway.kernel_node.router, "the node has a default router")
    with gateway.world_socket("core") as core:
        gateway.in_world(lambda: send_echo(OTHER_PREFIX))
        while True:
            outer = IPv6Packet.decode(EthernetFrame.decode(core.recv(2048)).payload)
            if outer.next_header == IP_PROTOCOL_IPV6:
                inner = IPv6Packet.decode(outer.payload)
                break
    assert (inner.source, inner.destination) == (node, OTHER_PREFIX)
    with gateway.world_socket("access") as link:
        gateway.in_world(lambda: send_echo(prefix.network_address))
        while True:
            packet = link.recv(2048)
            if packet[6] == IP_PROTOCOL_ICMPV6 and packet[40] == ECHO_REPLY:
                break
    assert IPv6Packet.decode(packet).source == prefix.network_address


def send_echo(destination: IPv6Address) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as icmp:
        icmp.sendto(ECHO, (str(destination), 0))


@pytest.mark.requirement("CFG-09", "SEQ-04")
def test_killed_gateway_finds_all_of_it_again(gateway: GatewayProcess) -> None:
    node = address_in(gateway, switch_on(gateway).prefixes[0].prefix)
    path = gateway.host.packet_path()
    gateway.kill()
    gateway.start_ready(link=LINK)
    wait_for(lambda: [row["state"] for row in gateway.bindings()] == ["active"], "it goes on")
    assert gateway.host.packet_path() == path
    echo_through_the_tunnel(gateway, node)
    gateway.lma.no_update()


@pytest.mark.requirement("DETACH-06")
def test_end_of_the_session_is_the_end_of_the_binding(gateway: GatewayProcess) -> None:
    """A PPP session takes its interface with it."""
    switch_on(gateway)
    gateway.host.netlink(lambda route: route.link("del", index=index_of(route)))
    message = gateway.lma.next_update()
    assert read_update(message).lifetime_s == 0
    gateway.lma.answer(message)
    wait_for(lambda: not gateway.bindings(), "the binding is gone")


@pytest.mark.requirement("CFG-09")
@pytest.mark.parametrize(
    ("link", "has_addresses", "complaint"),
    [
        (LINK, True, "the interface has a link-layer address: mn_id is for links without"),
        ("{}", False, "no link-layer addresses: say with mn_id whose link it is"),
    ],
)
def test_interface_of_the_other_kind_is_refused(
    bare: GatewayProcess, link: str, has_addresses: bool, complaint: str
) -> None:
    if has_addresses:
        process = bare.start(link=link)
    else:
        with without_addresses(bare):
            process = bare.start(link=link)
            process.wait(10)
    _, said = process.communicate(timeout=10)
    assert process.returncode != 0
    assert complaint in said
