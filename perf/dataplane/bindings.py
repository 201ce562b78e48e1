"""Bindings in bulk through the agent's own client: what programming costs is part of its story."""

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import Final

from mag.dataplane.base import MobileNodeForwarding
from mag.dataplane.vpp.binding_messages import (
    UPDATE,
    pack_delete,
    pack_ensure,
    pack_update,
    unpack_update_reply,
)
from mag.dataplane.vpp.client import VppClient
from perf.dataplane.frames import LMA_ADDRESS, MobileNodes
from perf.dataplane.vpp_process import VppProcessError

BINDINGS_PER_MESSAGE: Final = 400
MESSAGES_UNDER_WAY: Final = 4
"""Both as the agent has them."""


class Operation(Enum):
    """What becomes of a binding."""

    ENSURE = auto()
    DELETE = auto()


ENSURE: Final = Operation.ENSURE
DELETE: Final = Operation.DELETE


def forwarding(nodes: MobileNodes, node: int) -> MobileNodeForwarding:
    """The agent's record of a node's binding. Binding ids begin at 1."""
    return MobileNodeForwarding(
        node + 1, (nodes.prefix(node),), "access", nodes.mac(node), LMA_ADDRESS
    )


def binding_messages(
    nodes: MobileNodes, which: Iterable[int], sw_if_index: int, operation: Operation
) -> Iterator[bytes]:
    """Bodies of mag_bindings_update, packed as they are asked for."""
    if operation is Operation.ENSURE:
        return pack_records((forwarding(nodes, node) for node in which), sw_if_index)
    return map(pack_update, _batched(pack_delete(node + 1) for node in which))


def pack_records(records: Iterable[MobileNodeForwarding], sw_if_index: int) -> Iterator[bytes]:
    """Bodies of mag_bindings_update that ensure the agent's records, each with one prefix."""
    entries = (entry for record in records for entry in pack_ensure(record, sw_if_index))
    return map(pack_update, _batched(entries))


def _batched(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(entries)
    while batch := list(itertools.islice(remaining, BINDINGS_PER_MESSAGE)):
        yield batch


async def send_all(client: VppClient, messages: Iterable[bytes]) -> None:
    """Send all, a few under way at once. Raises VppProcessError if any entry fails."""
    remaining = iter(messages)

    async def send_some() -> None:
        for body in remaining:
            await send(client, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(MESSAGES_UNDER_WAY):
            group.create_task(send_some())


async def send(client: VppClient, body: bytes) -> None:
    """Send one message. Raises VppProcessError if any entry fails."""
    return_value, failures = unpack_update_reply(await client.call_packed(UPDATE, body))
    if return_value < 0 or failures:
        raise VppProcessError(f"{UPDATE}: {return_value}, {len(failures)} entries: {failures[:1]}")
