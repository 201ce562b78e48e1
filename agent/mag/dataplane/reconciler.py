"""From what is wanted and what is there to the operations that make them equal.

Restart of the agent, loss of the packet path and change of the configuration are this one path:
dump what is there, apply the difference. The everyday path is incremental and touches only what
changed since.
"""

import asyncio
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Network
from itertools import chain
from typing import NamedTuple, TypeVar, cast

from mag.dataplane.base import (
    AccessLink,
    Dataplane,
    DataplaneError,
    Ensure,
    ForwardingState,
    GatewayAddress,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
    Record,
    Remove,
)
from mag.steps import in_steps, turns

_K = TypeVar("_K")

RecordKey = IPv6Address | str | int | tuple[str, IPv6Address]
"""A record's own key: the kinds have keys of different types, so it says the kind too."""


class Outcome(NamedTuple):
    """What became of one operation."""

    operation: Operation
    error: DataplaneError | None
    """None if it was carried out; else it is tried again with the next `converge`."""


def is_same_state(one: Record | None, other: Record | None) -> bool:
    """Whether both ask for the same forwarding; the order of prefixes means nothing there."""
    if one is None or other is None or one is other:
        return one is other
    if isinstance(one, MobileNodeForwarding) and isinstance(other, MobileNodeForwarding):
        return one == other or _ordered(one) == _ordered(other)
    return one == other


def _ordered(record: MobileNodeForwarding) -> MobileNodeForwarding:
    return replace(record, home_network_prefixes=tuple(sorted(record.home_network_prefixes)))


def plan(desired: ForwardingState, actual: ForwardingState) -> Iterator[Operation]:
    """The operations that turn `actual` into `desired`, in an order in which each is possible.

    Bindings that must go or give up a prefix are removed; tunnels, access links and addresses on
    them are made; bindings are made; last, when no binding uses them any more, addresses, tunnels
    and access links go.
    A binding that moves from a link that goes to a link that comes thus never stops forwarding.
    """
    gone: set[int] = set()
    for node in _bindings_to_prune(desired.mobile_nodes, actual.mobile_nodes):
        gone.add(node.key)
        yield Remove(node)
    yield from _changes(desired.lma_tunnels, actual.lma_tunnels)
    yield from _changes(desired.access_links, actual.access_links)
    yield from _changes(desired.gateway_addresses, actual.gateway_addresses)
    yield from _changes(desired.mobile_nodes, actual.mobile_nodes, gone)
    yield from _leavers(desired.gateway_addresses, actual.gateway_addresses)
    yield from _leavers(desired.lma_tunnels, actual.lma_tunnels)
    yield from _leavers(desired.access_links, actual.access_links)


def _bindings_to_prune(
    desired: Mapping[int, MobileNodeForwarding], actual: Mapping[int, MobileNodeForwarding]
) -> Iterator[MobileNodeForwarding]:
    given_up = {
        prefix: key
        for key, node in actual.items()
        if (wanted := desired.get(key)) is not None
        and wanted.home_network_prefixes != node.home_network_prefixes
        for prefix in {*node.home_network_prefixes}.difference(wanted.home_network_prefixes)
    }
    losers = {
        given_up[prefix]
        for node in (desired.values() if given_up else ())
        for prefix in node.home_network_prefixes
        if prefix in given_up
    }
    return (node for key, node in actual.items() if key not in desired or key in losers)


def _changes(
    desired: Mapping[_K, Record], actual: Mapping[_K, Record], gone: Container[_K] = ()
) -> Iterator[Ensure]:
    for key, record in desired.items():
        before = None if key in gone else actual.get(key)
        if not is_same_state(record, before):
            yield Ensure(record, replaces=before)


def _leavers(desired: Mapping[_K, Record], actual: Mapping[_K, Record]) -> Iterator[Remove]:
    return (Remove(record) for key, record in actual.items() if key not in desired)


@dataclass(slots=True)
class _Wishes:
    """What is wanted, and who is to hold which prefix."""

    by_key: dict[RecordKey, Record] = field(default_factory=dict)
    holders: dict[IPv6Network, RecordKey] = field(default_factory=dict)

    def put(self, record: Record) -> list[RecordKey]:
        """Who else held a prefix of the record until now."""
        key = record.key
        if key in self.by_key:
            self.discard(key)
        self.by_key[key] = record
        losers = []
        for prefix in _prefixes(record):
            if (holder := self.holders.setdefault(prefix, key)) != key:
                losers.append(holder)
                self.holders[prefix] = key
        return losers

    def discard(self, key: RecordKey) -> None:
        for prefix in _prefixes(self.by_key.pop(key, None)):
            if self.holders.get(prefix) == key:
                del self.holders[prefix]

    def holders_of(self, record: Record) -> Iterator[RecordKey]:
        return (self.holders[prefix] for prefix in _prefixes(record) if prefix in self.holders)


class Reconciler:
    """Keeps a packet path as it is wanted; the only one who calls `Dataplane.apply`."""

    def __init__(self, dataplane: Dataplane) -> None:
        """dataplane: open, and nobody else's to change."""
        self._dataplane = dataplane
        self._desired = _Wishes()
        self._actual: dict[RecordKey, Record] = {}
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
        return _state(self._actual.values())

    @property
    def dirty_count(self) -> int:
        """Records that the next `converge` will look at."""
        return len(self._dirty)

    def is_settled(self, record: Record) -> bool:
        """Whether this very record is wanted and is there."""
        key = record.key
        wanted = self._desired.by_key.get(key)
        return key not in self._dirty and (wanted is record or wanted == record)

    def want(self, record: Record) -> None:
        """Have this record instead of the one under the same key.

        A prefix has one holder: wanting it for another binding id ends the forwarding of the
        binding that had it.
        """
        for loser in self._desired.put(record):
            self.unwant(loser)
        self._mark(record.key)

    def unwant(self, what: Record | RecordKey) -> None:
        """No longer have what is under this key, or under the key of this record."""
        key = what.key if isinstance(what, Record) else what
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
            # Binding ids are numbers, and no other key is one.
            wanted = cast("Mapping[int, MobileNodeForwarding]", self._desired.by_key)
            found = await self._dataplane.take_stock(wanted)
            self._actual = {
                key: self._wanted_or(record) async for key, record in in_steps(_items(found))
            }
            self._uncertain.clear()
            # Until it has been looked at, nothing counts as settled.
            self._dirty = dict.fromkeys(self._desired.by_key | self._actual)
            async for key in in_steps(list(self._dirty)):
                self._mark(key)
            return await self._apply_dirty()

    async def losses(self) -> Sequence[str]:
        """What something else has taken from the packet path since it was made as it is wanted.

        In words; no binding is read. Raises DataplaneError.
        """
        async with self._lock:
            keys = [key for key in self._actual if not _is_of_binding(key)]
            shared, nodes = _part(self._actual, keys), len(self._actual) - len(keys)
            return await self._dataplane.losses(shared.lma_tunnels, shared.access_links, nodes)

    def _wanted_or(self, record: Record) -> Record:
        """What is wanted, if it is the same: one object instead of two."""
        wanted = self._desired.by_key.get(record.key)
        return wanted if wanted == record else record

    def _mark(self, key: RecordKey) -> None:
        is_settled = is_same_state(self._desired.by_key.get(key), self._actual.get(key))
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
        operations = [operation async for operation in in_steps(self._plan_dirty())]
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
            await self._note([Outcome(operation, error) for operation in operations])
            raise
        except asyncio.CancelledError:
            unknown = DataplaneError("apply", "cancelled before the answer")
            await self._note([Outcome(operation, unknown) for operation in operations])
            raise
        outcomes = tuple(map(Outcome, operations, errors))
        await self._note(outcomes)
        return outcomes

    def _plan_dirty(self) -> Iterator[Operation]:
        """Operations for the keys that are dirty now, whatever happens while they are read.

        Who holds a prefix that one of them wants is among them: it is wanted without that prefix.
        """
        cleared = [
            Remove(record)
            for key, records in self._uncertain.items()
            if _is_of_binding(key)
            for record in records
        ]
        # Clearing may take a prefix from the binding that has got it since: that one is made again.
        refreshed = {
            holder for operation in cleared for holder in self._desired.holders_of(operation.record)
        }
        keys = self._dirty | dict.fromkeys(refreshed)
        relied_on = (key for key in keys if key not in refreshed and not self._is_doubtful(key))
        return chain(
            cleared, plan(_part(self._desired.by_key, keys), _part(self._actual, relied_on))
        )

    def _is_doubtful(self, key: RecordKey) -> bool:
        """Whether a wanted tunnel or link must be asked for again though it may be there."""
        return key in self._uncertain and key in self._desired.by_key

    async def _note(self, outcomes: Sequence[Outcome]) -> None:
        noting = turns(self._noting(outcomes))
        for _ in noting:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                deque(noting, maxlen=0)  # what was done is done
                raise

    def _noting(self, outcomes: Sequence[Outcome]) -> Iterator[None]:
        """Remember what became of the operations, one at a time."""
        in_doubt = {
            key: self._possible(key)
            for key in (operation.record.key for operation, error in outcomes if error is not None)
        }
        for outcome in outcomes:
            key = outcome.operation.record.key
            if key in in_doubt:
                in_doubt[key] = _possible_after(outcome, in_doubt[key])
            else:
                self._note_success(outcome.operation)
            yield
        for key, records in in_doubt.items():
            self._note_doubt(key, records)

    def _note_success(self, operation: Operation) -> None:
        key = operation.record.key
        self._uncertain.pop(key, None)
        if isinstance(operation, Ensure):
            self._actual[key] = operation.record
        else:
            self._actual.pop(key, None)
        self._mark(key)

    def _note_doubt(self, key: RecordKey, records: tuple[Record, ...]) -> None:
        self._uncertain[key] = records
        if records and not _is_of_binding(key):
            self._actual[key] = records[-1]
        else:
            self._actual.pop(key, None)
        self._mark(key)

    def _possible(self, key: RecordKey) -> tuple[Record, ...]:
        if key in self._uncertain:
            return self._uncertain[key]
        record = self._actual.get(key)
        return () if record is None else (record,)


def _is_of_binding(key: RecordKey) -> bool:
    return isinstance(key, int)


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


def _part(records: Mapping[RecordKey, Record], keys: Iterable[RecordKey]) -> ForwardingState:
    return _state(records[key] for key in keys if key in records)


def _items(state: ForwardingState) -> Iterator[tuple[RecordKey, Record]]:
    return chain(
        state.lma_tunnels.items(),
        state.access_links.items(),
        state.gateway_addresses.items(),
        state.mobile_nodes.items(),
    )


def _state(records: Iterable[Record]) -> ForwardingState:
    tunnels: dict[IPv6Address, LmaTunnel] = {}
    links: dict[str, AccessLink] = {}
    addresses: dict[tuple[str, IPv6Address], GatewayAddress] = {}
    nodes: dict[int, MobileNodeForwarding] = {}
    for record in records:
        match record:
            case MobileNodeForwarding():
                nodes[record.key] = record
            case LmaTunnel():
                tunnels[record.key] = record
            case AccessLink():
                links[record.key] = record
            case GatewayAddress():
                addresses[record.key] = record
    return ForwardingState(tunnels, links, nodes, addresses)
