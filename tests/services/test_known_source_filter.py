"""What of an access link's frames the agent gets to see, told by a real packet socket."""

import os
import socket
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from pyroute2 import IPRoute, netns

from mag.services.known_source_filter import KnownSourceFilter
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_solicitation import (
    NeighborAdvertisement,
    NeighborSolicitation,
    solicited_node,
)
from support.marks import needs_root
from support.namespaces import in_namespace

pytestmark = [pytest.mark.netns, needs_root]
NODE = IPv6Address("fe80::1")
ROUTER = IPv6Address("fe80::200:5eff:fe00:5213")
ANYBODY = IPv6Address("::")
ANYCAST = IPv6Address("2001:db8:1:1::")
KNOWN, UNKNOWN = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
REPORT_BEHIND_ROUTER_ALERT = bytes((58, 0, 5, 2, 0, 0, 1, 0, 143)) + bytes(27)

PACKETS = {
    "traffic": IPv6Packet(NODE, ROUTER, 17, bytes(8)),
    "no octet behind the header": IPv6Packet(NODE, ROUTER, 59, b""),
    "router solicitation": IPv6Packet(NODE, ROUTER, IP_PROTOCOL_ICMPV6, bytes((133,)) + bytes(7)),
    "echo request": IPv6Packet(NODE, ROUTER, IP_PROTOCOL_ICMPV6, bytes((128,)) + bytes(7)),
    "listener report": IPv6Packet(NODE, ROUTER, 0, REPORT_BEHIND_ROUTER_ALERT),
    "advertisement": NeighborAdvertisement(NODE, NODE, is_solicited=True).encode(ROUTER),
    "resolution": NeighborSolicitation(NODE, ROUTER, KNOWN).encode(solicited_node(ROUTER)),
    "anycast resolution": NeighborSolicitation(NODE, ANYCAST, KNOWN).encode(
        solicited_node(ANYCAST)
    ),
    "claim": NeighborSolicitation(ANYBODY, NODE).encode(solicited_node(NODE)),
}
ALWAYS = {"router solicitation", "listener report", "advertisement", "claim", "anycast resolution"}


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two packet sockets, one at each end of a veth pair; the second hears nothing yet."""
    name = f"magtest-{os.getpid()}-filter"
    netns.create(name)
    try:
        ends = in_namespace(name, _ends)
        yield ends
        for end in ends:
            end.close()
    finally:
        netns.remove(name)


def _ends() -> tuple[socket.socket, socket.socket]:
    # The kernel's own claims and reports would be let through as well.
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    with IPRoute() as route:
        route.link("add", ifname="node", kind="veth", peer="gateway")
        for name in ("node", "gateway"):
            route.link("set", index=route.link_lookup(ifname=name)[0], state="up")
    node, gateway = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2))
    node.bind(("node", ETHERTYPE_IPV6))
    gateway.settimeout(10)
    return node, gateway


@pytest.mark.parametrize("pass_unknown_sources", [True, False])
def test_filter_passes_strangers_and_what_nodes_say_to_their_router(
    wire: tuple[socket.socket, socket.socket], pass_unknown_sources: bool
) -> None:
    node, gateway = wire
    kept_out = KnownSourceFilter(pass_unknown_sources=pass_unknown_sources)
    kept_out.add(KNOWN)
    kept_out.attach(gateway)
    gateway.bind(("gateway", ETHERTYPE_IPV6))
    wanted = []
    for source in (KNOWN, UNKNOWN):
        for name, packet in PACKETS.items():
            octets = packet if isinstance(packet, bytes) else packet.encode()
            frame = EthernetFrame(bytes(6), source, ETHERTYPE_IPV6, octets).encode()
            node.send(frame)
            if name in ALWAYS or (source == UNKNOWN and pass_unknown_sources):
                wanted.append(frame)
    assert [gateway.recv(2048) for _ in wanted] == wanted
    gateway.setblocking(False)
    with pytest.raises(BlockingIOError):
        gateway.recv(2048)
    kept_out.close()
