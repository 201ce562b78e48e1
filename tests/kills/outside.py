"""What outlasts the gateway: an LMA, a packet path, and what they have seen."""

import asyncio
import random
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Any, TypeVar

from mag.dataplane.base import Operation
from mag.dataplane.fake import FakeDataplane
from mag.protocol.registration_machine import OutgoingMessage
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.options import MobileNodeIdentifierOption, TimestampOption
from support.fake_adapters import LMA_ADDRESS, PROXY_CARE_OF_ADDRESS
from support.fake_lma import FakeLma, only_option, read_update

ANSWERS_LOST = 0.1
LIVES_A_NUMBER_IS_REMEMBERED = 4
"""A block of sequence numbers for each start: after sixteen they come round again."""

Prefixes = tuple[IPv6Network, ...]
Result = TypeVar("Result")


class Violation(AssertionError):
    """The gateway broke a promise; the text says which."""


class GatewayFailed(Exception):
    """The gateway ended or stood still; no promise is judged by that."""


@dataclass(frozen=True, slots=True)
class Served:
    """A binding as the gateway has it."""

    mn_id: bytes
    prefixes: Prefixes
    link: str
    mac: bytes


@dataclass
class Outside:
    """Carries out one request at a time."""

    rng: random.Random
    lma: FakeLma = field(default_factory=lambda: FakeLma(LMA_ADDRESS))
    dataplane: FakeDataplane = field(default_factory=FakeDataplane)
    sessions: dict[bytes, Prefixes] = field(default_factory=dict)
    """What the LMA has accepted, by MN-Identifier."""
    life: int = 0
    updates: int = 0
    verified: int = 0
    """How often the gateway came to rest and was compared with the world."""

    def __post_init__(self) -> None:
        self._answers: deque[bytes] = deque()
        self._last_timestamp = 0
        self._sequences: dict[int, int] = {}
        """In which life each number was sent last."""

    def begin_life(self) -> None:
        """Answers on their way to the one before go nowhere."""
        self.life += 1
        self._answers.clear()

    def update(self, data: bytes) -> None:
        """The gateway sends a Proxy Binding Update."""
        message = OutgoingMessage(data, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
        update = read_update(message)
        self._judge_order(update)
        self.updates += 1
        answer = self.lma.answer(message)
        mn_id = only_option(update, MobileNodeIdentifierOption).identifier
        if update.lifetime_s:
            self.sessions[mn_id] = self.lma.assigned[mn_id]
        else:
            self.sessions.pop(mn_id, None)
        if self.rng.random() >= ANSWERS_LOST:
            self._answers.append(answer)

    def _judge_order(self, update: ProxyBindingUpdate) -> None:
        ticks = only_option(update, TimestampOption).ticks
        if ticks <= self._last_timestamp:
            raise Violation(f"timestamp {ticks} after {self._last_timestamp}")
        self._last_timestamp = ticks
        used = self._sequences.get(update.sequence)
        if used is not None and self.life - used <= LIVES_A_NUMBER_IS_REMEMBERED:
            raise Violation(f"sequence number {update.sequence} of life {used} sent once more")
        self._sequences[update.sequence] = self.life

    def answers(self) -> list[bytes]:
        """What the LMA has answered since."""
        taken = list(self._answers)
        self._answers.clear()
        return taken

    def open(self) -> None:
        """The packet path keeps what it has."""
        _done(self.dataplane.open())

    def dump(self) -> Any:
        """Of the packet path."""
        return _done(self.dataplane.dump())

    def operate(self, operation: Operation) -> Any:
        """One operation of a batch."""
        (error,) = _done(self.dataplane.apply([operation]))
        return error

    def compare(self, bindings: Mapping[int, Served]) -> None:
        """The gateway is at rest: forwarding == bindings == what the LMA has accepted.

        Raises Violation.
        """
        has = {each.mn_id: each.prefixes for each in bindings.values()}
        if has != self.sessions:
            raise Violation(f"the LMA has accepted {self.sessions}, the gateway has {has}")
        found = self.dump()
        forwarded = {
            key: (node.home_network_prefixes, node.access_interface, node.mn_link_layer_address)
            for key, node in found.mobile_nodes.items()
        }
        wanted = {key: (each.prefixes, each.link, each.mac) for key, each in bindings.items()}
        if forwarded != wanted:
            raise Violation(f"forwarded is {forwarded}, bound is {wanted}")
        if set(found.lma_tunnels) != ({LMA_ADDRESS} if bindings else set()):
            raise Violation(f"{len(bindings)} bindings and tunnels {found.lma_tunnels}")
        self.verified += 1


def _done(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise asyncio.InvalidStateError("the fake packet path waits")
