"""Policy rules: which packets look into which table, and in which order."""

import errno
from ipaddress import IPv6Address
from typing import Any, Final

from mag.dataplane.kernel import layout
from mag.dataplane.kernel.refusal import asking
from mag.dataplane.kernel.route_encoder import AF_INET6
from mag.frozen import frozen
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_IPV6

_LOOPBACK: Final = "lo"
_KERNEL_PROTOCOL: Final = 2
_ACTION_LOOKUP: Final = 1
_NOT_THERE: Final = (errno.ENOENT, errno.ESRCH)


@frozen
class PolicyRule:
    """One rule; `table` None drops the packet silently."""

    preference: int
    table: int | None
    interface: str | None = None
    ip_protocol: int | None = None
    destination: IPv6Address | None = None
    mark: int | None = None
    """Bits that must be set in the packet mark; others do not matter."""
    is_default_suppressed: bool = False
    """A default route found in the table does not count."""

    def request(self) -> dict[str, Any]:
        """pyroute2's arguments."""
        arguments: dict[str, Any] = {"family": AF_INET6, "priority": self.preference}
        if self.table is None:
            arguments["action"] = "blackhole"
        else:
            arguments["table"] = self.table
        if self.interface is not None:
            arguments["iifname"] = self.interface
        if self.ip_protocol is not None:
            arguments["ip_proto"] = self.ip_protocol
        if self.destination is not None:
            arguments["dst"] = str(self.destination)
            arguments["dst_len"] = 128
        if self.mark is not None:
            arguments["fwmark"] = arguments["fwmask"] = self.mark
        if self.is_default_suppressed:
            arguments["suppress_prefixlen"] = 0
        return arguments


def access_rules(interface: str, tables: layout.RoutingTables) -> tuple[PolicyRule, ...]:
    """A node's packets: to another node if allowed, into its tunnel, to the gateway or nowhere."""
    return (
        PolicyRule(layout.ANYCAST_PREFERENCE, tables.anycast, interface, mark=layout.ANYCAST_MARK),
        PolicyRule(
            layout.LOCAL_ROUTING_PREFERENCE,
            tables.local_routing,
            interface,
            mark=layout.LOCAL_ROUTING_MARK,
        ),
        PolicyRule(layout.UPLINK_PREFERENCE, tables.uplink, interface),
        PolicyRule(layout.UNBOUND_PREFERENCE, None, interface),
    )


def tunnel_rule(index: int, tables: layout.RoutingTables) -> PolicyRule:
    """What comes out of a tunnel interface is encapsulated."""
    return PolicyRule(
        layout.ENCAPSULATION_PREFERENCE,
        tables.encapsulation(index),
        layout.tunnel_peer_interface(index),
    )


def shared_rules(
    core_interfaces: tuple[str, ...],
    proxy_care_of_address: IPv6Address,
    tables: layout.RoutingTables,
) -> tuple[PolicyRule, ...]:
    """What all bindings share."""
    decapsulation = (
        PolicyRule(
            layout.DECAPSULATION_PREFERENCE,
            tables.decapsulation,
            interface,
            IP_PROTOCOL_IPV6,
            proxy_care_of_address,
        )
        for interface in core_interfaces
    )
    # Our own ICMPv6 errors and echo replies reach the node; the default of that table, which
    # counts what has no binding, is not for them.
    own_icmp = PolicyRule(
        layout.OWN_ICMP_PREFERENCE,
        tables.downlink,
        _LOOPBACK,
        IP_PROTOCOL_ICMPV6,
        is_default_suppressed=True,
    )
    return *decapsulation, own_icmp


class PolicyRules:
    """The IPv6 rules of the namespace; only those with our protocol number are touched."""

    def __init__(self, netlink: Any) -> None:
        """netlink: pyroute2's IPRoute."""
        self._netlink = netlink

    def present(self) -> set[PolicyRule]:
        """Our rules; the moved `local` is not among them."""
        return {
            _rule_of(message)
            for message in self._netlink.get_rules(family=AF_INET6)
            if message.get_attr("FRA_PROTOCOL") == layout.ROUTE_PROTOCOL
            and message.get_attr("FRA_PRIORITY") != layout.LOCAL_PREFERENCE
        }

    def ensure(self, rule: PolicyRule) -> None:
        """Add the rule unless it is there."""
        with asking("add rule", rule.preference, settled=(errno.EEXIST,)):
            self._netlink.rule("add", protocol=layout.ROUTE_PROTOCOL, **rule.request())

    def remove(self, rule: PolicyRule) -> None:
        """Delete the rule if it is there."""
        with asking("delete rule", rule.preference, settled=_NOT_THERE):
            self._netlink.rule("del", protocol=layout.ROUTE_PROTOCOL, **rule.request())

    def move_local_down(self) -> None:
        """Let our rules come before the table of the machine's own addresses."""
        moved = PolicyRule(layout.LOCAL_PREFERENCE, layout.LOCAL_TABLE)
        self.ensure(moved)
        original = PolicyRule(layout.KERNEL_LOCAL_PREFERENCE, layout.LOCAL_TABLE)
        with asking("delete rule", layout.KERNEL_LOCAL_PREFERENCE, settled=_NOT_THERE):
            self._netlink.rule("del", **original.request())

    def is_local_moved(self) -> bool:
        """Whether that is so."""
        looked_up_at = {
            message.get_attr("FRA_PRIORITY") or 0
            for message in self._netlink.get_rules(family=AF_INET6)
            if message.get_attr("FRA_TABLE") == layout.LOCAL_TABLE
        }
        return looked_up_at == {layout.LOCAL_PREFERENCE}

    def move_local_back(self) -> None:
        """As the kernel set it up, there before ours is gone."""
        original = PolicyRule(layout.KERNEL_LOCAL_PREFERENCE, layout.LOCAL_TABLE)
        with asking("add rule", layout.KERNEL_LOCAL_PREFERENCE, settled=(errno.EEXIST,)):
            self._netlink.rule("add", protocol=_KERNEL_PROTOCOL, **original.request())
        self.remove(PolicyRule(layout.LOCAL_PREFERENCE, layout.LOCAL_TABLE))


def _rule_of(message: Any) -> PolicyRule:
    destination = message.get_attr("FRA_DST")
    return PolicyRule(
        preference=message.get_attr("FRA_PRIORITY") or 0,
        table=message.get_attr("FRA_TABLE") if message["action"] == _ACTION_LOOKUP else None,
        interface=message.get_attr("FRA_IIFNAME"),
        ip_protocol=message.get_attr("FRA_IP_PROTO"),
        destination=IPv6Address(destination) if destination else None,
        mark=message.get_attr("FRA_FWMARK"),
        is_default_suppressed=message.get_attr("FRA_SUPPRESS_PREFIXLEN") == 0,
    )
