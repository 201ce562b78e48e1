"""From what is wanted and what is there to the operations that make them equal.

Restart of the agent, loss of the packet path and change of the configuration are this one path:
dump what is there, apply the difference. The everyday path is incremental and touches only what
changed since.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Network
from typing import TypeVar

from mag.dataplane.base import (
    AccessLink,
    Dataplane,
    DataplaneError,
    Ensure,
    ForwardingState,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
    Record,
    Remove,
)

_K = TypeVar("_K")

RecordKey = tuple[type[Record], IPv6Address | str | int]
"""Kind of record and its key: what one record of the state is found by."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation."""

    operation: Operation
    error: DataplaneError | None
    """None if it was carried out; else it is tried again with the next `converge`."""


def key_of(record: Record) -> RecordKey:
    """By which a record is known to the reconciler."""
    return type(record), record.key


def is_same_state(one: Record | None, other: Record | None) -> bool:
    """Whether both ask for the same forwarding; the order of prefixes means nothing there."""
    if isinstance(one, MobileNodeForwarding) and isinstance(other, MobileNodeForwarding):
        return one == other or _ordered(one) == _ordered(other)
    return one == other


def _ordered(record: MobileNodeForwarding) -> MobileNodeForwarding:
    return replace(record, home_network_prefixes=tuple(sorted(record.home_network_prefixes)))


def plan(desired: ForwardingState, actual: ForwardingState) -> list[Operation]:
    """The operations that turn `actual` into `desired`, in an order in which each is possible.

    Bindings that must go or give up a prefix are removed; tunnels and access links are made;
    bindings are made; last, when no binding uses them any more, tunnels and access links go.
    A binding that moves from a link that goes to a link that comes thus never stops forwarding.
    """
    pruned = list(_bindings_to_prune(desired.mobile_nodes, actual.mobile_nodes))
    gone = {node.key for node in pruned}
    return [
        *map(Remove, pruned),
        *_changes(desired.lma_tunnels, actual.lma_tunnels),
        *_changes(desired.access_links, actual.access_links),
        *_changes(
            desired.mobile_nodes,
            {key: node for key, node in actual.mobile_nodes.items() if key not in gone},
        ),
        *_leavers(desired.lma_tunnels, actual.lma_tunnels),
        *_leavers(desired.access_links, actual.access_links),
    ]


def _bindings_to_prune(
    desired: Mapping[int, MobileNodeForwarding], actual: Mapping[int, MobileNodeForwarding]
) -> Iterator[MobileNodeForwarding]:
    holders = {
        prefix: key for key, node in desired.items() for prefix in node.home_network_prefixes
    }
    for key, node in actual.items():
        has_lost_prefix = any(
            holders.get(prefix, key) != key for prefix in node.home_network_prefixes
        )
        if key not in desired or has_lost_prefix:
            yield node


def _changes(desired: Mapping[_K, Record], actual: Mapping[_K, Record]) -> Iterator[Ensure]:
    for key, record in desired.items():
        before = actual.get(key)
        if not is_same_state(record, before):
            yield Ensure(record, replaces=before)


def _leavers(desired: Mapping[_K, Record], actual: Mapping[_K, Record]) -> Iterator[Remove]:
    return (Remove(record) for key, record in actual.items() if key not in desired)


@dataclass(slots=True)
class _Records:
    """A ForwardingState that changes, and who holds which prefix in it."""

    by_key: dict[RecordKey, Record] = field(default_factory=dict)
    holders: dict[IPv6Network, RecordKey] = field(default_factory=dict)

    def put(self, record: Record) -> None:
        key = key_of(record)
        self.discard(key)
        self.by_key[key] = record
        for prefix in _prefixes(record):
            self.holders[prefix] = key

    def discard(self, key: RecordKey) -> None:
        for prefix in _prefixes(self.by_key.pop(key, None)):
            if self.holders.get(prefix) == key:
                del self.holders[prefix]

    def holders_of(self, record: Record | None) -> set[RecordKey]:
        return {self.holders[prefix] for prefix in _prefixes(record) if prefix in self.holders}

    def part(self, keys: Iterable[RecordKey]) -> ForwardingState:
        return _state(self.by_key[key] for key in keys if key in self.by_key)


class Reconciler:
    """Keeps a packet path as it is wanted; the only one who calls `Dataplane.apply`."""

    def __init__(self, dataplane: Dataplane) -> None:
        """dataplane: open, and nobody else's to change."""
        self._dataplane = dataplane
        self._desired = _Records()
        self._actual = _Records()
        self._dirty: dict[RecordKey, None] = {}
        self._uncertain: dict[RecordKey, tuple[Record, ...]] = {}
        """After a failure: every record of which parts may be there. Always dirty too."""
        self._lock = asyncio.Lock()
        self._batches_begun = 0
        self._last_answer: tuple[Outcome, ...] | DataplaneError | None = None

    @property
    def desired(self) -> ForwardingState:
        """What is wanted; a copy, as large as the state."""
        return _state(self._desired.by_key.values())

    @property
    def actual(self) -> ForwardingState:
        """What is there for certain; a copy, as large as the state."""
        return _state(self._actual.by_key.values())

    @property
    def dirty_count(self) -> int:
        """Records that the next `converge` will look at."""
        return len(self._dirty)

    def is_settled(self, record: Record) -> bool:
        """Whether this very record is wanted and is there."""
        key = key_of(record)
        return key not in self._dirty and self._desired.by_key.get(key) == record

    def want(self, record: Record) -> None:
        """Have this record instead of the one under the same key.

        A prefix has one holder: wanting it for another binding id ends the forwarding of the
        binding that had it.
        """
        key = key_of(record)
        for loser in self._desired.holders_of(record) - {key}:
            self.unwant(loser)
        self._desired.put(record)
        self._mark(key)

    def unwant(self, what: Record | RecordKey) -> None:
        """No longer have what is under this key, or under the key of this record."""
        key = what if isinstance(what, tuple) else key_of(what)
        self._desired.discard(key)
        self._mark(key)

    async def converge(self) -> tuple[Outcome, ...]:
        """Apply what changed since, and what failed before, as one batch.

        Calls made while a batch is under way share the next one and its outcomes. Raises
        DataplaneError if the packet path answers nothing at all; everything stays to be done.
        """
        own_batch = self._batches_begun + 1
        async with self._lock:
            if self._batches_begun >= own_batch and self._last_answer is not None:
                return self._shared_answer()
            return await self._apply_dirty()

    async def resync(self) -> tuple[Outcome, ...]:
        """Dump what is there and apply the whole difference. Raises DataplaneError."""
        async with self._lock:
            found = await self._dataplane.dump()
            self._actual = _Records()
            for record in _records(found):
                self._actual.put(record)
            self._uncertain.clear()
            self._dirty = {}
            for key in (*self._desired.by_key, *self._actual.by_key):
                self._mark(key)
            return await self._apply_dirty()

    def _mark(self, key: RecordKey) -> None:
        is_settled = is_same_state(self._desired.by_key.get(key), self._actual.by_key.get(key))
        if is_settled and key not in self._uncertain:
            self._dirty.pop(key, None)
        else:
            self._dirty[key] = None

    def _shared_answer(self) -> tuple[Outcome, ...]:
        if isinstance(self._last_answer, DataplaneError):
            raise self._last_answer
        return self._last_answer or ()

    async def _apply_dirty(self) -> tuple[Outcome, ...]:
        self._batches_begun += 1
        self._last_answer = None
        operations = self._plan_dirty()
        outcomes: tuple[Outcome, ...] = ()
        if operations:
            outcomes = await self._apply(operations)
        self._last_answer = outcomes
        return outcomes

    async def _apply(self, operations: Sequence[Operation]) -> tuple[Outcome, ...]:
        try:
            errors = await self._dataplane.apply(operations)
        except DataplaneError as error:
            self._last_answer = error
            self._note([Outcome(operation, error) for operation in operations])
            raise
        except asyncio.CancelledError:
            unknown = DataplaneError("apply", "cancelled before the answer")
            self._note([Outcome(operation, unknown) for operation in operations])
            raise
        outcomes = tuple(map(Outcome, operations, errors))
        self._note(outcomes)
        return outcomes

    def _plan_dirty(self) -> list[Operation]:
        """Operations for the dirty keys and for whoever holds a prefix that one of them wants."""
        keys = dict.fromkeys(self._dirty)
        for key in self._dirty:
            keys.update(dict.fromkeys(self._actual.holders_of(self._desired.by_key.get(key))))
        cleared = [
            Remove(record)
            for key, records in self._uncertain.items()
            if key[0] is MobileNodeForwarding
            for record in records
        ]
        # Clearing may take a prefix from the binding that has got it since: that one is made again.
        refreshed = {
            holder for operation in cleared for holder in self._actual.holders_of(operation.record)
        }
        keys.update(dict.fromkeys(refreshed))
        relied_on = [key for key in keys if key not in refreshed and not self._is_doubtful(key)]
        return [*cleared, *plan(self._desired.part(keys), self._actual.part(relied_on))]

    def _is_doubtful(self, key: RecordKey) -> bool:
        """Whether a wanted tunnel or link must be asked for again though it may be there."""
        return key in self._uncertain and key in self._desired.by_key

    def _note(self, outcomes: Iterable[Outcome]) -> None:
        possible: dict[RecordKey, tuple[Record, ...]] = {}
        failed: set[RecordKey] = set()
        for outcome in outcomes:
            key = key_of(outcome.operation.record)
            before = possible[key] if key in possible else self._possible(key)
            possible[key] = _possible_after(outcome, before)
            if outcome.error is not None:
                failed.add(key)
        for key, records in possible.items():
            self._settle(key, records, is_certain=key not in failed)
            self._mark(key)

    def _possible(self, key: RecordKey) -> tuple[Record, ...]:
        if key in self._uncertain:
            return self._uncertain[key]
        record = self._actual.by_key.get(key)
        return () if record is None else (record,)

    def _settle(self, key: RecordKey, records: tuple[Record, ...], *, is_certain: bool) -> None:
        self._uncertain.pop(key, None)
        if not is_certain:
            self._uncertain[key] = records
        is_binding = key[0] is MobileNodeForwarding
        if records and (is_certain or not is_binding):
            self._actual.put(records[-1])
        else:
            self._actual.discard(key)


def _possible_after(outcome: Outcome, before: tuple[Record, ...]) -> tuple[Record, ...]:
    """Every record under one key of which parts may be there after the operation."""
    operation = outcome.operation
    is_binding = isinstance(operation.record, MobileNodeForwarding)
    if isinstance(operation, Remove):
        if outcome.error is not None:
            return before
        return tuple(record for record in before if is_binding and record != operation.record)
    if outcome.error is None:
        before = tuple(record for record in before if is_binding and record != operation.replaces)
    return *(record for record in before if record != operation.record), operation.record


def _prefixes(record: Record | None) -> tuple[IPv6Network, ...]:
    return record.home_network_prefixes if isinstance(record, MobileNodeForwarding) else ()


def _records(state: ForwardingState) -> Iterator[Record]:
    yield from state.lma_tunnels.values()
    yield from state.access_links.values()
    yield from state.mobile_nodes.values()


def _state(records: Iterable[Record]) -> ForwardingState:
    tunnels: dict[IPv6Address, LmaTunnel] = {}
    links: dict[str, AccessLink] = {}
    nodes: dict[int, MobileNodeForwarding] = {}
    for record in records:
        match record:
            case LmaTunnel():
                tunnels[record.key] = record
            case AccessLink():
                links[record.key] = record
            case MobileNodeForwarding():
                nodes[record.key] = record
    return ForwardingState(tunnels, links, nodes)
