"""The nftables table `inet mag` as text and back: link-layer check, counters, ECN, hop limit.

Routing alone already keeps unbound sources out; this table ties a source to its link and its
link-layer address and says how much went where. Elements of sets are bindings; there is one set
and one rule for each direction and prefix length in use, since interval sets copy themselves at
every commit.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv6Address, IPv6Network
from typing import Final, NamedTuple

from mag.dataplane.base import DROP_REASONS, MobileNodeForwarding
from mag.dataplane.kernel.layout import (
    ANYCAST_MARK,
    CONGESTION_MARK,
    LOCAL_ROUTING_MARK,
    SINK_INTERFACE,
)
from mag.protocol.anycast_address import LONGEST_WITH_ANYCAST_ADDRESS
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS
from mag.wire.iana import IP_PROTOCOL_ICMPV6

TABLE_NAME: Final = "mag"
TABLE: Final = f"inet {TABLE_NAME}"
OUTER_HOP_LIMIT: Final = 64
"""RFC 2473 §6.3, as IPv6 hosts send."""
_SET_SIZE: Final = 1_048_576

DELETE_TABLE: Final = f"add table {TABLE}\ndelete table {TABLE}\n"
LIST_NO_TABLE: Final = f"list table {TABLE}-probe"
"""Refused as not there wherever nftables works; cheap, unlike a list of all tables."""

_UPLINK_SET: Final = "uplink"
_PEER_SET: Final = "peer"
"""As `uplink`, on links without link-layer addresses."""
_DOWNLINK_SET: Final = "downlink"
_LOCAL_ROUTING_SET: Final = "local"
_BINDING_SETS: Final = (_UPLINK_SET, _PEER_SET, _DOWNLINK_SET, _LOCAL_ROUTING_SET)
_ACCESS_INTERFACES: Final = "access_interfaces"
_CORE_INTERFACES: Final = "core_interfaces"
_LMA_ADDRESSES: Final = "lma_addresses"
_SHARED_SETS: Final = (_ACCESS_INTERFACES, _CORE_INTERFACES, _LMA_ADDRESSES)

_INTERFACE_NAME_OCTETS: Final = 16
_UPLINK_KEY: Final = struct.Struct("16s6s2x16s")
_PREFIX_KEY: Final = struct.Struct("16s16s")
"""Interface name, link-layer address, prefix: as the kernel keeps them."""


class Element(NamedTuple):
    """One element of a set."""

    set_name: str
    key: bytes
    """As the kernel keeps it: the parts in network order, each padded to four octets."""


def base_commands(
    core_interfaces: tuple[str, ...], proxy_care_of_address: IPv6Address, lengths: Iterable[int]
) -> str:
    """Everything but the elements; repeating it changes nothing and disturbs no packet.

    lengths: prefix lengths whose sets are there already.
    """
    return "\n".join(
        (
            f"add table {TABLE}",
            f"add set {TABLE} access_interfaces {{ type ifname; }}",
            f"add set {TABLE} core_interfaces {{ type ifname; }}",
            f"add set {TABLE} lma_addresses {{ type ipv6_addr; }}",
            *(f"add counter {TABLE} {reason}" for reason in DROP_REASONS),
            f"flush set {TABLE} core_interfaces",
            *(f'add element {TABLE} core_interfaces {{ "{name}" }}' for name in core_interfaces),
            *_chains(proxy_care_of_address),
            *(length_commands(length) for length in sorted(lengths)),
            "",
        )
    )


def _chains(proxy_care_of_address: IPv6Address) -> Iterator[str]:
    for name, (hook, rules) in _rules_by_chain(proxy_care_of_address).items():
        yield f"add chain {TABLE} {name} {hook}"
        yield f"flush chain {TABLE} {name}"
        yield from (f"add rule {TABLE} {name} {rule}" for rule in rules)


def _rules_by_chain(
    proxy_care_of_address: IPv6Address,
) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Hook and rules of each chain, those that are jumped to before those that jump."""
    to_lma = f"ip6 saddr {proxy_care_of_address} ip6 daddr @lma_addresses ip6 nexthdr 41"
    return {
        "bound_source": ("", ()),
        "bound_destination": ("", ()),
        "local_source": ("", ()),
        "anycast_destination": ("", ()),
        "from_node": (
            "",
            (
                "ip6 daddr { fe80::/10, ff00::/8 } accept",
                "ip6 saddr fe80::/10 counter name link_local_source drop",
                "jump local_source",
                "jump anycast_destination",
                "jump bound_source",
                "counter name unknown_source drop",
            ),
        ),
        "from_tunnel": (
            "",
            (
                "ip6 saddr != @lma_addresses counter name unknown_tunnel_peer drop",
                f"ip6 ecn ce meta mark set meta mark or {CONGESTION_MARK:#x}",
            ),
        ),
        "to_node": (
            "",
            (
                f"meta mark and {CONGESTION_MARK:#x} != 0 ip6 ecn not-ect"
                " counter name bad_ecn drop",
                f"meta mark and {CONGESTION_MARK:#x} != 0 ip6 ecn set ce",
                "jump bound_destination",
            ),
        ),
        "prerouting": (
            "{ type filter hook prerouting priority raw; }",
            (
                "meta nfproto ipv6 iifname @access_interfaces jump from_node",
                f"iifname @core_interfaces meta l4proto 41 ip6 daddr {proxy_care_of_address}"
                " jump from_tunnel",
            ),
        ),
        "forward": (
            "{ type filter hook forward priority filter; }",
            (
                f'oifname "{SINK_INTERFACE}" counter name unknown_inner_destination drop',
                "meta nfproto ipv6 oifname @access_interfaces jump to_node",
            ),
        ),
        "output": (
            "{ type filter hook output priority filter; }",
            # Two nodes on one link: the kernel would send them past the gateway (RFC 4861 §8),
            # to the next hop that stands for a binding.
            ("oifname @access_interfaces icmpv6 type nd-redirect drop",),
        ),
        "postrouting": (
            "{ type filter hook postrouting priority mangle; }",
            (
                f"{to_lma} ip6 hoplimit set {OUTER_HOP_LIMIT}",
                # RFC 3168 §9.1.1: the tunnel header of a marked packet starts unmarked.
                f"{to_lma} ip6 ecn ce ip6 ecn set ect0",
            ),
        ),
    }


def length_commands(length: int) -> str:
    """Sets and rules for prefixes of one length, to be run once."""
    attributes = f"size {_SET_SIZE}; counter;"
    return (
        f"add set {TABLE} {_UPLINK_SET}{length}"
        f" {{ typeof iifname . ether saddr . ip6 saddr; {attributes} }}\n"
        f"add set {TABLE} {_PEER_SET}{length} {{ typeof iifname . ip6 saddr; {attributes} }}\n"
        f"add set {TABLE} {_DOWNLINK_SET}{length}"
        f" {{ typeof oifname . ip6 daddr; {attributes} }}\n"
        f"add set {TABLE} {_LOCAL_ROUTING_SET}{length} {{ typeof ip6 saddr; size {_SET_SIZE}; }}\n"
        f"{_length_rules(length)}\n"
    )


def _length_rules(length: int) -> str:
    mask = IPv6Network(f"::/{length}").netmask
    return (
        f"add rule {TABLE} bound_source"
        f" iifname . ether saddr . (ip6 saddr & {mask}) @{_UPLINK_SET}{length} accept\n"
        f"add rule {TABLE} bound_source"
        f" iifname . (ip6 saddr & {mask}) @{_PEER_SET}{length} accept\n"
        f"add rule {TABLE} bound_destination"
        f" oifname . (ip6 daddr & {mask}) @{_DOWNLINK_SET}{length} accept\n"
        f"add rule {TABLE} local_source ip6 saddr & {mask} @{_LOCAL_ROUTING_SET}{length}"
        f" meta mark set meta mark or {LOCAL_ROUTING_MARK:#x}"
        f"{_anycast_rules(length)}"
    )


def _anycast_rules(length: int) -> str:
    """The gateway's address in each prefix is the one whose host part is zero (RFC 4291 §2.6.1)."""
    if length > LONGEST_WITH_ANYCAST_ADDRESS:
        return ""
    chain, host_mask = f"anycast{length}", IPv6Network(f"::/{length}").hostmask
    return (
        f"\nadd chain {TABLE} {chain}\nflush chain {TABLE} {chain}\n"
        # Not in the set, and not the reverse: an element that is found counts the packet.
        f"add rule {TABLE} {chain}"
        f" iifname . ether saddr . ip6 daddr != @{_UPLINK_SET}{length} return\n"
        # A frame without addresses gets past that rule, whatever it is for.
        f"add rule {TABLE} {chain} meta iiftype != ether"
        f" iifname . ip6 daddr != @{_PEER_SET}{length} return\n"
        f"add rule {TABLE} {chain} meta mark set meta mark or {ANYCAST_MARK:#x}\n"
        f"add rule {TABLE} anycast_destination"
        f" ip6 daddr & {host_mask} == :: meta l4proto {IP_PROTOCOL_ICMPV6} jump {chain}"
    )


def access_interface(interface: str) -> Element:
    """The element that makes an interface an access link."""
    return Element(_ACCESS_INTERFACES, _interface_key(interface))


def lma_address(address: IPv6Address) -> Element:
    """The element that makes an address a tunnel peer."""
    return Element(_LMA_ADDRESSES, address.packed)


def elements_of(record: MobileNodeForwarding) -> Iterator[Element]:
    """Every element of a binding."""
    for uplink, downlink in counting_elements_of(record):
        yield uplink
        yield downlink
    if record.local_routing:
        for prefix in record.home_network_prefixes:
            yield Element(f"{_LOCAL_ROUTING_SET}{prefix.prefixlen}", prefix.network_address.packed)


def counting_elements_of(record: MobileNodeForwarding) -> Iterator[tuple[Element, Element]]:
    """The uplink and the downlink element for each prefix of a binding."""
    interface = _interface_key(record.access_interface)
    for prefix in record.home_network_prefixes:
        address = prefix.network_address.packed
        if record.mn_link_layer_address == NO_LINK_LAYER_ADDRESS:
            uplink = Element(f"{_PEER_SET}{prefix.prefixlen}", interface + address)
        else:
            key = _UPLINK_KEY.pack(interface, record.mn_link_layer_address, address)
            uplink = Element(f"{_UPLINK_SET}{prefix.prefixlen}", key)
        yield uplink, Element(f"{_DOWNLINK_SET}{prefix.prefixlen}", interface + address)


def element_commands(verb: str, elements: Iterable[Element]) -> str:
    """`add` or `delete` the elements, one command for each set."""
    keys: dict[str, list[str]] = {}
    for element in elements:
        keys.setdefault(element.set_name, []).append(text_of(element))
    return "".join(
        f"{verb} element {TABLE} {name} {{ {', '.join(members)} }}\n"
        for name, members in keys.items()
    )


def length_of(element: Element) -> int:
    """The prefix length of a binding's element."""
    name = element.set_name
    for direction in _BINDING_SETS:
        name = name.removeprefix(direction)
    return int(name)


def is_of_bindings(set_name: str) -> bool:
    """Whether its elements belong to bindings rather than to access links or tunnels."""
    return set_name.startswith(_BINDING_SETS)


def is_set_of_ours(name: str) -> bool:
    """Whether it is one that elements are kept in; rules have nameless ones of their own."""
    return name in _SHARED_SETS or name.startswith(_BINDING_SETS)


def lengths_in(set_names: Iterable[str]) -> set[int]:
    """Prefix lengths that have sets."""
    return {
        int(name.removeprefix(_UPLINK_SET)) for name in set_names if name.startswith(_UPLINK_SET)
    }


def text_of(element: Element) -> str:
    """The key as commands write it, its parts joined by ` . `."""
    name, key = element
    if name.startswith(_UPLINK_SET):
        interface, link_layer_address, address = _UPLINK_KEY.unpack(key)
        return f"{_interface(interface)} . {link_layer_address.hex(':')} . {_inet6(address)}"
    if name.startswith((_PEER_SET, _DOWNLINK_SET)):
        interface, address = _PREFIX_KEY.unpack(key)
        return f"{_interface(interface)} . {_inet6(address)}"
    return _interface(key) if name in (_ACCESS_INTERFACES, _CORE_INTERFACES) else _inet6(key)


def _interface_key(interface: str) -> bytes:
    return interface.encode().ljust(_INTERFACE_NAME_OCTETS, b"\0")


def _interface(key: bytes) -> str:
    name = key.rstrip(b"\0").decode(errors="replace")
    return f'"{name}"'


def _inet6(key: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, key)
