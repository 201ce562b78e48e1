"""Subnet-Router anycast addresses (RFC 4291 §2.6.1): in a node's prefix the gateway's only address.

RFC 5213 §6.8: the rest of the prefix is the node's alone.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network
from typing import Final

LONGEST_WITH_ANYCAST_ADDRESS: Final = 126
"""RFC 6164 §5: both addresses of a longer prefix may be hosts."""


def is_anycast_address(address: IPv6Address, prefixes: Iterable[IPv6Network]) -> bool:
    """Whether it is that of one of the prefixes: the one whose host part is zero."""
    return any(
        prefix.network_address == address and prefix.prefixlen <= LONGEST_WITH_ANYCAST_ADDRESS
        for prefix in prefixes
    )
