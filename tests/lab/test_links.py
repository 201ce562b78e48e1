"""The lab's links: who hears whom, and what a move changes."""

import array
import asyncio
import fcntl
import socket
import struct
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from mag.lab.world import topology
from mag.lab.world.links import Links, built_links
from mag.lab.world.network_namespace import inside_network_namespace

pytestmark = pytest.mark.netns

InPrivateNamespaces = Callable[[Callable[[], Awaitable[Any]]], Any]
PREFERRED = IPv6Address("2001:db8:100::ff:fe00:101")
LINK_LOCAL = IPv6Address("fe80::ff:fe00:101")
EXPERIMENT = 0x88B5
"""Ethertype for local experiments (IEEE 802): no kernel answers it."""
SILENCE_S = 0.2
ARRIVAL_S = 2.0


def packet_socket(node: str, interface: str) -> socket.socket:
    with inside_network_namespace(node):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EXPERIMENT))
    raw.bind((interface, EXPERIMENT))
    raw.setblocking(False)
    return raw


async def is_heard(ear: socket.socket, word: bytes, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            while word not in await asyncio.get_running_loop().sock_recv(ear, 2048):
                pass
    except TimeoutError:
        return False
    return True


async def all_on(links: Links) -> None:
    for node in topology.MOBILE_NODES:
        await links.switch_on(node.name)


def shout(mouth: socket.socket, word: bytes) -> None:
    header = bytes.fromhex("ffffffffffff020000000101") + EXPERIMENT.to_bytes(2, "big")
    mouth.send(header + word.ljust(46, b"."))


@pytest.mark.requirement("LINK-01")
def test_nodes_of_one_cell_do_not_hear_each_other(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """LINK-01: mn1 and mn2 share cell1; only the gateway hears a broadcast of mn1."""

    async def body() -> list[bool]:
        async with built_links() as links:
            await all_on(links)
            mouth = packet_socket("mn1", topology.NODE_INTERFACE)
            gateway = packet_socket("mag1", topology.ACCESS_INTERFACE)
            neighbour = packet_socket("mn2", topology.NODE_INTERFACE)
            shout(mouth, b"hello")
            return [
                await is_heard(gateway, b"hello", ARRIVAL_S),
                await is_heard(neighbour, b"hello", SILENCE_S),
            ]

    assert in_private_namespaces(body) == [True, False]


def test_moved_node_is_heard_by_the_other_gateway_only_and_still_by_no_neighbour(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """kernel_notes: a move makes a new bridge port, whose isolation has to be set again."""

    async def body() -> list[bool]:
        async with built_links() as links:
            await all_on(links)
            mouth = packet_socket("mn1", topology.NODE_INTERFACE)
            old = packet_socket("mag1", topology.ACCESS_INTERFACE)
            new = packet_socket("mag2", topology.ACCESS_INTERFACE)
            neighbour = packet_socket("mn3", topology.NODE_INTERFACE)
            await links.move_radio("mn1", "cell2")
            shout(mouth, b"hello")
            return [
                await is_heard(new, b"hello", ARRIVAL_S),
                await is_heard(old, b"hello", SILENCE_S),
                await is_heard(neighbour, b"hello", SILENCE_S),
            ]

    assert in_private_namespaces(body) == [True, False, False]


def test_bridges_are_silent_and_nodes_wait_for_their_switch(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """Nothing but a node makes frames on an access link; a node off has not even an address."""

    async def body() -> list[Any]:
        async with built_links() as links:
            view = await links.view_of("mn1")
            with inside_network_namespace(topology.RADIO):
                radio = _interfaces_with_ipv6_addresses()
            return [view.address, view.default_router, radio]

    assert in_private_namespaces(body) == [None, None, []]


def test_gateways_that_bypass_the_kernel_get_silent_interfaces_and_whole_frames(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """vpp_notes §8: a segment of a kernel, larger than the MTU, blocks VPP's ring for good."""

    async def body() -> list[Any]:
        async with built_links(gateways_bypass_kernel=True) as links:
            await all_on(links)
            with inside_network_namespace("mag1"):
                gateway = _interfaces_with_ipv6_addresses()
            ends = [
                ("mn1", topology.NODE_INTERFACE),
                ("mag1", topology.ACCESS_INTERFACE),
                ("mag2", topology.CORE_INTERFACE),
                (topology.LOCAL_MOBILITY_ANCHOR, topology.CORE_INTERFACE),
                (topology.LOCAL_MOBILITY_ANCHOR, topology.ANCHOR_TO_CORRESPONDENT),
                (topology.CORRESPONDENT, topology.NODE_INTERFACE),
                (topology.RADIO, "mn1"),
                (topology.CORE, "mag1"),
            ]
            return [gateway, [end for end in ends if _offloads(*end)]]

    assert in_private_namespaces(body) == [[], []]


def test_node_without_the_address_says_how_many_it_has_and_may_have(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """What an operator needs when a node given a new prefix has no traffic (RFC 4862 §5.5.3)."""

    async def body() -> list[str]:
        async with built_links() as links:
            before = await links.sending_in_words("mn1", PREFERRED)
            await links.switch_on("mn1")  # its link-local address is tentative for a second
            return [
                before,
                await links.sending_in_words("mn1", PREFERRED),
                await links.sending_in_words("mn1", LINK_LOCAL),
            ]

    assert in_private_namespaces(body) == [
        f"{PREFERRED} is none of its 0 addresses, it makes 16 at most; no default router",
        f"{PREFERRED} is none of its 1 addresses, it makes 16 at most; no default router",
        f"it still looks for duplicates of {LINK_LOCAL}; no default router",
    ]


def _offloads(node: str, interface: str) -> int:
    """How many of checksum, TCP and generic segmentation and receive offload are on."""
    queries = {"checksum": 0x16, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}
    with (
        inside_network_namespace(node),
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket,
    ):
        return sum(_ethtool_value(any_socket, interface, query) for query in queries.values())


def _ethtool_value(any_socket: socket.socket, interface: str, query: int) -> int:
    value = array.array("I", [query, 0])
    request = struct.pack("@16sP16x", interface.encode(), value.buffer_info()[0])
    fcntl.ioctl(any_socket, 0x8946, request)
    return value[1]


def _interfaces_with_ipv6_addresses() -> list[str]:
    table = Path("/proc/thread-self/net/if_inet6").read_text(encoding="ascii")
    return sorted({line.split()[-1] for line in table.splitlines()} - {"lo"})
