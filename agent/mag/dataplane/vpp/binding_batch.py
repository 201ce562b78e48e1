"""Bindings that follow each other in a batch, sent as few large messages."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from mag.dataplane.base import DataplaneError, Ensure, MobileNodeForwarding, Remove
from mag.dataplane.vpp import binding_messages
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.errors import VppRefusedError
from mag.dataplane.vpp.interfaces import InterfaceDirectory

ENTRIES_PER_MESSAGE: Final = 400
"""Some 20 KB: VPP handles it in a fraction of a millisecond."""
MESSAGES_IN_FLIGHT: Final = 4


@dataclass(slots=True)
class _Message:
    entries: list[bytes] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
    """By index of a binding's first entry, its place in the batch."""
    last_binding_id: int = 0

    def add(self, position: int, binding_id: int, entries: Sequence[bytes]) -> None:
        self.positions[len(self.entries)] = position
        self.entries += entries
        self.last_binding_id = binding_id

    def has_room_for(self, binding_id: int, count: int) -> bool:
        """Entries of one id next to each other are one binding to VPP."""
        is_full = len(self.entries) + count > ENTRIES_PER_MESSAGE
        return not self.entries or not (is_full or self.last_binding_id == binding_id)


class BindingBatch:
    """Collects operations on bindings, then carries them out in their order."""

    def __init__(self, client: VppClient, interfaces: InterfaceDirectory) -> None:
        """interfaces: knows those that the bindings are on."""
        self._client = client
        self._interfaces = interfaces
        self._nodes: dict[int, MobileNodeForwarding] = {}
        self._removals: set[int] = set()
        self.failures: dict[int, DataplaneError] = {}
        """By place in the batch."""

    def add(self, position: int, operation: Ensure | Remove) -> None:
        """position: the operation's place in the batch."""
        node = operation.record
        if not isinstance(node, MobileNodeForwarding):
            raise TypeError(f"{node} is no binding")
        self._nodes[position] = node
        if isinstance(operation, Remove):
            self._removals.add(position)

    async def send(self) -> None:
        """Carry out what was collected; what fails is in `failures` then."""
        in_flight = asyncio.Semaphore(MESSAGES_IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            # Each is packed while VPP works on those before, and others have their turn in between.
            for message in self._messages():
                # Taken before the task starts, so that messages leave in the order of the batch.
                await in_flight.acquire()
                task = tasks.create_task(self._send(message))
                task.add_done_callback(lambda _: in_flight.release())

    def _messages(self) -> Iterator[_Message]:
        message = _Message()
        for position, node in self._nodes.items():
            entries = self._entries(position, node)
            if not message.has_room_for(node.binding_id, len(entries)):
                yield message
                message = _Message()
            if entries:
                message.add(position, node.binding_id, entries)
        if message.entries:
            yield message

    def _entries(self, position: int, node: MobileNodeForwarding) -> list[bytes]:
        """None for a binding that cannot be made: its failure is noted."""
        if position in self._removals:
            return [binding_messages.pack_delete(node.binding_id)]
        interface = self._interfaces.find(node.access_interface)
        if interface is None:
            reason = f"VPP has no interface {node.access_interface}"
            self.failures[position] = DataplaneError(
                binding_messages.UPDATE, reason, target=str(node.binding_id)
            )
            return []
        return binding_messages.pack_ensure(node, interface.sw_if_index)

    async def _send(self, message: _Message) -> None:
        body = binding_messages.pack_update(message.entries)
        try:
            reply = await self._client.call_packed(binding_messages.UPDATE, body)
        except DataplaneError as error:
            for position in message.positions.values():
                self.failures[position] = error
            return
        return_value, failures = binding_messages.unpack_update_reply(reply)
        failed = {failure.index: failure.return_value for failure in failures}
        if return_value < 0:
            failed = dict.fromkeys(message.positions, return_value)
        for index, reason in failed.items():
            position = message.positions[index]
            self.failures[position] = VppRefusedError(
                binding_messages.UPDATE, reason, target=str(self._nodes[position].binding_id)
            )
