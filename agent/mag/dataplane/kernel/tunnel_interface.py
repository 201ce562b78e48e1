"""The tunnel to one LMA: a pair of interfaces, its rule and its routes."""

from ipaddress import IPv6Address, IPv6Network
from typing import Any

from mag.dataplane.base import DataplaneError, LmaTunnel
from mag.dataplane.kernel import layout, seg6
from mag.dataplane.kernel.interfaces import Interface, Interfaces
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.policy_rules import PolicyRules, tunnel_rule
from mag.dataplane.kernel.route_table import RouteTables
from mag.frozen import frozen
from mag.protocol.settings import MINIMUM_IPV6_MTU

_UNSPECIFIED = IPv6Address("::")


@frozen
class TunnelInterface:
    """A tunnel as found in the kernel."""

    index: int
    """In the names, the table and the link-layer address."""
    ifindex: int
    tunnel: LmaTunnel


class TunnelInterfaces:
    """The tunnels of the namespace, recognised by the alias of their interface."""

    def __init__(self, netlink: Any, channel: NetlinkChannel, tables: layout.RoutingTables) -> None:
        """netlink: pyroute2's IPRoute."""
        self._tables = tables
        self._interfaces = Interfaces(netlink)
        self._rules = PolicyRules(netlink)
        self._routes = RouteTables(netlink, channel)

    def present(self) -> dict[IPv6Address, TunnelInterface]:
        """The tunnels there are; one that lost a part of its set-up has MTU 0."""
        ends = self._routes.tunnel_ends(self._tables.decapsulation)
        rules = self._rules.present()
        return {
            lma: self._found(interface, index, lma, rules, ends.get(lma, set()))
            for interface in self._interfaces.all()
            if (lma := layout.lma_of_alias(interface.alias)) is not None
            and (index := layout.tunnel_index(interface.name)) is not None
        }

    def _found(
        self,
        interface: Interface,
        index: int,
        lma: IPv6Address,
        rules: set[Any],
        proxies: set[IPv6Address],
    ) -> TunnelInterface:
        encapsulation = self._routes.destinations(self._tables.encapsulation(index))
        is_whole = (
            interface.is_up
            and tunnel_rule(index, self._tables) in rules
            and len(proxies) == 1
            and encapsulation == {IPv6Network(lma), None}
        )
        return TunnelInterface(
            index,
            interface.index,
            LmaTunnel(
                proxy_care_of_address=min(proxies, default=_UNSPECIFIED),
                lma_address=lma,
                mtu_octets=interface.mtu_octets if is_whole else 0,
            ),
        )

    def ensure(self, tunnel: LmaTunnel, index: int) -> TunnelInterface:
        """Set the tunnel up under `index`, which is free or already this tunnel's."""
        if tunnel.mtu_octets < MINIMUM_IPV6_MTU:
            reason = f"tunnel MTU below {MINIMUM_IPV6_MTU}: the kernel path cannot fragment"
            raise DataplaneError("set tunnel", reason, target=str(tunnel.lma_address))
        near, far = self._interfaces.ensure_pair(
            layout.tunnel_interface(index),
            layout.tunnel_peer_interface(index),
            alias=layout.tunnel_alias(tunnel.lma_address),
            link_layer_address=layout.pair_link_layer_address(index),
            mtu_octets=tunnel.mtu_octets,
        )
        self._set_encapsulation(tunnel, index, far)
        self._set_decapsulation(tunnel, far)
        self._rules.ensure(tunnel_rule(index, self._tables))
        return TunnelInterface(index, near.index, tunnel)

    def remove(self, tunnel: TunnelInterface) -> None:
        """Take the tunnel away; the routes over its interfaces go with them."""
        interface = self._interfaces.find(layout.tunnel_interface(tunnel.index))
        if interface and layout.lma_of_alias(interface.alias) == tunnel.tunnel.lma_address:
            self._interfaces.remove(interface)
        self._rules.remove(tunnel_rule(tunnel.index, self._tables))
        self._routes.clear(self._tables.encapsulation(tunnel.index))

    def _set_encapsulation(self, tunnel: LmaTunnel, index: int, far: Interface) -> None:
        table = self._tables.encapsulation(index)
        lma = IPv6Network(tunnel.lma_address)
        # Without a way out the tunnel packet, which is looked up here once more, would be
        # encapsulated again. Only with our source: a node's packet *to* the LMA is tunnelled.
        self._routes.ensure(table, lma, src=f"{tunnel.proxy_care_of_address}/128", type="throw")
        self._routes.ensure(table, encap=seg6.encapsulation(tunnel.lma_address), oif=far.index)

    def _set_decapsulation(self, tunnel: LmaTunnel, far: Interface) -> None:
        source = f"{tunnel.lma_address}/128"
        table = self._tables.decapsulation
        # The device has no meaning for a route that decapsulates, but the route goes when its
        # device goes down: not to be tied to the core link.
        self._routes.ensure(
            table,
            IPv6Network(tunnel.proxy_care_of_address),
            src=source,
            oif=far.index,
            encap=seg6.decapsulation(self._tables.downlink),
        )
        for proxy in self._routes.tunnel_ends(table).get(tunnel.lma_address, set()):
            if proxy != tunnel.proxy_care_of_address:
                self._routes.remove(table, IPv6Network(proxy), src=source)
