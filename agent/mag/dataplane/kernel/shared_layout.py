"""What all bindings share: sink, fixed routes and rules, outer source address, forwarding."""

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Any, Final

from mag.dataplane.kernel import layout, seg6
from mag.dataplane.kernel.interfaces import LARGEST_MTU_OCTETS, Interface, Interfaces
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.policy_rules import PolicyRules, shared_rules
from mag.dataplane.kernel.route_table import RouteTables
from mag.dataplane.kernel.sysctl import read_setting, write_setting

_SINK_LINK_LAYER_ADDRESS: Final = layout.pair_link_layer_address(0xFFFF)
_LOOPBACK: Final = "lo"
_HOST: Final = 0
_ROUTER: Final = 1
_ACCEPT_RA_AS_HOST: Final = 1
_ACCEPT_RA_ALWAYS: Final = 2


class SharedLayout:
    """Set up once in a namespace; the sink's alias remembers the settings from before."""

    def __init__(
        self,
        netlink: Any,
        channel: NetlinkChannel,
        proxy_care_of_address: IPv6Address,
        core_interfaces: tuple[str, ...],
        tables: layout.RoutingTables,
    ) -> None:
        """netlink: pyroute2's IPRoute."""
        self._proxy_care_of_address = proxy_care_of_address
        self._core_interfaces = core_interfaces
        self._tables = tables
        self._interfaces = Interfaces(netlink)
        self._rules = PolicyRules(netlink)
        self._routes = RouteTables(netlink, channel)

    def ensure(self) -> None:
        """Build what is missing, in the order in which no packet finds half of it."""
        sink = self._ensure_sink()
        self._set_routes(sink)
        seg6.set_tunnel_source(self._proxy_care_of_address)
        self._set_rules()
        self._become_router()

    def losses(self) -> Iterator[str]:
        """What is not as `ensure` left it, in words; routes are not read."""
        sink = self._interfaces.find(layout.SINK_INTERFACE)
        if sink is None or not sink.is_up or not sink.alias:
            yield f"interface {layout.SINK_INTERFACE}"
        wanted = set(shared_rules(self._core_interfaces, self._proxy_care_of_address, self._tables))
        if not wanted <= self._rules.present() or not self._rules.is_local_moved():
            yield "rules"
        if read_setting("all", "forwarding") != _ROUTER:
            yield "forwarding (net.ipv6.conf.all.forwarding)"

    def remove(self) -> None:
        """Everything back as it was; tunnels and access links are gone already."""
        self._rules.move_local_back()
        for rule in self._rules.present():
            self._rules.remove(rule)
        for table in (
            self._tables.uplink,
            self._tables.decapsulation,
            self._tables.downlink,
            self._tables.local_routing,
            self._tables.anycast,
        ):
            self._routes.clear(table)
        seg6.set_tunnel_source(seg6.UNSPECIFIED)
        sink = self._interfaces.find(layout.SINK_INTERFACE)
        if sink is None or not (sink.alias or "").startswith(layout.SINK_ALIAS_PREFIX):
            return
        for (interface, name), value in _settings_of(sink):
            if interface in ("all", "default") or self._interfaces.find(interface) is not None:
                write_setting(interface, name, value)
        self._interfaces.remove(sink)

    def _ensure_sink(self) -> Interface:
        sink = self._interfaces.find(layout.SINK_INTERFACE)
        alias = sink.alias if sink and sink.alias else self._settings_to_keep()
        near, far = self._interfaces.ensure_pair(
            layout.SINK_INTERFACE,
            layout.SINK_PEER_INTERFACE,
            alias=alias,
            link_layer_address=_SINK_LINK_LAYER_ADDRESS,
            mtu_octets=LARGEST_MTU_OCTETS,
        )
        # Where there is no nftables to drop it before, a packet ends here and is not routed again.
        write_setting(far.name, "disable_ipv6", 1)
        return near

    def _settings_to_keep(self) -> str:
        kept = [
            ("all", "forwarding"),
            ("default", "forwarding"),
            *((core, "accept_ra") for core in self._core_interfaces),
        ]
        return layout.SINK_ALIAS_PREFIX + " ".join(
            f"{interface}/{name}={read_setting(interface, name)}" for interface, name in kept
        )

    def _set_routes(self, sink: Interface) -> None:
        for block in (layout.LINK_LOCAL_BLOCK, layout.MULTICAST_BLOCK):
            self._routes.ensure(self._tables.uplink, block, type="throw")
        self._routes.ensure(self._tables.decapsulation, type="blackhole")
        self._routes.ensure(
            self._tables.anycast, type="local", oif=self._interfaces.get(_LOOPBACK).index
        )
        # A sink and not a blackhole: what has no binding is counted on the way in (FWD-04).
        self._routes.ensure(self._tables.downlink, oif=sink.index, gateway=str(layout.NEXT_HOP))

    def _set_rules(self) -> None:
        wanted = set(shared_rules(self._core_interfaces, self._proxy_care_of_address, self._tables))
        self._rules.move_local_down()
        preferences = {rule.preference for rule in wanted}
        for rule in wanted:
            self._rules.ensure(rule)
        for rule in self._rules.present():
            if rule.preference in preferences and rule not in wanted:
                self._rules.remove(rule)

    def _become_router(self) -> None:
        if read_setting("all", "forwarding") == _HOST:
            # A router forgets routes it learnt from Router Advertisements, unless told otherwise.
            for core in self._core_interfaces:
                if read_setting(core, "accept_ra") == _ACCEPT_RA_AS_HOST:
                    write_setting(core, "accept_ra", _ACCEPT_RA_ALWAYS)
        write_setting("all", "forwarding", _ROUTER)


def _settings_of(sink: Interface) -> Iterator[tuple[tuple[str, str], int]]:
    for setting in (sink.alias or "").removeprefix(layout.SINK_ALIAS_PREFIX).split():
        path, _, value = setting.rpartition("=")
        interface, _, name = path.partition("/")
        yield (interface, name), int(value)
