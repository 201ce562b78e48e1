"""Builds the lab's links with netlink: bridges, veth pairs, addresses, and the radio's moves."""

import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, Final

from pyroute2 import AsyncIPRoute

from mag.lab.world import linux_calls, topology
from mag.lab.world.mobile_node import NodeView, global_addresses, look_at, sending_in_words
from mag.lab.world.network_namespace import create_network_namespace, inside_network_namespace
from mag.lab.world.private_namespaces import NETWORK_NAMESPACES

_IPV6_SETTINGS: Final = Path("/proc/sys/net/ipv6/conf")
_MAIN_TABLE: Final = 254
_UNICAST: Final = 1
_IFA_F_NODAD: Final = 0x02

_KERNELS_RULES: Final = frozenset({0, 32766})
_KERNELS_TABLES: Final = frozenset({254, 255})
_BRIDGED: Final = (topology.RADIO, topology.CORE)
_GATEWAYS: Final = tuple(gateway.name for gateway in topology.GATEWAYS)
_ROUTERS: Final = (*_GATEWAYS, topology.LOCAL_MOBILITY_ANCHOR)


class Links:
    """The lab's links, and a netlink socket in each namespace to change them with."""

    def __init__(
        self,
        netlink: Mapping[str, AsyncIPRoute],
        *,
        gateways_bypass_kernel: bool,
        crowd: Sequence[topology.MobileNode] = (),
    ) -> None:
        """netlink: an open socket for each network namespace."""
        self._netlink = netlink
        self._gateways_bypass_kernel = gateways_bypass_kernel
        self._crowd = crowd

    async def build(self) -> None:
        """Make everything; mobile nodes' interfaces stay down until they switch on."""
        for node in self._netlink:
            await self._set(node, "lo", state="up")
        await self._build_core()
        await self._build_radio()
        await self._build_correspondent()
        if self._crowd:
            await self._build_crowd()

    async def switch_on(self, node: str) -> None:
        """Bring a mobile node's interface up; its kernel does the rest (RFC 4862)."""
        await self._set(node, topology.NODE_INTERFACE, state="up")

    async def switch_on_crowd(self) -> None:
        """Give all nodes of the crowd their carrier at the same moment."""
        await self._set(topology.RADIO, topology.CROWD, state="up")

    async def crowd_addresses(self) -> dict[str, IPv6Address]:
        """The usable global address of each node of the crowd that has one."""
        netlink = self._netlink[topology.CROWD]
        names = {
            link["index"]: link.get_attr("IFLA_IFNAME") async for link in await netlink.get_links()
        }
        found = await global_addresses(netlink)
        return {names[index]: address.address for index, address in found}

    async def move_radio(self, node: str, cell: str) -> None:
        """Take a mobile node's radio to another cell; the node's kernel sees no change."""
        await self._set(topology.RADIO, node, master=await self._index(topology.RADIO, cell))
        # Joining a bridge makes a new port, isolation off.
        await self._isolate(node)

    async def view_of(self, node: str) -> NodeView:
        """What a mobile node's kernel believes now."""
        return await look_at(node, self._netlink[node])

    async def sending_in_words(self, node: str, source: IPv6Address) -> str:
        """What a mobile node's kernel has to send from this address with, to stand in an error."""
        return await sending_in_words(node, source, self._netlink[node])

    async def packets_through(self, node: str, interface: str) -> tuple[int, int]:
        """Packets an interface has received and sent; (0, 0) when there is no such interface."""
        async for link in await self._netlink[node].get_links():
            if link.get_attr("IFLA_IFNAME") == interface:
                counters = link.get_attr("IFLA_STATS64")
                return counters["rx_packets"], counters["tx_packets"]
        return 0, 0

    async def link_layer_address(self, node: str, interface: str) -> str:
        """An interface's own."""
        links = await self._netlink[node].get_links(await self._index(node, interface))
        return str(await anext(link.get_attr("IFLA_ADDRESS") async for link in links))

    async def prefixes_into_tunnels(self) -> frozenset[IPv6Network]:
        """Home network prefixes that the LMA's kernel sends into a tunnel."""
        routes = await self._netlink[topology.LOCAL_MOBILITY_ANCHOR].get_routes(
            family=socket.AF_INET6, table=_MAIN_TABLE
        )
        prefixes = [
            IPv6Network(f"{route.get_attr('RTA_DST')}/{route['dst_len']}")
            async for route in routes
            if route["type"] == _UNICAST and route.get_attr("RTA_GATEWAY") is not None
        ]
        return frozenset(each for each in prefixes if each.subnet_of(topology.PREFIX_POOL))

    async def foreign_forwarding(self, node: str) -> tuple[str, ...]:
        """Rules and route tables of a node that no fresh kernel has: what daemons left there."""
        rules = await self._netlink[node].get_rules(family=socket.AF_INET6)
        priorities = {rule.get_attr("FRA_PRIORITY") or 0 async for rule in rules}
        routes = await self._netlink[node].get_routes(family=socket.AF_INET6)
        tables = {route.get_attr("RTA_TABLE") async for route in routes}
        return (
            *(f"rule {priority}" for priority in sorted(priorities ^ _KERNELS_RULES)),
            *(f"table {table}" for table in sorted(tables - _KERNELS_TABLES)),
        )

    async def _build_core(self) -> None:
        await self._add_bridge(topology.CORE, topology.CORE)
        homes = {gateway.name: gateway.proxy_care_of_address for gateway in topology.GATEWAYS}
        homes[topology.LOCAL_MOBILITY_ANCHOR] = topology.LMA_ADDRESS
        for node, address in homes.items():
            await self._add_pair(node, topology.CORE_INTERFACE, topology.CORE, node)
            await self._join(topology.CORE, node, topology.CORE)
            if node != topology.LOCAL_MOBILITY_ANCHOR and self._gateways_bypass_kernel:
                await self._set(node, topology.CORE_INTERFACE, state="up")
                continue
            interface = IPv6Interface((address, topology.CORE_PREFIX_LENGTH))
            await self._give_address(node, topology.CORE_INTERFACE, interface)

    async def _build_radio(self) -> None:
        for gateway in topology.GATEWAYS:
            await self._add_bridge(topology.RADIO, gateway.cell)
            access = topology.ACCESS_INTERFACE
            await self._add_pair(gateway.name, access, topology.RADIO, gateway.name)
            await self._join(topology.RADIO, gateway.name, gateway.cell)
            await self._set(gateway.name, access, state="up")
        for node in topology.MOBILE_NODES:
            eth = topology.NODE_INTERFACE
            mac = node.link_layer_address
            await self._add_pair(node.name, eth, topology.RADIO, node.name, address=mac)
            await self._join(topology.RADIO, node.name, node.cell)
            await self._isolate(node.name)

    async def _build_crowd(self) -> None:
        """A real kernel's nodes without a namespace for each: macvlan interfaces on one radio.

        The radio's far end stays down; up, it brings all of them their carrier at once.
        """
        crowd, parent = topology.CROWD, topology.NODE_INTERFACE
        await self._add_pair(crowd, parent, topology.RADIO, crowd)
        await self._join(topology.RADIO, crowd, self._crowd[0].cell)
        await self._set(topology.RADIO, crowd, state="down")
        await self._isolate(crowd)
        with inside_network_namespace(crowd):
            silent = _IPV6_SETTINGS / parent / "disable_ipv6"
            silent.write_text("1", encoding="ascii")
        await self._set(crowd, parent, state="up")
        index = await self._index(crowd, parent)
        for node in self._crowd:
            await self._netlink[crowd].link(
                "add",
                ifname=node.name,
                kind="macvlan",
                macvlan_mode="private",
                link=index,
                address=node.link_layer_address,
            )
            await self._set(crowd, node.name, state="up")

    async def _build_correspondent(self) -> None:
        anchor, correspondent = topology.LOCAL_MOBILITY_ANCHOR, topology.CORRESPONDENT
        near, far = topology.ANCHOR_TO_CORRESPONDENT, topology.NODE_INTERFACE
        await self._add_pair(anchor, near, correspondent, far)
        await self._give_address(anchor, near, topology.ANCHOR_SIDE)
        await self._give_address(correspondent, far, topology.CORRESPONDENT_SIDE)
        await self._netlink[correspondent].route(
            "add", family=socket.AF_INET6, dst="default", gateway=str(topology.ANCHOR_SIDE.ip)
        )

    async def _add_bridge(self, node: str, name: str) -> None:
        await self._netlink[node].link(
            "add", ifname=name, kind="bridge", br_mcast_snooping=0, br_forward_delay=0, state="up"
        )

    async def _add_pair(
        self, node: str, name: str, peer_node: str, peer_name: str, **attributes: Any
    ) -> None:
        there = os.open(NETWORK_NAMESPACES / peer_node, os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": peer_name, "net_ns_fd": there}
            await self._netlink[node].link("add", ifname=name, kind="veth", peer=peer, **attributes)
        finally:
            os.close(there)
        self._disable_offloads(node, name)
        self._disable_offloads(peer_node, peer_name)

    def _disable_offloads(self, node: str, interface: str) -> None:
        with inside_network_namespace(node):
            # Veth leaves checksums to the receiver; captures would then show them as wrong, and
            # who takes whole frames off the link would send them on so.
            linux_calls.disable_transmit_checksum_offload(interface)
            if self._gateways_bypass_kernel:
                linux_calls.disable_segmentation_offloads(interface)

    async def _join(self, node: str, port: str, bridge: str) -> None:
        await self._set(node, port, master=await self._index(node, bridge), state="up")

    async def _isolate(self, port: str) -> None:
        """LINK-01: what a node sends reaches the gateway's port and no other node's."""
        radio = self._netlink[topology.RADIO]
        await radio.brport("set", index=await self._index(topology.RADIO, port), isolated=1)

    async def _give_address(self, node: str, name: str, address: IPv6Interface) -> None:
        await self._set(node, name, state="up")
        await self._netlink[node].addr(
            "add",
            index=await self._index(node, name),
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            flags=_IFA_F_NODAD,
        )

    async def _set(self, node: str, name: str, **attributes: Any) -> None:
        await self._netlink[node].link("set", index=await self._index(node, name), **attributes)

    async def _index(self, node: str, name: str) -> int:
        found = await self._netlink[node].link_lookup(ifname=name)
        return int(found[0])


@asynccontextmanager
async def built_links(
    *, gateways_bypass_kernel: bool = False, crowd: Sequence[topology.MobileNode] = ()
) -> AsyncIterator[Links]:
    """Make the namespaces and all links; the netlink sockets close at the end.

    gateways_bypass_kernel: a process takes whole frames off the gateways' interfaces, whose
    kernel then neither has addresses nor answers.
    """
    silent = {*_BRIDGED, *(_GATEWAYS if gateways_bypass_kernel else ())}
    nodes = (*topology.NODES, *((topology.CROWD,) if crowd else ()))
    for node in nodes:
        create_network_namespace(node)
        _configure_kernel(node, is_silent=node in silent)
    async with AsyncExitStack() as stack:
        netlink = {}
        for node in nodes:
            netlink[node] = await stack.enter_async_context(_netlink_socket(node))
        links = Links(netlink, gateways_bypass_kernel=gateways_bypass_kernel, crowd=crowd)
        await links.build()
        yield links


def _netlink_socket(node: str) -> AsyncIPRoute:
    """A netlink socket of the node's namespace, made by this process itself.

    pyroute2 0.9.7's own `netns=` makes a child and ends it with SIGTERM; arriving before the
    child has put asyncio's handlers away, that signal ends the lab (shared wake-up descriptor).
    """
    with inside_network_namespace(node):
        netlink = AsyncIPRoute()
        # Asked for, the descriptor is made: here, not wherever the first request happens.
        netlink.fileno()
    return netlink


def _configure_kernel(node: str, *, is_silent: bool) -> None:
    with inside_network_namespace(node):
        if is_silent:
            # A bridge that speaks IPv6 itself would look like one more node to the gateways.
            for scope in ("all", "default"):
                (_IPV6_SETTINGS / scope / "disable_ipv6").write_text("1", encoding="ascii")
        elif node in _ROUTERS:
            (_IPV6_SETTINGS / "all" / "forwarding").write_text("1", encoding="ascii")
