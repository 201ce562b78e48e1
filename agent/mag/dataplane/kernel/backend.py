"""The packet path of a plain Linux kernel: records to netlink and nftables and back."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from ipaddress import IPv6Address
from typing import Concatenate, ParamSpec, TypeVar

from mag.dataplane.base import (
    AccessLink,
    DataplaneCounters,
    DataplaneError,
    DataplaneStatus,
    Disturbance,
    ForwardingState,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
)
from mag.dataplane.kernel import layout, probe
from mag.dataplane.kernel.namespace_thread import NamespaceThread
from mag.dataplane.kernel.packet_path import KernelPacketPath

_P = ParamSpec("_P")
_R = TypeVar("_R")


class KernelDataplane:
    """Dataplane over Linux 6.0 or newer; needs CAP_NET_ADMIN, better with libnftables.

    One instance for each network namespace: the outer source address is a setting of the whole
    namespace. The rule `lookup local` moves from preference 0 to 100 while the path is there.
    """

    def __init__(
        self,
        proxy_care_of_address: IPv6Address,
        core_interfaces: tuple[str, ...],
        netns: str | None = None,
        table_base: int = layout.DEFAULT_TABLE_BASE,
    ) -> None:
        """proxy_care_of_address: our end of all tunnels.

        core_interfaces: where tunnel packets arrive.
        netns: name of the network namespace to work in, None for that of the process.
        table_base: the first of the routing table numbers that are ours.
        """
        self._thread = NamespaceThread(netns)
        self._path: KernelPacketPath | None = None
        self._proxy_care_of_address = proxy_care_of_address
        self._core_interfaces = core_interfaces
        self._tables = layout.RoutingTables(table_base)

    async def open(self) -> None:
        """Check the machine, build what all bindings share, learn what of it is there.

        On a layout that is there already no packet is disturbed. Raises DataplaneError before
        anything is changed if the machine is unfit.
        """
        await self._on_path(KernelPacketPath.open)

    async def rebuild(self) -> None:
        """As `open`, on a layout of which something may be missing."""
        await self.open()

    async def losses(
        self, tunnels: Mapping[IPv6Address, LmaTunnel], links: Mapping[str, AccessLink], nodes: int
    ) -> Sequence[str]:
        """Tunnels, access links, rules, our table and the kernel's own forwarding.

        Bindings are not counted, which would mean to read them: `disturbances` tells of those.
        """
        del nodes
        return await self._on_path(KernelPacketPath.losses, tunnels, links)

    async def disturbances(self) -> AsyncGenerator[Disturbance, None]:
        """What something else does to ours from now on, once it is open.

        Raises DataplaneError where that cannot be heard.
        """
        monitor = await self._on_path(KernelPacketPath.monitor)
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        for descriptor in monitor.descriptors:
            loop.add_reader(descriptor, news.set)
        try:
            while True:
                await news.wait()
                news.clear()
                for disturbance in monitor.heard():
                    yield disturbance
        finally:
            for descriptor in monitor.descriptors:
                loop.remove_reader(descriptor)
            monitor.close()

    async def close(self, *, remove: bool) -> None:
        """Let go; with `remove` the namespace is as it was before."""
        try:
            if remove:
                await self._on_path(KernelPacketPath.remove_everything)
        finally:
            if self._path is not None:
                await self._thread.run(self._path.close)
                self._path = None
            self._thread.stop()

    async def dump(self) -> ForwardingState:
        """What is there, read from the kernel."""
        return await self._on_path(KernelPacketPath.dump)

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        """The same, after halves of bindings have been deleted."""
        return await self._on_path(KernelPacketPath.take_stock, expected)

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        """Carry out in order; bindings next to each other go as one bulk."""
        return await self._on_path(KernelPacketPath.apply, operations)

    async def counters(self) -> DataplaneCounters:
        """Read the counters of all bindings and drop reasons; empty without libnftables.

        Uplink counts what the node was allowed to send, downlink what was passed to its link.
        """
        return await self._on_path(KernelPacketPath.counters)

    async def status(self) -> DataplaneStatus:
        """Kernel release, what this path cannot do, and what the machine lacks."""
        return DataplaneStatus(
            name="kernel",
            version=os.uname().release,
            limitations=probe.LIMITATIONS,
            missing=await self._on_path(KernelPacketPath.missing),
        )

    async def _on_path(
        self,
        method: Callable[Concatenate[KernelPacketPath, _P], _R],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        return await self._thread.run(lambda: method(self._connected(), *args, **kwargs))

    def _connected(self) -> KernelPacketPath:
        """In the thread: sockets belong to the namespace of the thread that opens them."""
        if self._path is None:
            self._path = KernelPacketPath(
                self._proxy_care_of_address, self._core_interfaces, self._tables
            )
        return self._path
