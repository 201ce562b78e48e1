"""Asks nodes that are there without a binding to say something: that is what attaches them."""

import asyncio
from collections.abc import Collection, Mapping

from mag.daemon.attachments import Attachments
from mag.daemon.wake_up_schedule import Node, WakeUpSchedule
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.services.access_link import AccessLinkPort
from mag.services.wake_up import ALL_NODES_LINK_LAYER_ADDRESS, wake_up


class NodeWaker:
    """Sends the questions, and repeats them as WakeUpSchedule says; one timer for all nodes."""

    def __init__(
        self,
        *,
        core: MobileAccessGateway,
        attachments: Attachments,
        ports: Mapping[str, AccessLinkPort],
        links: Collection[str],
    ) -> None:
        """links: access interfaces that take nodes."""
        self._core = core
        self._attachments = attachments
        self._ports = ports
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._schedule = WakeUpSchedule(self._has_binding)

    def wake(
        self, interface: str, mn_link_layer_address: bytes = ALL_NODES_LINK_LAYER_ADDRESS
    ) -> None:
        """Ask one node of a link, or all of them, now and a few times more."""
        node = (interface, mn_link_layer_address)
        if self._may_ask(node):
            self._ask(node)
            self._schedule.asked(node, self._loop.time())
            self._rearm()

    def forget(self, interface: str, mn_link_layer_address: bytes) -> None:
        """The node has left: ask it no more."""
        self._schedule.forget((interface, mn_link_layer_address))

    def repeat(self, now: float) -> None:
        """Ask again those who are due at `now`, in seconds of the loop's clock."""
        for node in self._schedule.pop_due(now):
            if self._may_ask(node):
                self._ask(node)
        self._rearm()

    def close(self) -> None:
        """Ask nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _may_ask(self, node: Node) -> bool:
        """Whether the gateway takes nodes, on that link too."""
        interface, _ = node
        is_taking = not (self._attachments.is_closed or self._attachments.is_draining)
        return is_taking and interface in self._links and interface in self._ports

    def _ask(self, node: Node) -> None:
        interface, mn_link_layer_address = node
        query = wake_up(self._core.settings.access_link_local_address)
        self._ports[interface].send(query, mn_link_layer_address)

    def _has_binding(self, node: Node) -> bool:
        return self._core.binding_update_list.by_link(*node) is not None

    def _rearm(self) -> None:
        self.close()
        deadline = self._schedule.get_timer()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._repeat_now)

    def _repeat_now(self) -> None:
        self.repeat(self._loop.time())
