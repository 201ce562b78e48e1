"""Asks from a node whether another is reached, by ICMPv6 echo (RFC 4443 §4), and for a router."""

import asyncio
import os
import socket
import struct
from ipaddress import IPv6Address
from typing import Final

from mag.lab.world import topology
from mag.lab.world.network_namespace import inside_network_namespace

_ECHO_REQUEST: Final = 128
_ECHO_REPLY: Final = 129
_ROUTER_SOLICITATION: Final = 133
_ROUTER_ADVERTISEMENT: Final = 134
_ALL_ROUTERS: Final = "ff02::2"
_ND_HOP_LIMIT: Final = 255
_ICMP6_FILTER: Final = 1
_HEADER: Final = struct.Struct("!BBHHH")
_MAX_PACKET_OCTETS: Final = 65536


async def echo_round_trip_s(
    node: str,
    source: IPv6Address,
    destination: IPv6Address,
    timeout_s: float,
    *,
    interface: str | None = None,
) -> float | None:
    """Send one echo request from a node; seconds until its reply, None if there is none.

    source: an address of the node. interface: where a namespace holds many nodes, this one's.
    A node that has no route yet gets None at once.
    """
    identifier = os.getpid() & 0xFFFF
    loop = asyncio.get_running_loop()
    with inside_network_namespace(node):
        icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with icmp:
        icmp.setblocking(False)
        icmp.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _only(_ECHO_REPLY))
        started = loop.time()
        try:
            if interface is not None:
                icmp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            icmp.bind((str(source), 0))
            request = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, 1)
            icmp.sendto(request, (str(destination), 0))
        except OSError:
            return None
        try:
            async with asyncio.timeout(timeout_s):
                while not await _is_reply_to(icmp, identifier):
                    pass
        except TimeoutError:
            return None
        return loop.time() - started


async def advertised_within_s(node: str, timeout_s: float) -> float | None:
    """Send one Router Solicitation from a mobile node (RFC 4861 §4.1); seconds until any Router
    Advertisement, None if there is none."""
    loop = asyncio.get_running_loop()
    with inside_network_namespace(node):
        icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with icmp:
        icmp.setblocking(False)
        icmp.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _only(_ROUTER_ADVERTISEMENT))
        interface = topology.NODE_INTERFACE.encode()
        icmp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface)
        icmp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _ND_HOP_LIMIT)
        started = loop.time()
        icmp.sendto(struct.pack("!BBHI", _ROUTER_SOLICITATION, 0, 0, 0), (_ALL_ROUTERS, 0))
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_recv(icmp, _MAX_PACKET_OCTETS)
        except TimeoutError:
            return None
        return loop.time() - started


async def _is_reply_to(icmp: socket.socket, identifier: int) -> bool:
    packet = await asyncio.get_running_loop().sock_recv(icmp, _MAX_PACKET_OCTETS)
    return len(packet) >= _HEADER.size and _HEADER.unpack_from(packet)[3] == identifier


def _only(icmp_type: int) -> bytes:
    """An ICMP6_FILTER that lets one type pass (RFC 3542 §3.2): a set bit blocks."""
    words = [0xFFFFFFFF] * 8
    words[icmp_type // 32] &= ~(1 << icmp_type % 32)
    return struct.pack("=8I", *words)
