"""Network namespaces of a test, and what is called, linked and heard inside them."""

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv6Address
from typing import TypeVar

from pyroute2 import IPRoute, netns

from mag.wire.ethernet import ETHERTYPE_IPV6
from support.waiting import PATIENCE_S

IFA_F_NODAD = 2

_numbers = itertools.count()
_R = TypeVar("_R")


def in_namespace(name: str, call: Callable[[], _R]) -> _R:
    """Call in a thread of its own inside the namespace; sockets made there stay there."""
    with ThreadPoolExecutor(1, initializer=netns.setns, initargs=(name, 0)) as thread:
        return thread.submit(call).result()


@contextmanager
def namespace_pair() -> Iterator[tuple[str, str]]:
    """Names of a fresh gateway namespace and a fresh world around it."""
    number = next(_numbers)
    names = (f"magtest-{os.getpid()}-{number}-gw", f"magtest-{os.getpid()}-{number}-world")
    made = []
    try:
        for name in names:
            netns.create(name)
            made.append(name)
        yield names
    finally:
        for name in made:
            netns.remove(name)


def make_link(route: IPRoute, name: str, mac: bytes, peer_namespace: str) -> None:
    """A veth pair with the same name at both ends; this end is up."""
    peer = {"ifname": name, "net_ns_fd": peer_namespace}
    route.link("add", ifname=name, kind="veth", address=mac.hex(":"), peer=peer)
    route.link("set", index=route.link_lookup(ifname=name)[0], state="up")


def link_up(name: str) -> None:
    with IPRoute() as route:
        route.link("set", index=route.link_lookup(ifname=name)[0], state="up")


def add_address(route: IPRoute, interface: str, address: IPv6Address) -> None:
    """Without duplicate address detection: it is there at once."""
    index = route.link_lookup(ifname=interface)[0]
    route.addr("add", index=index, address=str(address), prefixlen=64, flags=IFA_F_NODAD)


def packet_socket(interface: str) -> socket.socket:
    """Hears and sends whole frames with IPv6 on a link."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.bind((interface, ETHERTYPE_IPV6))
    link.settimeout(PATIENCE_S)
    return link
