"""The reference LMA as a process, with a gateway made of two sockets: what is on the wire."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from pyroute2 import AsyncIPRoute

from lab.anchor_domain import prefixes_of
from mag.lab.gateway_config import write_anchor_config
from mag.lab.world import topology
from mag.lab.world.links import built_links
from mag.lab.world.network_namespace import inside_network_namespace
from mag.lab.world.node_process import NodeProcess, start_python
from mag.protocol.ordering import TICKS_PER_S
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.iana import IP_PROTOCOL_IPV6, IP_PROTOCOL_MOBILITY_HEADER, BindingStatus
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    TimestampOption,
)

pytestmark = pytest.mark.netns

InPrivateNamespaces = Callable[[Callable[[], Awaitable[Any]]], Any]
TIMEOUT_S = 5.0
SILENCE_S = 0.2
ETHERNET_OCTETS = 14
IPV6_OCTETS = 40
PACKET_TOO_BIG = 2
RTPROT_KERNEL = 2


class Gateway:
    """Sends PBUs of mn1 and sees what comes out of the tunnel, not taken apart."""

    def __init__(self, gateway: topology.Gateway) -> None:
        self._address = gateway.proxy_care_of_address
        self._loop = asyncio.get_running_loop()
        with inside_network_namespace(gateway.name):
            self._signalling = socket.socket(
                socket.AF_INET6, socket.SOCK_RAW, IP_PROTOCOL_MOBILITY_HEADER
            )
            self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        self._signalling.bind((str(self._address), 0))
        self._wire.bind((topology.CORE_INTERFACE, 0x86DD))
        for each in (self._signalling, self._wire):
            each.setblocking(False)

    async def register(self, lifetime_s: int = 600, handoff: int = 3) -> BindingStatus:
        """One PBU, its answer's status."""
        return BindingStatus((await self.ask(lifetime_s, handoff)).status)

    async def ask(self, lifetime_s: int = 600, handoff: int = 3) -> ProxyBindingAcknowledgement:
        """One PBU and its answer."""
        node = topology.MOBILE_NODES[0]
        options = (
            MobileNodeIdentifierOption(node.mn_id.encode()),
            HomeNetworkPrefixOption.of(IPv6Network("::/0")),
            HandoffIndicatorOption(handoff),
            AccessTechnologyTypeOption(3),
            MobileNodeLinkLayerIdentifierOption(bytes(range(6))),
            TimestampOption(int(time.time() * TICKS_PER_S)),
        )
        message = ProxyBindingUpdate(1, lifetime_s, options)
        lma = topology.LMA_ADDRESS
        octets = mobility_header.encode(message, self._address, lma)
        self._signalling.sendto(octets, (str(lma), 0))
        decoded = mobility_header.decode(await self.received(), lma, self._address)
        assert isinstance(decoded, ProxyBindingAcknowledgement)
        return decoded

    async def received(self) -> bytes:
        """The next Mobility Header message."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._loop.sock_recv(self._signalling, 2048)

    async def tunnelled(self, within_s: float) -> bytes | None:
        """The next tunnel packet, outer IPv6 header first; None when none comes."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    frame = await self._loop.sock_recv(self._wire, 4096)
                    packet = frame[ETHERNET_OCTETS:]
                    if packet[6] == IP_PROTOCOL_IPV6:
                        return packet
        except TimeoutError:
            return None


class Correspondent:
    """Sends to the node's prefix; hears ICMPv6 errors about it."""

    def __init__(self) -> None:
        with inside_network_namespace(topology.CORRESPONDENT):
            self._udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self._errors = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._udp.bind((str(topology.CORRESPONDENT_SIDE.ip), 0))
        self._errors.setblocking(False)

    def send(self, prefix: IPv6Network, octets: int = 64) -> None:
        self._udp.sendto(bytes(octets), (str(prefix[1]), 9))

    async def told_mtu(self) -> int:
        """The MTU of the next Packet Too Big."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                loop = asyncio.get_running_loop()
                packet = await loop.sock_recv(self._errors, 4096)
                if packet[0] == PACKET_TOO_BIG:
                    return int.from_bytes(packet[4:8], "big")


@asynccontextmanager
async def domain() -> AsyncIterator[tuple[NodeProcess, Gateway, Gateway, Correspondent]]:
    """LMA running, two gateways, a correspondent."""
    async with built_links():
        process = await started_anchor()
        mag1, mag2 = (Gateway(each) for each in topology.GATEWAYS)
        yield process, mag1, mag2, Correspondent()


async def started_anchor() -> NodeProcess:
    arguments = ("-m", "mag.lab.anchor.local_mobility_anchor", str(write_anchor_config()))
    process = start_python(topology.LOCAL_MOBILITY_ANCHOR, "lma", arguments)
    assert json.loads(await process.next_line(TIMEOUT_S))["event"] == "anchor_ready"
    return process


async def kernel_state() -> list[str]:
    """Rules, links and all routes but the kernel's own (RTPROT_KERNEL) in the LMA's namespace."""
    with inside_network_namespace(topology.LOCAL_MOBILITY_ANCHOR):
        netlink = AsyncIPRoute()
        netlink.fileno()
    async with netlink:
        rules = [r async for r in await netlink.get_rules(family=socket.AF_INET6)]
        every = [r async for r in await netlink.get_routes(family=socket.AF_INET6)]
        links = [link async for link in await netlink.get_links()]
    routes = [route for route in every if route["proto"] != RTPROT_KERNEL]
    return sorted(
        [f"rule {r.get_attr('FRA_PRIORITY') or 0} {r.get_attr('FRA_TABLE')}" for r in rules]
        + [f"route {r.get_attr('RTA_TABLE')} {r.get_attr('RTA_DST')} {r['proto']}" for r in routes]
        + [f"link {link.get_attr('IFLA_IFNAME')}" for link in links]
    )


def test_packet_for_a_registered_prefix_is_tunnelled_to_its_gateway(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """RFC 5213 §5.6.2: plain IPv6 in IPv6 from LMAA to Proxy-CoA, no routing header."""

    async def body() -> list[Any]:
        async with domain() as (_, mag1, _mag2, correspondent):
            answer = await mag1.ask()
            (prefix,) = prefixes_of(answer)
            correspondent.send(prefix)
            packet = await mag1.tunnelled(TIMEOUT_S)
            assert packet is not None
            inner = packet[IPV6_OCTETS:]
            addresses = (packet[8:24], packet[24:40], inner[8:24], inner[24:40])
            hop_limit = inner[7]
            return [*(str(IPv6Address(address)) for address in addresses), hop_limit]

    lma, mag1 = topology.LMA_ADDRESS, topology.GATEWAYS[0].proxy_care_of_address
    correspondent = topology.CORRESPONDENT_SIDE.ip
    node = topology.PREFIX_POOL[1]
    expected = [*map(str, (lma, mag1, correspondent, node)), 63]
    assert in_private_namespaces(body) == expected


def test_handover_turns_the_tunnel_before_the_answer_is_out(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """RFC 5213 §5.3.4: the new gateway has the traffic, the old one none of it."""

    async def body() -> list[bool]:
        async with domain() as (_, mag1, mag2, correspondent):
            (prefix,) = prefixes_of(await mag1.ask())
            await mag2.register()
            correspondent.send(prefix)
            new, old = await mag2.tunnelled(TIMEOUT_S), await mag1.tunnelled(SILENCE_S)
            return [new is not None, old is not None]

    assert in_private_namespaces(body) == [True, False]


def test_deregistered_prefix_is_dropped_in_silence(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    async def body() -> bool:
        async with domain() as (_, mag1, _mag2, correspondent):
            (prefix,) = prefixes_of(await mag1.ask())
            await mag1.register(lifetime_s=0, handoff=4)
            correspondent.send(prefix)
            return await mag1.tunnelled(SILENCE_S) is not None

    assert in_private_namespaces(body) is False


def test_packet_that_does_not_fit_the_tunnel_is_answered_with_its_mtu(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    """T2473-12: 1500 octets of core less 40 of header."""

    async def body() -> int:
        async with domain() as (_, mag1, _mag2, correspondent):
            (prefix,) = prefixes_of(await mag1.ask())
            correspondent.send(prefix, octets=1500 - IPV6_OCTETS - 8)
            return await correspondent.told_mtu()

    assert in_private_namespaces(body) == topology.TUNNEL_MTU


def test_anchor_that_is_told_to_stop_leaves_the_kernel_as_it_was(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    async def body() -> list[Any]:
        async with built_links():
            before = await kernel_state()
            process = await started_anchor()
            await Gateway(topology.GATEWAYS[0]).register()
            during = await kernel_state()
            status = await process.stop(TIMEOUT_S)
            return [status, before, during, await kernel_state()]

    status, before, during, after = in_private_namespaces(body)
    assert status == 0
    assert set(during) != set(before)
    assert after == before


def test_anchor_starts_again_over_what_a_killed_one_left(
    in_private_namespaces: InPrivateNamespaces,
) -> None:
    async def body() -> bool:
        async with domain() as (process, mag1, _mag2, correspondent):
            await mag1.register()
            os.kill(process.pid, signal.SIGKILL)
            await process.wait(TIMEOUT_S)
            await started_anchor()
            (prefix,) = prefixes_of(await mag1.ask())
            correspondent.send(prefix)
            return await mag1.tunnelled(TIMEOUT_S) is not None

    assert in_private_namespaces(body) is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("address: 2001:db8:c0::1", "address: 2001:db8::77"), "no address 2001:db8::77"),
        (("core_interface: core", "core_interface: nope"), "no interface nope"),
    ],
    ids=["address", "interface"],
)
def test_anchor_that_cannot_start_says_why_in_one_line(
    in_private_namespaces: InPrivateNamespaces, change: tuple[str, str], words: str
) -> None:
    async def body() -> list[Any]:
        async with built_links():
            path = write_anchor_config()
            text = path.read_text(encoding="utf-8").replace(*change)
            path.write_text(text, encoding="utf-8")
            arguments = ("-m", "mag.lab.anchor.local_mobility_anchor", str(path))
            process = start_python(topology.LOCAL_MOBILITY_ANCHOR, "lma", arguments)
            return [await process.wait(TIMEOUT_S), process.log_tail().strip().splitlines()]

    status, lines = in_private_namespaces(body)
    assert status == 1
    assert len(lines) == 1
    assert words in lines[0]
