"""Forwarding of bindings: programmed in bulk, and read back from the kernel alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.dataplane.base import DataplaneError, MobileNodeForwarding
from mag.dataplane.kernel import route_encoder
from mag.dataplane.kernel.binding_batch import (
    BindingBatch,
    BindingOperation,
    Devices,
    element_changes,
)
from mag.dataplane.kernel.filter_sets import FilterSets
from mag.dataplane.kernel.filter_table import Element, elements_of
from mag.dataplane.kernel.layout import RoutingTables, binding_neighbor, binding_of_neighbor
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.route_decoder import (
    BindingNeighbor,
    BindingRoute,
    PackedPrefix,
    decode_neighbor,
    decode_route,
)

_BATCH_OPERATIONS: Final = 2000
"""Bounds the size of one nftables transaction; a failing one is repeated one by one."""
_UNSPECIFIED: Final = IPv6Address("::")

Outcome = DataplaneError | None


@dataclass(frozen=True, slots=True)
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

    def present(self, devices: Devices, elements: frozenset[Element]) -> FoundBindings:
        """Rebuild the records.

        devices: every interface of the machine by name, every tunnel.
        elements: what the filter sets have.
        """
        downlink = self._routes(self._tables.downlink)
        uplink = {route.prefix: route for route in self._routes(self._tables.uplink)}
        local = {route.prefix: route for route in self._routes(self._tables.local_routing)}
        neighbors = {
            (neighbor.binding_id, neighbor.ifindex): neighbor
            for body in self._channel.dump(route_encoder.neighbor_dump())
            if (neighbor := decode_neighbor(body)) is not None
        }
        found = _Found(
            uplink,
            local,
            neighbors,
            {ifindex: name for name, ifindex in devices.interfaces.items()},
            {ifindex: lma for lma, ifindex in devices.tunnels.items()},
        )
        records = {
            binding_id: found.record(binding_id, routes)
            for binding_id, routes in _by_binding(downlink).items()
        }
        expected = self._expected_elements(records)
        complete = {
            key: record
            if elements.issuperset(expected.get(key, ()))
            else replace(record, mn_link_layer_address=b"")
            for key, record in records.items()
        }
        return FoundBindings(
            records=complete,
            leftover_messages=[
                *self._stray_uplink(uplink, {route.prefix for route in downlink}),
                *self._stray_local(local, set(downlink)),
                *_stray_neighbors(neighbors, records, devices),
            ],
            leftover_elements=list(
                elements.difference(element for members in expected.values() for element in members)
            ),
        )

    def _expected_elements(
        self, records: Mapping[int, MobileNodeForwarding]
    ) -> dict[int, tuple[Element, ...]]:
        if self._filter_sets is None:
            return {}
        return {key: tuple(elements_of(record)) for key, record in records.items()}

    def remove_leftovers(self, found: FoundBindings) -> None:
        """Delete what belongs to no record; what is gone meanwhile is no error."""
        self._channel.execute(found.leftover_messages)
        if self._filter_sets is not None:
            self._filter_sets.delete(found.leftover_elements)

    def _routes(self, table: int) -> list[BindingRoute]:
        return [
            route
            for body in self._channel.dump(route_encoder.route_dump(table))
            if (route := decode_route(body)) is not None
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
        self, local: Mapping[PackedPrefix, BindingRoute], downlink: set[BindingRoute]
    ) -> Iterator[bytes]:
        for prefix, route in local.items():
            if route not in downlink:
                yield route_encoder.downlink_route(
                    prefix.network(),
                    table=self._tables.local_routing,
                    neighbor=route.gateway,
                    access_ifindex=route.ifindex,
                    remove=True,
                )


@dataclass(frozen=True, slots=True)
class _Found:
    """What the dumps said, and the names of what they name by index."""

    uplink: Mapping[PackedPrefix, BindingRoute]
    local: Mapping[PackedPrefix, BindingRoute]
    neighbors: Mapping[tuple[int, int], BindingNeighbor]
    interfaces: Mapping[int, str]
    lmas: Mapping[int, IPv6Address]

    def record(self, binding_id: int, downlink: Sequence[BindingRoute]) -> MobileNodeForwarding:
        """The binding whose downlink routes these are."""
        access = {route.ifindex for route in downlink}
        neighbor = self.neighbors.get((binding_id, min(access))) if len(access) == 1 else None
        local = {self.local.get(route.prefix) == route for route in downlink}
        is_whole = neighbor is not None and len(local) == 1
        lmas = {self._lma(route.prefix) for route in downlink}
        return MobileNodeForwarding(
            binding_id=binding_id,
            home_network_prefixes=_networks(downlink),
            access_interface=self.interfaces.get(min(access), ""),
            mn_link_layer_address=neighbor.link_layer_address if neighbor and is_whole else b"",
            lma_address=lmas.pop() if len(lmas) == 1 else _UNSPECIFIED,
            local_routing=True in local,
        )

    def _lma(self, prefix: PackedPrefix) -> IPv6Address:
        route = self.uplink.get(prefix)
        return self.lmas.get(route.ifindex, _UNSPECIFIED) if route else _UNSPECIFIED


def _networks(downlink: Sequence[BindingRoute]) -> tuple[IPv6Network, ...]:
    return tuple(prefix.network() for prefix in sorted(route.prefix for route in downlink))


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
