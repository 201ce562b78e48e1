"""Routes that all bindings of a tunnel, or of the gateway, share."""

import errno
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Final

from mag.dataplane.kernel import layout, route_encoder
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.refusal import asking
from mag.dataplane.kernel.route_decoder import SharedRoute, decode_shared_route
from mag.dataplane.kernel.route_encoder import AF_INET6

_DEFAULT: Final = "default"
_NOT_THERE: Final = (errno.ESRCH, errno.ENOENT)


class RouteTables:
    """Set-up of our tables; the routes of bindings are packed elsewhere."""

    def __init__(self, netlink: Any, channel: NetlinkChannel) -> None:
        """netlink: pyroute2's IPRoute."""
        self._netlink = netlink
        self._channel = channel

    def ensure(self, table: int, destination: IPv6Network | None = None, **attributes: Any) -> None:
        """Add or replace a route, `destination` None being the default; pyroute2's attributes."""
        with asking("set route", destination or _DEFAULT):
            self._netlink.route("replace", **_route(table, destination), **attributes)

    def remove(self, table: int, destination: IPv6Network | None = None, **attributes: Any) -> None:
        """Delete a route if it is there."""
        with asking("delete route", destination or _DEFAULT, settled=_NOT_THERE):
            self._netlink.route("del", **_route(table, destination), **attributes)

    def tunnel_ends(self, table: int) -> dict[IPv6Address, set[IPv6Address]]:
        """The Proxy-CoAs by LMA address in the decapsulation table."""
        ends: dict[IPv6Address, set[IPv6Address]] = {}
        for route in self._present(table):
            if route.source and route.destination:
                proxies = ends.setdefault(route.source.network_address, set())
                proxies.add(route.destination.network_address)
        return ends

    def destinations(self, table: int) -> set[IPv6Network | None]:
        """Where the routes of ours in the table lead, None being the default."""
        return {route.destination for route in self._present(table)}

    def clear(self, table: int) -> None:
        """Delete every route of ours in the table."""
        for route in list(self._present(table)):
            source = {"src": str(route.source)} if route.source else {}
            self.remove(table, route.destination, type=route.kind, **source)

    def _present(self, table: int) -> Iterator[SharedRoute]:
        """pyroute2 0.9.7 would take apart the routes of all tables to find those of one."""
        for body in self._channel.dump(route_encoder.route_dump(table)):
            if (route := decode_shared_route(body)) is not None:
                yield route


def _route(table: int, destination: IPv6Network | None) -> dict[str, Any]:
    return {
        "family": AF_INET6,
        "dst": _DEFAULT if destination is None else str(destination),
        "table": table,
        "proto": layout.ROUTE_PROTOCOL,
    }
