"""The machine under a gateway process: its links, and what stands in its kernel."""

import socket
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute

from mag.dataplane.kernel.layout import LOCAL_TABLE, ROUTE_PROTOCOL
from mag.dataplane.kernel.nftables import Nftables
from support.namespaces import add_address, in_namespace, link_up, make_link
from support.played_lma import LMA_ADDRESS

PROXY_CARE_OF_ADDRESS = IPv6Address("2001:db8:c::11")
CORE_MAC = bytes.fromhex("0200000000c0")
ACCESS_MAC = bytes.fromhex("0200000000a0")
OTHER_ACCESS_MAC = bytes.fromhex("0200000000a1")
REGULAR_LINK_MAC = bytes.fromhex("02000000001a")
CHANGES_BY_USE = {"RTA_CACHEINFO", "NDA_CACHEINFO", "NDA_PROBES"}
_R = TypeVar("_R")


class GatewayHost:
    """A namespace with the links `core` and `access`, whose far ends are in the world."""

    def __init__(self, namespace: str, world: str) -> None:
        self._namespace = namespace
        self._world = world
        self.netlink(self._make_links)

    def netlink(self, work: Callable[[IPRoute], _R]) -> _R:
        """As `ip` there."""

        def run() -> _R:
            with IPRoute() as route:
                return work(route)

        return in_namespace(self._namespace, run)

    def nft(self, commands: str) -> None:
        """As `nft` there."""

        def run() -> None:
            nftables = Nftables()
            try:
                nftables.run(commands)
            finally:
                nftables.close()

        in_namespace(self._namespace, run)

    def switch(self, name: str, value: str) -> None:
        """As `sysctl -w net.ipv6.conf.NAME=VALUE` there; name: with slashes."""
        file = Path("/proc/sys/net/ipv6/conf") / name
        in_namespace(self._namespace, lambda: file.write_text(value))

    # Links

    def add_access_link(self, name: str) -> None:
        """Another interface towards nodes, as a line card that was put in."""
        self.netlink(lambda route: make_link(route, name, OTHER_ACCESS_MAC, self._world))
        in_namespace(self._world, lambda: link_up(name))

    def add_regular_link(self, name: str) -> None:
        """Another interface, which is neither access link nor core, and the host's own way to the
        rest of the world, through the core."""

        def add(route: IPRoute) -> None:
            make_link(route, name, REGULAR_LINK_MAC, self._world)
            core = route.link_lookup(ifname="core")[0]
            route.route(
                "add", dst="default", gateway=str(LMA_ADDRESS), oif=core, family=socket.AF_INET6
            )

        self.netlink(add)
        in_namespace(self._world, lambda: link_up(name))

    def flap_access_link(self) -> None:
        """Down and up again, as a cable that was pulled."""

        def flap(route: IPRoute) -> None:
            index = route.link_lookup(ifname="access")[0]
            for state in ("down", "up"):
                route.link("set", index=index, state=state)

        self.netlink(flap)

    def remake_access_link(self) -> None:
        """Another interface of the same name, as a driver that was reloaded; its far end is down
        and nobody is connected there."""

        def remake(route: IPRoute) -> None:
            route.link("del", index=route.link_lookup(ifname="access")[0])
            make_link(route, "access", ACCESS_MAC, self._world)

        self.netlink(remake)

    # What stands in the kernel

    def access_addresses(self, name: str = "access") -> set[str]:
        """Addresses of one of the access interfaces."""

        def read(route: IPRoute) -> set[str]:
            index = route.link_lookup(ifname=name)
            messages = route.get_addr(index=index[0]) if index else []
            return {message.get_attr("IFA_ADDRESS") for message in messages}

        return self.netlink(read)

    def is_local(self, address: IPv6Address) -> bool:
        """Whether packets to the address reach the gateway; a moment after the address is there."""

        def read(route: IPRoute) -> bool:
            routes = route.get_routes(socket.AF_INET6, table=LOCAL_TABLE)
            return any(each.get_attr("RTA_DST") == str(address) for each in routes)

        return self.netlink(read)

    def packet_path(self) -> set[str]:
        """Every rule, route and neighbour of ours, without what changes by being used."""

        def read(route: IPRoute) -> set[str]:
            messages = (
                *(m for m in route.get_rules(socket.AF_INET6) if _is_ours(m, "FRA_PROTOCOL")),
                *(m for m in route.get_routes(socket.AF_INET6) if m["proto"] == ROUTE_PROTOCOL),
                *(m for m in route.get_neighbours() if _is_ours(m, "NDA_PROTOCOL")),
            )
            return {_lasting(message) for message in messages}

        return self.netlink(read)

    def _make_links(self, route: IPRoute) -> None:
        make_link(route, "core", CORE_MAC, self._world)
        make_link(route, "access", ACCESS_MAC, self._world)
        add_address(route, "core", PROXY_CARE_OF_ADDRESS)
        route.link("set", index=1, state="up")


def _is_ours(message: Any, attribute: str) -> bool:
    return bool(message.get_attr(attribute) == ROUTE_PROTOCOL)


def _lasting(message: Any) -> str:
    kept = sorted(f"{n}={v}" for n, v in message["attrs"] if n not in CHANGES_BY_USE)
    return f"{message['event']} {' '.join(kept)}"
