"""Addresses and prefixes of the configuration: text in, typed value out.

Each function takes the text of the file or the typed value itself, and raises PydanticCustomError
(a ValueError) in operators' words.
"""

from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.config.refusal import refusal, shown
from mag.wire.ethernet import (
    ADDRESS_OCTETS,
    format_link_layer_address,
    parse_link_layer_address,
)

SHORTEST_HOME_NETWORK_PREFIX: Final = 32
"""No node is given more than the smallest block that registries allocate to an operator."""
LONGEST_HOME_NETWORK_PREFIX: Final = 64
"""A longer one leaves no room for stateless address configuration (RFC 4862 §5.5.3)."""

_GROUP_BIT: Final = 0x01
_LINK_LOCAL: Final = IPv6Network("fe80::/10")
_NOT_GLOBAL_UNICAST: Final = {
    IPv6Network("::/128"): "the unspecified address",
    IPv6Network("::1/128"): "the loopback address",
    IPv6Network("::ffff:0:0/96"): "an IPv4-mapped address",
    _LINK_LOCAL: "link-local",
    IPv6Network("fec0::/10"): "site-local (withdrawn by RFC 3879)",
    IPv6Network("ff00::/8"): "multicast",
}


def ipv6_address(value: object) -> IPv6Address:
    """`2001:db8::1` without zone."""
    try:
        address = IPv6Address(str(value))
    except ValueError:
        raise refusal(f"must be an IPv6 address, not {shown(value)}") from None
    if address.scope_id is not None:
        raise refusal(f"must be an IPv6 address without a zone, not {shown(value)}")
    return address


def global_unicast_address(value: object) -> IPv6Address:
    """An address that routers forward to one interface (RFC 4291 §2.4); unique local ones too."""
    address = ipv6_address(value)
    for network, words in _NOT_GLOBAL_UNICAST.items():
        if address in network:
            raise refusal(f"must be a global unicast IPv6 address; {address} is {words}")
    return address


def link_local_address_or_none(value: object) -> IPv6Address:
    """An address of fe80::/10 with an interface identifier (RFC 4291 §2.5.6); `::` is none."""
    address = ipv6_address(value)
    if address.is_unspecified:
        return address
    if address not in _LINK_LOCAL or address == _LINK_LOCAL.network_address:
        raise refusal(f"must be a link-local address such as fe80::1, or ::, not {shown(value)}")
    return address


def home_network_prefix(value: object) -> IPv6Network:
    """`2001:db8:1::/64`: global, /32 to /64, no bit set behind the prefix."""
    network = value if isinstance(value, IPv6Network) else _network(value)
    if not SHORTEST_HOME_NETWORK_PREFIX <= network.prefixlen <= LONGEST_HOME_NETWORK_PREFIX:
        raise refusal(
            f"must be a prefix from /{SHORTEST_HOME_NETWORK_PREFIX} to"
            f" /{LONGEST_HOME_NETWORK_PREFIX}, not /{network.prefixlen}"
        )
    for reserved, words in _NOT_GLOBAL_UNICAST.items():
        if network.overlaps(reserved):
            raise refusal(f"must be a global unicast prefix; {network} is or holds {words}")
    return network


def _network(value: object) -> IPv6Network:
    text = str(value)
    try:
        network = IPv6Network(text, strict=False)
    except ValueError:
        raise refusal(
            f"must be an IPv6 prefix such as 2001:db8:1::/64, not {shown(value)}"
        ) from None
    if IPv6Address(text.partition("/")[0]) != network.network_address:
        raise refusal(f"{text} has bits set behind the prefix; did you mean {network}?")
    return network


def link_layer_address(value: object) -> bytes:
    """`02:00:00:00:00:01` as six octets; neither a group address nor all zero."""
    try:
        octets = value if isinstance(value, bytes) else parse_link_layer_address(str(value))
    except ValueError:
        raise refusal(
            f"must be a link-layer address such as 02:00:00:00:00:01, not {shown(value)}"
        ) from None
    if len(octets) != ADDRESS_OCTETS or octets[0] & _GROUP_BIT or not any(octets):
        raise refusal(f"{format_link_layer_address(octets)} is no address of one interface")
    return octets
