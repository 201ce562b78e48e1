"""A real `mag run` in a namespace of its own, an LMA and mobile nodes played from another."""

import asyncio
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Self, TypeVar

from pyroute2 import IPRoute, netns

from mag.dataplane.kernel.layout import LOCAL_TABLE, ROUTE_PROTOCOL
from mag.dataplane.kernel.nftables import Nftables
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.admin_client import AdminClient, AdminError
from mag.services.gateway_control import Document
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_MOBILITY_HEADER, MobilityHeaderType
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_solicitation import (
    NEIGHBOR_SOLICITATION,
    NeighborAdvertisement,
    NeighborSolicitation,
)
from support.fake_lma import FakeLma
from support.namespaces import in_namespace, namespace_pair

LMA_ADDRESS = IPv6Address("2001:db8:c::1")
STRANGER_ADDRESS = IPv6Address("2001:db8:c::bad")
PROXY_CARE_OF_ADDRESS = IPv6Address("2001:db8:c::11")
MN1_MAC = bytes.fromhex("020000000001")
MN2_MAC = bytes.fromhex("020000000002")
REGULAR_LINK_MAC = bytes.fromhex("02000000001a")
GATEWAY_CORE_MAC = "02:00:00:00:00:c0"
GATEWAY_ACCESS_MAC = bytes.fromhex("00005e005213")
PATIENCE_S = 10.0
IPV6_CHECKSUM = 7
MH_TYPE_OFFSET = 2
PR_CAPBSET_DROP = 24
IFA_F_NODAD = 2
ECHO_REQUEST, ECHO_REPLY = 128, 129
IFF_LOWER_UP = 1 << 16
CHANGES_BY_USE = {"RTA_CACHEINFO", "NDA_CACHEINFO", "NDA_PROBES"}

CONFIGURATION = """
identity: test
proxy_care_of_address: {proxy}
lmas: {{lma1: {{address: {lma}}}}}
access_links: {{{access}: {link}}}
policy:
  nodes:
    mn1@example.net: {{lma: lma1, link_layer_addresses: ["02:00:00:00:00:01"]}}
    mn2@example.net: {{lma: lma1, link_layer_addresses: ["02:00:00:00:00:02"]}}
protocol: {protocol}
dataplane: {{core_interfaces: [{core}], verify_interval_s: {verify}}}
admin: {{socket: {socket}}}
journal: {{path: {journal}}}
shutdown: {{timeout_s: 1, policy: {policy}}}
log: {{level: debug, format: json}}
"""

_libc = ctypes.CDLL(None, use_errno=True)
_R = TypeVar("_R")


def wait_for(condition: Callable[[], _R], what: str) -> _R:
    """Look again and again until it holds."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if value := condition():
            return value
        select.select([], [], [], 0.01)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")


class GatewayProcess:
    """The gateway, its LMA's socket, and a socket on its access link."""

    def __init__(self, gateway: str, world: str, directory: Path) -> None:
        self.lma = FakeLma(LMA_ADDRESS)
        self.socket_path = directory / "mag.sock"
        self.journal_path = directory / "journal.db"
        self.namespaces = (gateway, world)
        self._gateway = gateway
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._world = world
        in_namespace(gateway, lambda: _build(world))
        in_namespace(world, _settle_world)
        self._mobility, self._core = in_namespace(world, _core_sockets)
        self._access = in_namespace(world, lambda: _packet_socket("access"))

    def start(
        self, *, without_capabilities: tuple[int, ...] = (), **changes: str
    ) -> subprocess.Popen[str]:
        """Run `mag run` with the configuration above, some values changed."""
        values: dict[str, Any] = {
            "proxy": PROXY_CARE_OF_ADDRESS,
            "lma": LMA_ADDRESS,
            "access": "access",
            "core": "core",
            "socket": self.socket_path,
            "link": "{}",
            "protocol": "{}",
            "journal": self.journal_path,
            "policy": "deregister",
            "verify": "60",
            **changes,
        }
        self._process = self._run(self._directory / "mag.yaml", values, without_capabilities)
        return self._process

    def start_beside(self, **changes: str) -> subprocess.Popen[str]:
        """Run a second one in the same namespace; the caller waits for its end."""
        values = {
            "proxy": PROXY_CARE_OF_ADDRESS,
            "lma": LMA_ADDRESS,
            "access": "access",
            "core": "core",
            "link": "{}",
            "protocol": "{}",
            "journal": self._directory / "second.journal",
            "policy": "deregister",
            "verify": "60",
            **changes,
        }
        return self._run(self._directory / "second.yaml", values, ())

    def flush_ruleset(self) -> None:
        """As `nft flush ruleset` does."""
        self.nft("flush ruleset")

    def nft(self, commands: str) -> None:
        """As `nft` in the gateway's namespace."""

        def run() -> None:
            nftables = Nftables()
            try:
                nftables.run(commands)
            finally:
                nftables.close()

        in_namespace(self._gateway, run)

    def netlink(self, work: Callable[[IPRoute], _R]) -> _R:
        """As `ip` in the gateway's namespace."""

        def run() -> _R:
            with IPRoute() as route:
                return work(route)

        return in_namespace(self._gateway, run)

    def switch(self, name: str, value: str) -> None:
        """As `sysctl -w net.ipv6.conf.NAME=VALUE` there; name: with slashes."""
        file = Path("/proc/sys/net/ipv6/conf") / name
        in_namespace(self._gateway, lambda: file.write_text(value))

    def _run(
        self, file: Path, values: dict[str, Any], without_capabilities: tuple[int, ...]
    ) -> subprocess.Popen[str]:
        file.write_text(CONFIGURATION.format(**values))

        def enter() -> None:
            netns.setns(self._gateway, 0)
            for capability in without_capabilities:
                _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

        return subprocess.Popen(
            [sys.executable, "-m", "mag", "run", str(file)],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=enter,  # noqa: PLW1509 - no threads of this process are running here
            text=True,
        )

    def start_ready(self, **changes: str) -> Self:
        """Run it, and wait until it answers."""
        process = self.start(**changes)
        wait_for(lambda: self.socket_path.exists() or process.poll(), "the gateway answers")
        wait_for(self._serves, "the gateway serves")
        return self

    def reconfigure(self, *changes: tuple[str, str]) -> None:
        """Edit the file in place; nobody is told."""
        file = self._directory / "mag.yaml"
        text = file.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)

    def hang_up(self) -> None:
        """SIGHUP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def configuration(self) -> Document:
        """What `mag show config --json` reads."""
        document: Document = self._ask(AdminClient.configuration)["configuration"]
        return document

    def reloads(self, result: str) -> int:
        """How often the file was taken again, or refused."""
        count: int = self._ask(AdminClient.status)["reloads"].get(result, 0)
        return count

    def add_access_link(self, name: str) -> None:
        """Another interface towards nodes, as a line card that was put in."""

        def add() -> None:
            with IPRoute() as route:
                _make_link(route, name, "02:00:00:00:00:a1", self._world)

        in_namespace(self._gateway, add)
        in_namespace(self._world, lambda: _link_up(name))

    def add_regular_link(self, name: str) -> None:
        """Another interface of the gateway's host, which is neither access link nor core, and the
        host's own way to the rest of the world, through the core."""

        def add() -> None:
            with IPRoute() as route:
                _make_link(route, name, REGULAR_LINK_MAC.hex(":"), self._world)
                core = route.link_lookup(ifname="core")[0]
                route.route(
                    "add", dst="default", gateway=str(LMA_ADDRESS), oif=core, family=socket.AF_INET6
                )

        in_namespace(self._gateway, add)
        in_namespace(self._world, lambda: _link_up(name))

    def from_regular_host(self, name: str, packet: bytes) -> None:
        """A frame on such a link, to the gateway's host as its router."""
        frame = EthernetFrame(REGULAR_LINK_MAC, MN2_MAC, ETHERTYPE_IPV6, packet)
        with self.world_socket(name) as link:
            link.send(frame.encode())

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL, as when memory runs out: nothing is cleaned up."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        for each in (self._mobility, self._core, self._access):
            each.close()

    # The gateway's links

    def flap_access_link(self) -> None:
        """Down and up again, as a cable that was pulled."""

        def flap() -> None:
            with IPRoute() as route:
                index = route.link_lookup(ifname="access")[0]
                for state in ("down", "up"):
                    route.link("set", index=index, state=state)

        in_namespace(self._gateway, flap)

    def remake_access_link(self) -> None:
        """Another interface of the same name, as a driver that was reloaded."""

        def remake() -> None:
            with IPRoute() as route:
                route.link("del", index=route.link_lookup(ifname="access")[0])
                _make_link(route, "access", "02:00:00:00:00:a0", self._world)

        in_namespace(self._gateway, remake)
        self._access.close()
        in_namespace(self._world, lambda: _link_up("access"))
        self._access = in_namespace(self._world, lambda: _packet_socket("access"))

    def access_addresses(self, name: str = "access") -> set[str]:
        """Addresses of one of the gateway's access interfaces."""

        def read() -> set[str]:
            with IPRoute() as route:
                index = route.link_lookup(ifname=name)
                messages = route.get_addr(index=index[0]) if index else []
                return {message.get_attr("IFA_ADDRESS") for message in messages}

        return in_namespace(self._gateway, read)

    def is_local(self, address: IPv6Address) -> bool:
        """Whether packets to the address reach the gateway; a moment after the address is there."""

        def read() -> bool:
            with IPRoute() as route:
                routes = route.get_routes(socket.AF_INET6, table=LOCAL_TABLE)
                return any(each.get_attr("RTA_DST") == str(address) for each in routes)

        return in_namespace(self._gateway, read)

    def packet_path(self) -> set[str]:
        """Every rule, route and neighbour of ours, without what changes by being used."""

        def read() -> set[str]:
            with IPRoute() as route:
                messages = (
                    *(m for m in route.get_rules(socket.AF_INET6) if _is_ours(m, "FRA_PROTOCOL")),
                    *(m for m in route.get_routes(socket.AF_INET6) if m["proto"] == ROUTE_PROTOCOL),
                    *(m for m in route.get_neighbours() if _is_ours(m, "NDA_PROTOCOL")),
                )
                return {_lasting(message) for message in messages}

        return in_namespace(self._gateway, read)

    # The LMA's side

    def next_update(self) -> OutgoingMessage:
        """The next Proxy Binding Update that the gateway sends to the LMA."""
        while True:
            data, source = self._mobility.recvfrom(2048)
            if data[MH_TYPE_OFFSET] == MobilityHeaderType.BINDING_UPDATE:
                return OutgoingMessage(data, IPv6Address(source[0]), LMA_ADDRESS)

    def has_update(self) -> bool:
        """Whether a message to the LMA has arrived that nobody has read."""
        return bool(select.select([self._mobility], [], [], 0)[0])

    def no_update(self) -> None:
        """Whatever has arrived at the LMA by now, no Proxy Binding Update was among it."""
        self._mobility.setblocking(False)
        try:
            while True:
                data = self._mobility.recv(2048)
                assert data[MH_TYPE_OFFSET] != MobilityHeaderType.BINDING_UPDATE
        except BlockingIOError:
            self._mobility.settimeout(PATIENCE_S)

    def answer(self, data: bytes) -> None:
        """Send a Mobility Header as the LMA."""
        self._mobility.sendto(data, (str(PROXY_CARE_OF_ADDRESS), 0))

    def inject(
        self,
        data: bytes,
        source: IPv6Address = LMA_ADDRESS,
        protocol: int = IP_PROTOCOL_MOBILITY_HEADER,
    ) -> None:
        """Put a Mobility Header, or another protocol, on the wire; no kernel checks it."""
        packet = IPv6Packet(source, PROXY_CARE_OF_ADDRESS, protocol, data)
        core_mac = bytes.fromhex(GATEWAY_CORE_MAC.replace(":", ""))
        frame = EthernetFrame(core_mac, bytes.fromhex("0200000000fe"), 0x86DD, packet.encode())
        self._core.send(frame.encode())

    def in_world(self, call: Callable[[], _R]) -> _R:
        """Call where LMA and nodes are."""
        return in_namespace(self._world, call)

    @contextmanager
    def world_socket(self, name: str) -> Iterator[socket.socket]:
        """Hears every frame on a link from here on: `access` or `core`."""
        link = in_namespace(self._world, lambda: _packet_socket(name))
        with link:
            yield link

    # The nodes' side

    def from_node(self, mac: bytes, packet: bytes) -> None:
        """A frame from a mobile node to its router."""
        frame = EthernetFrame(GATEWAY_ACCESS_MAC, mac, ETHERTYPE_IPV6, packet)
        self._access.send(frame.encode())

    def answer_probe(self, mac: bytes) -> None:
        """As the node whose address is solicited next."""

        def is_solicitation(packet: bytes) -> bool:
            return packet[6] == IP_PROTOCOL_ICMPV6 and packet[40] == NEIGHBOR_SOLICITATION

        asked = NeighborSolicitation.decode(self.to_node(mac, is_solicitation))
        answer = NeighborAdvertisement(asked.target, asked.target, is_solicited=True)
        self.from_node(mac, answer.encode(asked.source))

    def put_kernel_node(self, mac: bytes, link_local_address: IPv6Address | None = None) -> None:
        """Make the far end of the access link a node: the kernel there, as it is.

        link_local_address: it has this one beside that which it makes of its MAC.
        """

        def put() -> None:
            with IPRoute() as route:
                index = route.link_lookup(ifname="access")[0]
                route.link("set", index=index, state="down")
                route.link("set", index=index, address=mac.hex(":"), state="up")
                if link_local_address is not None:
                    _address(route, "access", link_local_address)

        in_namespace(self._world, put)

    def kernel_nodes_router(self) -> IPv6Address | None:
        """The default router of the kernel at the far end."""

        def read() -> IPv6Address | None:
            with IPRoute() as route:
                routes = route.get_default_routes(family=socket.AF_INET6)
                routers = [each.get_attr("RTA_GATEWAY") for each in routes]
                return IPv6Address(routers[0]) if routers else None

        return in_namespace(self._world, read)

    def node_reaches(self, link_local_address: IPv6Address) -> bool:
        """Whether the kernel at the far end resolves the address and gets an echo from it."""

        def ask() -> bool:
            with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as icmp:
                icmp.settimeout(PATIENCE_S)
                scope = socket.if_nametoindex("access")
                icmp.sendto(
                    bytes((ECHO_REQUEST, *bytes(7))), (str(link_local_address), 0, 0, scope)
                )
                while True:
                    reply, source = icmp.recvfrom(2048)
                    if reply[0] == ECHO_REPLY and IPv6Address(source[0].split("%")[0]) == (
                        link_local_address
                    ):
                        return True

        return in_namespace(self._world, ask)

    def detach(self, mac: bytes) -> None:
        """As an access point tells that the node has left."""
        self._ask(lambda client: client.detach(link_layer_address=mac.hex(":")))

    def node_addresses(self) -> set[IPv6Address]:
        """Addresses of the kernel that plays a node."""

        def read() -> set[IPv6Address]:
            with IPRoute() as route:
                index = route.link_lookup(ifname="access")[0]
                messages = route.get_addr(family=socket.AF_INET6, index=index)
                return {IPv6Address(message.get_attr("IFA_ADDRESS")) for message in messages}

        return in_namespace(self._world, read)

    @contextmanager
    def network_manager(self) -> Iterator[None]:
        """Beside the kernel that plays a node: a link without carrier keeps no configuration."""
        is_over = threading.Event()

        def manage() -> None:
            with IPRoute() as route:
                index = route.link_lookup(ifname="access")[0]
                had_carrier = True
                while not is_over.wait(0.01):
                    has_carrier = bool(route.get_links(index)[0]["flags"] & IFF_LOWER_UP)
                    if had_carrier and not has_carrier:
                        for state in ("down", "up"):
                            route.link("set", index=index, state=state)
                    had_carrier = has_carrier

        with ThreadPoolExecutor(1, initializer=netns.setns, initargs=(self._world, 0)) as thread:
            manager = thread.submit(manage)
            try:
                yield
            finally:
                is_over.set()
                manager.result()

    def silence_kernel_node(self) -> None:
        """The node is gone without a word and without a change of carrier."""
        switch = Path("/proc/sys/net/ipv6/conf/access/disable_ipv6")
        in_namespace(self._world, lambda: switch.write_text("1"))

    def to_node(self, mac: bytes, is_it: Callable[[bytes], bool]) -> bytes:
        """The next packet to this node's MAC that is what the caller looks for."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            frame = EthernetFrame.decode(self._access.recv(2048))
            if frame.destination == mac and is_it(frame.payload):
                return frame.payload
        raise AssertionError("the node was sent nothing of that kind")

    def nothing_to_node(self, mac: bytes, is_it: Callable[[bytes], bool]) -> None:
        """Whatever has arrived for this node by now, that was not among it."""
        self._access.setblocking(False)
        try:
            while True:
                frame = EthernetFrame.decode(self._access.recv(2048))
                assert not (frame.destination == mac and is_it(frame.payload))
        except BlockingIOError:
            self._access.settimeout(PATIENCE_S)

    # Reading

    def counters(self) -> Document:
        """What `mag show counters` reads."""
        return self._ask(AdminClient.counters)

    def bindings(self) -> list[Document]:
        """What `mag show bindings` reads."""
        return self._ask(AdminClient.bindings)

    def peer(self) -> Document:
        """What `mag show peers` reads of the LMA."""
        (row,) = self._ask(AdminClient.peers)
        return row

    def clear(self, mn_id: str) -> None:
        """`mag clear binding`."""
        self._ask(lambda client: client.clear(mn_id))

    def discarded(self, reason: str) -> int:
        """Messages discarded for this reason."""
        count: int = self.counters()["discarded"].get(reason, 0)
        return count

    def dataplane(self) -> Document:
        """What `mag show dataplane` reads."""
        return self._ask(AdminClient.dataplane)

    def _serves(self) -> bool:
        try:
            status = self.dataplane()
        except AdminError:  # the socket is there, but nobody listens yet
            return False
        return "access" in status["access_links"]

    def _ask(self, question: Callable[[AdminClient], Any]) -> Any:
        async def talk() -> Any:
            async with AdminClient(self.socket_path) as client:
                return await question(client)

        return asyncio.run(talk())


@contextmanager
def gateway_process(directory: Path) -> Iterator[GatewayProcess]:
    """In two fresh namespaces, which go with it."""
    with namespace_pair() as (gateway, world):
        process = GatewayProcess(gateway, world, directory)
        try:
            yield process
        finally:
            process.close()


def _build(world: str) -> None:
    with IPRoute() as route:
        _make_link(route, "core", GATEWAY_CORE_MAC, world)
        _make_link(route, "access", "02:00:00:00:00:a0", world)
        _address(route, "core", PROXY_CARE_OF_ADDRESS)
        route.link("set", index=1, state="up")


def _make_link(route: IPRoute, name: str, mac: str, world: str) -> None:
    peer = {"ifname": name, "net_ns_fd": world}
    route.link("add", ifname=name, kind="veth", address=mac, peer=peer)
    route.link("set", index=route.link_lookup(ifname=name)[0], state="up")


def _link_up(name: str) -> None:
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname=name)[0], state="up")


def _settle_world() -> None:
    _link_up("access")
    _link_up("core")
    with IPRoute() as route:
        _address(route, "core", LMA_ADDRESS)


def _address(route: IPRoute, interface: str, address: IPv6Address) -> None:
    index = route.link_lookup(ifname=interface)[0]
    route.addr("add", index=index, address=str(address), prefixlen=64, flags=IFA_F_NODAD)


def _core_sockets() -> tuple[socket.socket, socket.socket]:
    mobility = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IP_PROTOCOL_MOBILITY_HEADER)
    mobility.setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, -1)
    mobility.bind((str(LMA_ADDRESS), 0))
    mobility.settimeout(PATIENCE_S)
    return mobility, _packet_socket("core")


def _is_ours(message: Any, attribute: str) -> bool:
    return bool(message.get_attr(attribute) == ROUTE_PROTOCOL)


def _lasting(message: Any) -> str:
    kept = sorted(f"{n}={v}" for n, v in message["attrs"] if n not in CHANGES_BY_USE)
    return f"{message['event']} {' '.join(kept)}"


def _packet_socket(name: str) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.bind((name, ETHERTYPE_IPV6))
    link.settimeout(PATIENCE_S)
    return link
