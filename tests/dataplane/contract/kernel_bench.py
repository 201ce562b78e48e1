"""The bench around the kernel: two private namespaces, one for the gateway, one for all others.

The others have no IPv6 of their own: frames are made and read by the test, so that whatever is
seen came out of the gateway.
"""

import itertools
import select
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from dataplane.contract import frames
from dataplane.contract.bench import LINKS, LMA_A, LMA_B, PROXY_COA, STRANGER, Seen
from mag.dataplane.kernel.backend import KernelDataplane
from mag.dataplane.verdict import Ecn, InnerPacket
from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS
from support.namespaces import in_namespace

CORE = "core"
WITNESS = IPv6Address("2001:db8:c::ffff")
"""Pings the gateway from the core; its answer says that all that was sent before is through."""
CORE_LINK_LAYER_ADDRESS = "02:00:00:00:00:c0"
WORLD_LINK_LAYER_ADDRESS = "02:00:00:00:00:ff"
ETHERTYPE_IPV6 = 0x86DD
LOCAL_TABLE = 255
IFF_UP = 1
DEADLINE_S = 5.0
ANSWER_DEADLINE_S = 5.0


class WireBench:
    """Sends and sees frames on links between two namespaces, whatever forwards in the gateway's.

    It answers pings to the Proxy-CoA from the core: that is how the bench knows it is through.
    """

    def __init__(self, gateway: str, world: str) -> None:
        self.gateway, self.world = gateway, world
        in_namespace(world, silence)
        in_namespace(gateway, lambda: _connect(world))
        self._taps = in_namespace(world, lambda: {name: tap_of(name) for name in (CORE, *LINKS)})
        self._pings = itertools.count(1)
        self._nodes: dict[str, bytes] = {}
        self.frames: list[tuple[str, bytes]] = []
        """Every frame that was seen, by link."""

    def close(self) -> None:
        for tap in self._taps.values():
            tap.close()

    async def from_node(
        self, access_interface: str, link_layer_source: bytes, packet: InnerPacket
    ) -> list[Seen]:
        self._nodes[access_interface] = link_layer_source
        frame = Ether(src=link_layer_source.hex(":"), dst=RESERVED_LINK_LAYER_ADDRESS.hex(":"))
        return self.exchange(
            access_interface,
            frame / frames.inner_of(packet),
            is_answered=frames.may_be_gateway(packet.destination),
        )

    async def from_tunnel(
        self,
        outer_source: IPv6Address,
        inner: InnerPacket,
        *,
        outer_ecn: Ecn = Ecn.NOT_ECT,
        has_encapsulation_limit: bool = False,
        fragment_octets: int | None = None,
    ) -> list[Seen]:
        packet = frames.tunnel_packet(
            outer_source,
            PROXY_COA,
            inner,
            outer_ecn,
            has_encapsulation_limit=has_encapsulation_limit,
        )
        parts = [packet] if fragment_octets is None else frames.cut(packet, fragment_octets)
        return self.exchange(CORE, *map(self.to_gateway, parts))

    @staticmethod
    def to_gateway(packet: Packet) -> Packet:
        """The frame that brings a packet from the core."""
        return Ether(src=WORLD_LINK_LAYER_ADDRESS, dst=CORE_LINK_LAYER_ADDRESS) / packet

    def exchange(self, link: str, *sent: Packet, is_answered: bool = False) -> list[Seen]:
        """Send frames on a link; everything that came out anywhere because of them."""
        for frame in sent:
            self._taps[link].send(bytes(frame))
        seen: list[Seen] = []
        # Twice: the path through a tunnel is queued twice, the first answer may overtake it.
        for _ in range(2):
            seen += self._until_witnessed()
        give_up = time.monotonic() + ANSWER_DEADLINE_S
        while is_answered and not seen and time.monotonic() < give_up:
            seen += self._until_witnessed()
        return seen

    def _until_witnessed(self) -> list[Seen]:
        identifier = next(self._pings)
        ping = self.to_gateway(frames.ping(WITNESS, PROXY_COA, identifier))
        self._taps[CORE].send(bytes(ping))
        seen: list[Seen] = []
        is_witnessed = False
        deadline = time.monotonic() + DEADLINE_S
        while not is_witnessed:
            for link, frame in self._read(deadline):
                if frames.is_ping_reply(frame, identifier) and link == CORE:
                    is_witnessed = True
                elif (what := self._judge(link, frame)) is not None:
                    seen.append(what)
        return seen

    def _read(self, deadline: float) -> Iterator[tuple[str, bytes]]:
        ready, _, _ = select.select(
            self._taps.values(), [], [], max(0.0, deadline - time.monotonic())
        )
        assert ready, "the gateway no longer answers a ping from the core"
        for link, tap in self._taps.items():
            while tap in ready:
                try:
                    yield link, tap.recv(65535)
                except BlockingIOError:
                    break

    def _judge(self, link: str, frame: bytes) -> Seen | None:
        node = self._nodes.get(link)
        if node is not None and (answer := frames.neighbor_answer(frame, node)) is not None:
            self._taps[link].send(answer)
        if frames.is_link_maintenance(frame):
            return None
        self.frames.append((link, frame))
        if link == CORE:
            return frames.seen_on_core(frame)
        return frames.seen_on_access(link, frame)


class KernelBench(WireBench):
    """Implements Bench."""

    def __init__(self, gateway: str, world: str) -> None:
        super().__init__(gateway, world)
        in_namespace(gateway, _make_gateway)
        self.dataplane: KernelDataplane = self.another_instance()

    def another_instance(self) -> KernelDataplane:
        return KernelDataplane(PROXY_COA, (CORE,), netns=self.gateway)

    async def set_link(self, name: str, *, is_up: bool) -> None:
        in_namespace(self.gateway, lambda: _set_link(name, "up" if is_up else "down"))

    async def is_link_up(self, name: str) -> bool:
        return in_namespace(self.gateway, lambda: _is_up(name))


def silence() -> None:
    """No IPv6 of the kernel's own on any link of the namespace."""
    for scope in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")


def tap_of(name: str) -> socket.socket:
    """In the namespace of the caller: sends and receives whole frames of IPv6 packets."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_IPV6))
    tap.bind((name, ETHERTYPE_IPV6))
    tap.setblocking(False)
    return tap


def _connect(world: str) -> None:
    # The namespace is quiet at once, and compares equal to itself: no address is ever tentative.
    for scope in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{scope}/accept_dad").write_text("0")
    with IPRoute() as netlink:
        loopback = netlink.link_lookup(ifname="lo")[0]
        netlink.link("set", index=loopback, state="up")
        for name in (CORE, *LINKS):
            _add_veth(netlink, name, world)


def _make_gateway() -> None:
    # Every error message is a result here.
    Path("/proc/sys/net/ipv6/icmp/ratelimit").write_text("0")
    configure_core()


def configure_core() -> None:
    """Address, neighbours and default route of the gateway's core link."""
    with IPRoute() as netlink:
        core = netlink.link_lookup(ifname=CORE)[0]
        netlink.link("set", index=core, address=CORE_LINK_LAYER_ADDRESS)
        netlink.addr("replace", index=core, address=str(PROXY_COA), prefixlen=64, flags=0x02)
        for neighbor in (LMA_A, LMA_B, STRANGER, WITNESS):
            netlink.neigh(
                "replace",
                family=socket.AF_INET6,
                dst=str(neighbor),
                lladdr=WORLD_LINK_LAYER_ADDRESS,
                ifindex=core,
                state="permanent",
            )
        _await_local_route(netlink)
        # Whatever the gateway routes by itself would go back to the core and be seen there.
        netlink.route(
            "replace", family=socket.AF_INET6, dst="default", gateway=str(LMA_A), oif=core
        )


def _await_local_route(netlink: Any) -> None:
    """The kernel adds the route of a new address a little later, from a queue of its own."""
    give_up = time.monotonic() + DEADLINE_S
    while not any(
        route.get_attr("RTA_DST") == str(PROXY_COA)
        for route in netlink.get_routes(family=socket.AF_INET6, table=LOCAL_TABLE)
    ):
        assert time.monotonic() < give_up, "the kernel makes no route for its own address"


def _add_veth(netlink: Any, name: str, world: str) -> None:
    netlink.link("add", ifname=name, kind="veth", peer={"ifname": name, "net_ns_fd": world})
    netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")
    in_namespace(world, lambda: _set_link(name, "up"))


def _set_link(name: str, state: str) -> None:
    with IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state=state)


def _is_up(name: str) -> bool:
    with IPRoute() as netlink:
        (link,) = netlink.get_links(netlink.link_lookup(ifname=name)[0])
        return bool(link["flags"] & IFF_UP)
