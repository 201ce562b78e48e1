"""A mobile node that is an unmodified kernel, at the far end of a gateway's access link."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

from pyroute2 import IPRoute, netns

from support.namespaces import add_address, in_namespace
from support.waiting import PATIENCE_S

ECHO_REQUEST, ECHO_REPLY = 128, 129
IFF_LOWER_UP = 1 << 16


class KernelNode:
    """The kernel of a namespace, with its interface `access`."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def attach(self, mac: bytes, link_local_address: IPv6Address | None = None) -> None:
        """Make the far end of the access link a node, as the kernel is by itself.

        link_local_address: it has this one beside that which it makes of its MAC.
        """

        def attach() -> None:
            with IPRoute() as route:
                index = route.link_lookup(ifname="access")[0]
                route.link("set", index=index, state="down")
                route.link("set", index=index, address=mac.hex(":"), state="up")
                if link_local_address is not None:
                    add_address(route, "access", link_local_address)

        in_namespace(self._namespace, attach)

    def fall_silent(self) -> None:
        """The node is gone without a word and without a change of carrier."""
        switch = Path("/proc/sys/net/ipv6/conf/access/disable_ipv6")
        in_namespace(self._namespace, lambda: switch.write_text("1"))

    def addresses(self) -> set[IPv6Address]:
        def read() -> set[IPv6Address]:
            with IPRoute() as route:
                index = route.link_lookup(ifname="access")[0]
                messages = route.get_addr(family=socket.AF_INET6, index=index)
                return {IPv6Address(message.get_attr("IFA_ADDRESS")) for message in messages}

        return in_namespace(self._namespace, read)

    def router(self) -> IPv6Address | None:
        """Its default router."""

        def read() -> IPv6Address | None:
            with IPRoute() as route:
                routes = route.get_default_routes(family=socket.AF_INET6)
                routers = [each.get_attr("RTA_GATEWAY") for each in routes]
                return IPv6Address(routers[0]) if routers else None

        return in_namespace(self._namespace, read)

    def reaches(self, link_local_address: IPv6Address) -> bool:
        """Whether it resolves the address and gets an echo from it."""

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

        return in_namespace(self._namespace, ask)

    @contextmanager
    def network_manager(self) -> Iterator[None]:
        """Beside the kernel: a link without carrier keeps no configuration."""
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

        with ThreadPoolExecutor(
            1, initializer=netns.setns, initargs=(self._namespace, 0)
        ) as thread:
            manager = thread.submit(manage)
            try:
                yield
            finally:
                is_over.set()
                manager.result()
