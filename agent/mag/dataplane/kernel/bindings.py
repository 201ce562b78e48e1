"""Forwarding of bindings: programmed in bulk, and read back from the kernel alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Final

from mag.dataplane.base import DataplaneError, MobileNodeForwarding
from mag.dataplane.kernel import route_encoder
from mag.dataplane.kernel.binding_batch import (
    BindingBatch,
    BindingOperation,
    Devices,
    element_changes,
)
from mag.dataplane.kernel.filter_sets import FilterSets
from mag.dataplane.kernel.filter_table import Element, elements_of, is_of_bindings
from mag.dataplane.kernel.layout import RoutingTables, binding_neighbor, binding_of_neighbor
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.route_decoder import (
    BindingNeighbor,
    BindingRoute,
    PackedPrefix,
    decode_neighbors,
    decode_routes,
)
from mag.frozen import frozen

_BATCH_OPERATIONS: Final = 2000
"""Bounds the size of one nftables transaction; a failing one is repeated one by one."""
_UNSPECIFIED: Final = IPv6Address("::")

Outcome = DataplaneError | None


@frozen
class FoundBindings:
    """What the kernel has of bindings."""

    records: Mapping[int, MobileNodeForwarding]
    """By binding id; a record that lost a part says so: no link-layer address, LMA `::`."""
    leftover_messages: Sequence[bytes]
    """Deletes routes and neighbours that belong to no record."""
    leftover_elements: Sequence[Element]


class Bindings:
    """The per-binding part of the layout."""

    def __init__(
        self, channel: NetlinkChannel, filter_sets: FilterSets | None, tables: RoutingTables
    ) -> None:
        self._channel = channel
        self._filter_sets = filter_sets
        self._tables = tables

    def apply(self, operations: Sequence[BindingOperation], devices: Devices) -> list[Outcome]:
        """Carry out in order; one outcome each."""
        outcomes: list[Outcome] = []
        for start in range(0, len(operations), _BATCH_OPERATIONS):
            outcomes += self._apply_batch(operations[start : start + _BATCH_OPERATIONS], devices)
        return outcomes

    def _apply_batch(
        self, operations: Sequence[BindingOperation], devices: Devices
    ) -> list[Outcome]:
        batch = BindingBatch(self._tables, devices)
        errors: dict[int, DataplaneError] = {}
        for position, operation in enumerate(operations):
            try:
                batch.add(position, operation)
            except DataplaneError as error:
                errors[position] = error
        errors |= batch.errors(self._channel.execute(batch.messages))
        programmed = [position for position in range(len(operations)) if position not in errors]
        errors |= self._change_elements({position: operations[position] for position in programmed})
        return [errors.get(position) for position in range(len(operations))]

    def _change_elements(
        self, operations: Mapping[int, BindingOperation]
    ) -> dict[int, DataplaneError]:
        if self._filter_sets is None or not operations:
            return {}
        try:
            self._filter_sets.change(element_changes(operations.values()))
        except DataplaneError:
            return dict(self._change_one_by_one(self._filter_sets, operations))
        return {}

    @staticmethod
    def _change_one_by_one(
        filter_sets: FilterSets, operations: Mapping[int, BindingOperation]
    ) -> Iterator[tuple[int, DataplaneError]]:
        for position, operation in operations.items():
            try:
                filter_sets.change_whatever_is_there(element_changes([operation]))
            except DataplaneError as error:
                yield position, error

    def present(
        self,
        devices: Devices,
        elements: Mapping[str, Collection[bytes]],
        expected: Mapping[int, MobileNodeForwarding],
    ) -> FoundBindings:
        """Rebuild the records.

        devices: every interface of the machine by name, every tunnel. elements: what the filter
        sets have. expected: records that are likely to be found; equal ones are given back.
        """
        downlink = self._routes(self._tables.downlink)
        uplink = {route.prefix: route for route in self._routes(self._tables.uplink)}
        local = {route.prefix: route for route in self._routes(self._tables.local_routing)}
        neighbors = {
            (neighbor.binding_id, neighbor.ifindex): neighbor
            for run in self._channel.dump_runs(route_encoder.neighbor_dump())
            for neighbor in decode_neighbors(run)
        }
        found = _Found(
            uplink,
            local,
            neighbors,
            {ifindex: name for name, ifindex in devices.interfaces.items()},
            {ifindex: lma for lma, ifindex in devices.tunnels.items()},
            expected,
        )
        unclaimed = {name: set(keys) for name, keys in elements.items() if is_of_bindings(name)}
        has_filters = self._filter_sets is not None
        records: dict[int, MobileNodeForwarding] = {}
        for binding_id, routes in _by_binding(downlink).items():
            record = found.record(binding_id, routes)
            if has_filters and not _claim(unclaimed, record):
                record = replace(record, mn_link_layer_address=b"")
            records[binding_id] = record
        whole = FoundBindings(
            records=records,
            leftover_messages=[
                *self._stray_uplink(uplink, {route.prefix for route in downlink}),
                *self._stray_local(local, downlink),
                *_stray_neighbors(neighbors, records, devices),
            ],
            leftover_elements=[
                Element(name, key) for name, keys in unclaimed.items() for key in keys
            ],
        )
        let_go(uplink, local, neighbors)
        while downlink:
            downlink.pop()
        return whole

    def remove_leftovers(self, found: FoundBindings) -> None:
        """Delete what belongs to no record; what is gone meanwhile is no error."""
        self._channel.execute(found.leftover_messages)
        if self._filter_sets is not None:
            self._filter_sets.delete(found.leftover_elements)

    def _routes(self, table: int) -> list[BindingRoute]:
        return [
            route
            for run in self._channel.dump_runs(route_encoder.route_dump(table))
            for route in decode_routes(run)
        ]

    def _stray_uplink(
        self, uplink: Mapping[PackedPrefix, BindingRoute], bound: set[PackedPrefix]
    ) -> Iterator[bytes]:
        for prefix, route in uplink.items():
            if prefix not in bound:
                yield route_encoder.uplink_route(
                    prefix.network(),
                    table=self._tables.uplink,
                    tunnel_ifindex=route.ifindex,
                    remove=True,
                )

    def _stray_local(
        self, local: Mapping[PackedPrefix, BindingRoute], downlink: Sequence[BindingRoute]
    ) -> Iterator[bytes]:
        rightful = {route for route in downlink if route.prefix in local}
        for prefix, route in local.items():
            if route not in rightful:
                yield route_encoder.downlink_route(
                    prefix.network(),
                    table=self._tables.local_routing,
                    neighbor=route.gateway,
                    access_ifindex=route.ifindex,
                    remove=True,
                )


def let_go(*read: dict[Any, Any]) -> None:
    """Forget what was read one by one: all at once no other thread would get its turn so long."""
    for each in read:
        while each:
            each.popitem()


@frozen
class _Found:
    """What the dumps said, and the names of what they name by index."""

    uplink: Mapping[PackedPrefix, BindingRoute]
    local: Mapping[PackedPrefix, BindingRoute]
    neighbors: Mapping[tuple[int, int], BindingNeighbor]
    interfaces: Mapping[int, str]
    lmas: Mapping[int, IPv6Address]
    expected: Mapping[int, MobileNodeForwarding]

    def record(self, binding_id: int, downlink: Sequence[BindingRoute]) -> MobileNodeForwarding:
        """The binding whose downlink routes these are."""
        expected = self.expected.get(binding_id)
        access = {route.ifindex for route in downlink}
        neighbor = self.neighbors.get((binding_id, min(access))) if len(access) == 1 else None
        local = {self.local.get(route.prefix) == route for route in downlink}
        is_whole = neighbor is not None and len(local) == 1
        lmas = {self._lma(route.prefix) for route in downlink}
        record = MobileNodeForwarding(
            binding_id=binding_id,
            home_network_prefixes=_networks(downlink, expected),
            access_interface=self.interfaces.get(min(access), ""),
            mn_link_layer_address=neighbor.link_layer_address if neighbor and is_whole else b"",
            lma_address=lmas.pop() if len(lmas) == 1 else _UNSPECIFIED,
            local_routing=True in local,
        )
        return expected if record == expected else record

    def _lma(self, prefix: PackedPrefix) -> IPv6Address:
        route = self.uplink.get(prefix)
        return self.lmas.get(route.ifindex, _UNSPECIFIED) if route else _UNSPECIFIED


def _networks(
    downlink: Sequence[BindingRoute], expected: MobileNodeForwarding | None
) -> tuple[IPv6Network, ...]:
    """In order; those expected are not made again, which takes longer than all the rest."""
    prefixes = sorted(route.prefix for route in downlink)
    likely = () if expected is None else expected.home_network_prefixes
    if prefixes == [(each.network_address.packed, each.prefixlen) for each in likely]:
        return likely
    return tuple(prefix.network() for prefix in prefixes)


def _claim(unclaimed: Mapping[str, set[bytes]], record: MobileNodeForwarding) -> bool:
    """Take the record's elements from what no record has claimed; whether all were there."""
    is_whole = True
    for name, key in elements_of(record):
        keys = unclaimed.get(name, ())
        if keys and key in keys:
            keys.remove(key)
        else:
            is_whole = False
    return is_whole


def _by_binding(downlink: Sequence[BindingRoute]) -> dict[int, list[BindingRoute]]:
    routes: dict[int, list[BindingRoute]] = {}
    for route in downlink:
        if (binding_id := binding_of_neighbor(route.gateway)) is not None:
            routes.setdefault(binding_id, []).append(route)
    return routes


def _stray_neighbors(
    neighbors: Mapping[tuple[int, int], BindingNeighbor],
    records: Mapping[int, MobileNodeForwarding],
    devices: Devices,
) -> Iterator[bytes]:
    for (binding_id, ifindex), _ in neighbors.items():
        record = records.get(binding_id)
        if record is None or devices.interfaces.get(record.access_interface) != ifindex:
            yield route_encoder.neighbor_removal(binding_neighbor(binding_id), ifindex=ifindex)
