"""A real `mag run` in a namespace of its own, with its LMA and its nodes in another."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from pyroute2 import netns

from mag.services.admin_client import AdminClient, AdminError
from mag.services.gateway_control import Document
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from support.gateway_host import CORE_MAC, PROXY_CARE_OF_ADDRESS, REGULAR_LINK_MAC, GatewayHost
from support.kernel_node import KernelNode
from support.namespaces import in_namespace, namespace_pair, packet_socket
from support.played_lma import LMA_ADDRESS, PlayedLma
from support.played_nodes import MN2_MAC, PlayedNodes
from support.waiting import PATIENCE_S, wait_for

PR_CAPBSET_DROP = 24

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
UNLESS_CHANGED = {
    "proxy": str(PROXY_CARE_OF_ADDRESS),
    "lma": str(LMA_ADDRESS),
    "access": "access",
    "core": "core",
    "link": "{}",
    "protocol": "{}",
    "policy": "deregister",
    "verify": "60",
}

_libc = ctypes.CDLL(None, use_errno=True)
_R = TypeVar("_R")


class GatewayProcess:
    """The gateway; its host, its LMA and its nodes are attributes."""

    def __init__(self, gateway: str, world: str, directory: Path) -> None:
        self.socket_path = directory / "mag.sock"
        self.journal_path = directory / "journal.db"
        self.namespaces = (gateway, world)
        self._gateway = gateway
        self._world = world
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self.host = GatewayHost(gateway, world)
        self.nodes = PlayedNodes(world)
        self.kernel_node = KernelNode(world)
        """In the place of the played ones, for whom attaches it."""
        self.lma = PlayedLma(world, PROXY_CARE_OF_ADDRESS, CORE_MAC)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self.lma.close()
        self.nodes.close()

    # Its life

    def start(
        self, *, without_capabilities: tuple[int, ...] = (), **changes: str
    ) -> subprocess.Popen[str]:
        """Run `mag run` with the configuration above, some values changed."""
        values = {"socket": str(self.socket_path), "journal": str(self.journal_path), **changes}
        self._process = self._run(self._directory / "mag.yaml", values, without_capabilities)
        return self._process

    def start_ready(self, **changes: str) -> Self:
        """Run it, and wait until it answers."""
        process = self.start(**changes)
        wait_for(lambda: self.socket_path.exists() or process.poll(), "the gateway answers")
        wait_for(self._serves, "the gateway serves")
        return self

    def start_beside(self, **changes: str) -> subprocess.Popen[str]:
        """Run a second one in the same namespace; the caller waits for its end."""
        values = {"journal": str(self._directory / "second.journal"), **changes}
        return self._run(self._directory / "second.yaml", values, ())

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

    def _run(
        self, file: Path, values: dict[str, str], without_capabilities: tuple[int, ...]
    ) -> subprocess.Popen[str]:
        file.write_text(CONFIGURATION.format(**UNLESS_CHANGED | values))

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

    # What its operator asks

    def bindings(self) -> list[Document]:
        """What `mag show bindings` reads."""
        return self._ask(AdminClient.bindings)

    def counters(self) -> Document:
        """What `mag show counters` reads."""
        return self._ask(AdminClient.counters)

    def discarded(self, reason: str) -> int:
        """Messages discarded for this reason."""
        count: int = self.counters()["discarded"].get(reason, 0)
        return count

    def dataplane(self) -> Document:
        """What `mag show dataplane` reads."""
        return self._ask(AdminClient.dataplane)

    def peer(self) -> Document:
        """What `mag show peers` reads of the LMA."""
        (row,) = self._ask(AdminClient.peers)
        return row

    def configuration(self) -> Document:
        """What `mag show config --json` reads."""
        document: Document = self._ask(AdminClient.configuration)["configuration"]
        return document

    def reloads(self, result: str) -> int:
        """How often the file was taken again, or refused."""
        count: int = self._ask(AdminClient.status)["reloads"].get(result, 0)
        return count

    def clear(self, mn_id: str) -> None:
        """`mag clear binding`."""
        self._ask(lambda client: client.clear(mn_id))

    def detach(self, mac: bytes) -> None:
        """As an access point tells that the node has left."""
        self._ask(lambda client: client.detach(link_layer_address=mac.hex(":")))

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

    # The world around it

    def in_world(self, call: Callable[[], _R]) -> _R:
        """Call where LMA and nodes are."""
        return in_namespace(self._world, call)

    @contextmanager
    def world_socket(self, name: str) -> Iterator[socket.socket]:
        """Hears every frame on a link from here on: `access` or `core`."""
        with self.in_world(lambda: packet_socket(name)) as link:
            yield link

    def from_regular_host(self, name: str, packet: bytes) -> None:
        """A frame on a regular link, to the gateway's host as its router."""
        frame = EthernetFrame(REGULAR_LINK_MAC, MN2_MAC, ETHERTYPE_IPV6, packet)
        with self.world_socket(name) as link:
            link.send(frame.encode())


@contextmanager
def gateway_process(directory: Path) -> Iterator[GatewayProcess]:
    """In two fresh namespaces, which go with it."""
    with namespace_pair() as (gateway, world):
        process = GatewayProcess(gateway, world, directory)
        try:
            yield process
        finally:
            process.close()
