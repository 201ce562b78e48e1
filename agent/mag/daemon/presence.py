"""Asks for nodes on behalf of the core, and brings it what the packet path saw of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv6Address
from typing import Final

from mag.daemon.pump import Pump
from mag.dataplane.base import DataplaneError
from mag.protocol.events import DetectDuplicateAddress, ProbeNode
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.services.access_link import AccessLinkPort
from mag.services.wake_up import wake_up
from mag.wire.neighbor_solicitation import NeighborSolicitation, solicited_node

IdleTime = Callable[[int], Awaitable[float | None]]
"""Seconds since the packet path saw the node of a binding; None if it has no such binding.

Raises DataplaneError.
"""

LOOK_AFTER_S: Final = (0.02, 0.1, 0.4)
"""When to look at a packet path's stamps after a question: answers take milliseconds."""
_JUST_NOW_S: Final = 1.0
"""Stamps have whole seconds."""
_UNSPECIFIED: Final = IPv6Address("::")


class PresenceProber:
    """Unicast Neighbor Solicitations (RFC 4861 §7.3), and an MLD query where no address is known.

    Every IPv6 node answers either; the answer arrives as a signal of the access link, or shows in
    the stamps of a packet path that keeps answers to itself.
    """

    def __init__(
        self,
        *,
        core: MobileAccessGateway,
        pump: Pump,
        ports: Mapping[str, AccessLinkPort],
        idle_s: IdleTime | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """idle_s: of a packet path that keeps stamps; None where answers come to the ports."""
        self._core = core
        self._pump = pump
        self._ports = ports
        self._idle_s = idle_s
        self._tasks = tasks
        self._looking: dict[int, asyncio.Task[None]] = {}

    def ask(self, question: ProbeNode | DetectDuplicateAddress) -> None:
        """Carry it out."""
        if isinstance(question, ProbeNode):
            self._ask_for_node(question)
        else:
            self._ask_for_address(question)

    def _ask_for_node(self, probe: ProbeNode) -> None:
        binding = probe.binding
        port = self._ports[binding.access_interface]
        source = self._core.settings.source_towards(binding.gateway_link_local_address)
        is_sent = True
        if self._idle_s is not None:
            # Such a path has stamps for nodes with service only; what others say comes to the port.
            port.forget(binding.mn_link_layer_id)
        if probe.node_address is not None:
            solicitation = NeighborSolicitation(
                source,
                probe.node_address,
                self._core.settings.link_layer_address_towards(binding.mn_link_layer_id),
            )
            packet = solicitation.encode(probe.node_address)
            is_sent = port.send(packet, binding.mn_link_layer_id)
        if probe.node_address is None or probe.attempt > 1:  # the address may have been given up
            is_sent = port.send(wake_up(source), binding.mn_link_layer_id)
        if not is_sent:
            # The core waits for its events to be dealt with.
            asyncio.get_running_loop().call_soon(self._core.probe_not_sent, binding.binding_id)
        elif self._idle_s is not None and binding.binding_id not in self._looking:
            task = self._tasks.create_task(self._look(binding.binding_id, self._idle_s))
            self._looking[binding.binding_id] = task

    @property
    def is_looking(self) -> bool:
        """Whether stamps are being watched for some node."""
        return bool(self._looking)

    def close(self) -> None:
        """Look no more."""
        for task in self._looking.values():
            task.cancel()

    def _ask_for_address(self, question: DetectDuplicateAddress) -> None:
        """As somebody who is about to take it (RFC 4862 §5.4.2)."""
        solicitation = NeighborSolicitation(_UNSPECIFIED, question.address)
        packet = solicitation.encode(solicited_node(question.address))
        binding = question.binding
        port = self._ports.get(binding.access_interface)
        if port is None or not port.send(packet, binding.mn_link_layer_id):
            loop = asyncio.get_running_loop()
            loop.call_soon(self._core.address_not_asked_for, binding.binding_id)

    async def _look(self, binding_id: int, idle_s: IdleTime) -> None:
        try:
            for wait in LOOK_AFTER_S:
                await asyncio.sleep(wait)
                idle = await idle_s(binding_id)
                if idle is not None and idle < _JUST_NOW_S:
                    self._core.node_heard(binding_id, None, self._pump.now())
                    self._pump.wake()
                    return
        except DataplaneError:
            return  # the path went; the next question tells whether it is back
        finally:
            del self._looking[binding_id]
