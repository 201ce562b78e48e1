"""Something else takes away what a real `mag run` has put into its kernel: it notices by itself."""

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from typing import Any

import pytest
from pyroute2 import IPRoute

from mag.dataplane.kernel.layout import (
    DEFAULT_TABLE_BASE,
    ROUTE_PROTOCOL,
    RoutingTables,
    binding_of_neighbor,
)
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_IPV6
from mag.wire.ipv6 import IPv6Packet
from netns.nodes import CORRESPONDENT, attach, datagram
from support.gateway_process import GatewayProcess
from support.marks import needs_root
from support.played_lma import LMA_ADDRESS
from support.played_nodes import MN1_MAC, MN2_MAC
from support.waiting import wait_for

pytestmark = [pytest.mark.netns, needs_root]
TABLES = RoutingTables(DEFAULT_TABLE_BASE)
FOREIGN_PROTOCOL = 99
FOREIGN_PRIORITY = 40
FOREIGN_TABLE = 5000


def reaches(gateway: GatewayProcess, address: IPv6Address, mac: bytes = MN1_MAC) -> bool:
    """Both ways: what the node sends comes out of the tunnel, what is sent to it arrives."""
    with gateway.world_socket("access") as access, gateway.world_socket("core") as core:
        gateway.nodes.send(mac, datagram(address))
        gateway.lma.inject(datagram(CORRESPONDENT, address), protocol=IP_PROTOCOL_IPV6)
        up = any(packet.next_header == IP_PROTOCOL_IPV6 for packet in heard(core))
        down = any(packet.source == CORRESPONDENT for packet in heard(access))
        return up and down


def heard(link: socket.socket) -> Iterator[IPv6Packet]:
    """Until it is silent for a moment; only what others sent."""
    link.settimeout(0.1)
    try:
        while True:
            frame = EthernetFrame.decode(link.recv(2048))
            packet = IPv6Packet.decode(frame.payload)
            if packet.source != LMA_ADDRESS:
                yield packet
    except TimeoutError:
        return


def delete_our_rules(route: IPRoute) -> None:
    for rule in list(route.get_rules(socket.AF_INET6)):
        if rule.get_attr("FRA_PROTOCOL") == ROUTE_PROTOCOL:
            route.rule("del", family=socket.AF_INET6, priority=rule.get_attr("FRA_PRIORITY"))


def has_our_rules(route: IPRoute) -> bool:
    rules = route.get_rules(socket.AF_INET6)
    return any(rule.get_attr("FRA_PROTOCOL") == ROUTE_PROTOCOL for rule in rules)


def times_noticed(gateway: GatewayProcess) -> int:
    """Heard, or seen: with a look every second either may be first."""
    return sum(gateway.dataplane()["losses_noticed"].values())


def flush_table(table: int) -> Callable[[IPRoute], None]:
    def flush(route: IPRoute) -> None:
        route.flush_routes(family=socket.AF_INET6, table=table)

    return flush


def delete_neighbours(route: IPRoute) -> None:
    for found in list(route.get_neighbours(socket.AF_INET6)):
        address = found.get_attr("NDA_DST")
        if binding_of_neighbor(IPv6Address(address).packed) is not None:
            route.neigh("del", dst=address, ifindex=found["ifindex"])


def delete_link(name: str) -> Callable[[IPRoute], None]:
    return lambda route: route.link("del", index=route.link_lookup(ifname=name)[0])


def set_link_down(route: IPRoute) -> None:
    route.link("set", index=route.link_lookup(ifname="mag-1")[0], state="down")


def flush_addresses(route: IPRoute) -> None:
    route.flush_addr(index=route.link_lookup(ifname="access")[0], family=socket.AF_INET6)


NETLINK: dict[str, Callable[[IPRoute], Any]] = {
    "rules": delete_our_rules,
    "downlink routes": flush_table(TABLES.downlink),
    "uplink routes": flush_table(TABLES.uplink),
    "decapsulation": flush_table(TABLES.decapsulation),
    "encapsulation": flush_table(TABLES.encapsulation(1)),
    "neighbours": delete_neighbours,
    "tunnel interface": delete_link("mag-1"),
    "tunnel interface down": set_link_down,
    "drop interface": delete_link("mag-sink"),
    "addresses of the access link": flush_addresses,
}
NFTABLES = {
    "ruleset": "flush ruleset",
    "table": "delete table inet mag",
    "chains": "flush table inet mag",
    "set": "flush set inet mag uplink64",
    "element": 'delete element inet mag access_interfaces { "access" }',
}


@pytest.mark.parametrize("damage", NETLINK)
def test_what_ip_deletes_is_noticed_and_put_back(gateway: GatewayProcess, damage: str) -> None:
    address = attach(gateway).network_address + 1
    wait_for(lambda: reaches(gateway, address), "the node has traffic")
    gateway.host.netlink(NETLINK[damage])
    check_put_back(gateway, address)


@pytest.mark.parametrize("damage", NFTABLES)
def test_what_nft_deletes_is_noticed_and_put_back(gateway: GatewayProcess, damage: str) -> None:
    address = attach(gateway).network_address + 1
    gateway.host.nft(NFTABLES[damage])
    check_put_back(gateway, address)
    counted = gateway.bindings()[0]["uplink_packets"]
    wait_for(
        lambda: reaches(gateway, address) and gateway.bindings()[0]["uplink_packets"] > counted,
        "packets are checked and counted again",
    )


def check_put_back(gateway: GatewayProcess, address: IPv6Address) -> None:
    """Without any other change, and said."""
    wait_for(lambda: gateway.dataplane()["losses_noticed"].get("heard"), "it is noticed")
    wait_for(lambda: reaches(gateway, address), "the node has traffic again")
    assert len(gateway.bindings()) == 1


def test_kernel_that_no_longer_forwards_is_made_to(gateway: GatewayProcess) -> None:
    address = attach(gateway).network_address + 1
    gateway.host.switch("all/forwarding", "0")
    check_put_back(gateway, address)


def test_access_link_that_its_operator_takes_down_stays_down(bare: GatewayProcess) -> None:
    """Whatever else is looked at and put back."""

    def state(route: IPRoute) -> str:
        (link,) = route.get_links(route.link_lookup(ifname="access")[0])
        return str(link.get_attr("IFLA_OPERSTATE"))

    def take_down(route: IPRoute) -> None:
        route.link("set", index=route.link_lookup(ifname="access")[0], state="down")

    gateway = bare.start_ready(verify="1")
    gateway.host.netlink(take_down)
    gateway.host.nft("flush ruleset")
    wait_for(lambda: gateway.dataplane()["restored"], "our table is back")
    before = times_noticed(gateway)
    gateway.host.netlink(delete_our_rules)
    wait_for(lambda: times_noticed(gateway) > before, "the rules were missed")
    wait_for(lambda: gateway.host.netlink(has_our_rules), "the rules are back")
    assert gateway.host.netlink(state) == "DOWN"


def test_what_is_not_ours_may_go_and_what_is_not_ours_stays(gateway: GatewayProcess) -> None:
    def make(route: IPRoute) -> None:
        core = route.link_lookup(ifname="core")[0]
        rule = {"family": socket.AF_INET6, "priority": FOREIGN_PRIORITY, "table": FOREIGN_TABLE}
        route.rule("add", protocol=FOREIGN_PROTOCOL, **rule)
        for table in (FOREIGN_TABLE, FOREIGN_TABLE + 1):
            route.route(
                "add", dst="2001:db8:f00::/48", oif=core, table=table, proto=FOREIGN_PROTOCOL
            )

    address = attach(gateway).network_address + 1
    gateway.host.netlink(make)
    gateway.host.nft("add table inet other\nadd chain inet other kept\nadd table inet gone")
    gateway.host.netlink(flush_table(FOREIGN_TABLE + 1))
    gateway.host.nft("delete table inet gone")
    assert gateway.dataplane()["losses_noticed"] == {}
    gateway.host.netlink(flush_table(TABLES.downlink))
    check_put_back(gateway, address)
    rules = gateway.host.netlink(lambda route: list(route.get_rules(socket.AF_INET6)))
    assert FOREIGN_PRIORITY in {rule.get_attr("FRA_PRIORITY") for rule in rules}
    table = {"family": socket.AF_INET6, "table": FOREIGN_TABLE}
    assert gateway.host.netlink(lambda route: len(list(route.get_routes(**table)))) == 1
    gateway.host.nft("list chain inet other kept")


def test_own_changes_are_nobody_elses(bare: GatewayProcess) -> None:
    """However many bindings come and go: no look at the whole packet path for it."""
    gateway = bare.start_ready(verify="1")
    for _ in range(3):
        attach(gateway)
        attach(gateway, MN2_MAC)
        for mac in (MN1_MAC, MN2_MAC):
            gateway.detach(mac)
            gateway.lma.answer(gateway.lma.next_update())
        wait_for(lambda: not gateway.bindings(), "both have gone")
    gateway.reconfigure(("mn2@example.net", "mn3@example.net"))
    gateway.hang_up()
    wait_for(lambda: gateway.reloads("applied"), "the file is taken")
    shown = gateway.dataplane()
    assert (shown["losses_noticed"], shown["restored"]) == ({}, {})
