"""A run of operations on bindings as packed netlink messages and changes of set elements."""

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.dataplane.base import DataplaneError, Ensure, MobileNodeForwarding, Remove
from mag.dataplane.kernel import layout, route_encoder
from mag.dataplane.kernel.filter_table import Element, elements_of
from mag.frozen import frozen

_LINK_LAYER_ADDRESS_OCTETS: Final = 6
_GONE: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV})

BindingOperation = Ensure | Remove


@frozen
class Devices:
    """Interface indexes that messages of bindings name."""

    interfaces: Mapping[str, int]
    """Every interface known, by name."""
    access_links: Collection[str]
    """Those that bindings may be on."""
    tunnels: Mapping[IPv6Address, int]
    """By LMA address."""


@dataclass(slots=True)
class ElementChanges:
    """What happens to set elements; an element in both is deleted first: its counter restarts."""

    deleted: dict[Element, None] = field(default_factory=dict)
    added: dict[Element, None] = field(default_factory=dict)

    def delete(self, element: Element) -> None:
        """After what was asked before."""
        self.added.pop(element, None)
        self.deleted[element] = None

    def add(self, element: Element) -> None:
        """After what was asked before."""
        self.added[element] = None


class BindingBatch:
    """Collects operations in order, then says what became of each."""

    def __init__(self, tables: layout.RoutingTables, devices: Devices) -> None:
        self._tables = tables
        self._devices = devices
        self.messages: list[bytes] = []
        self._origins: list[tuple[int, bool]] = []
        """For each message: the position of its operation and whether it deletes."""

    def add(self, position: int, operation: BindingOperation) -> None:
        """Encode one operation. Raises DataplaneError if it names what is not there."""
        record = operation.record
        if not isinstance(record, MobileNodeForwarding):
            raise TypeError(f"not an operation on a binding: {operation}")
        if isinstance(operation, Remove):
            self._extend(position, self._removals(record, kept=None), deletes=True)
            return
        self._extend(position, list(self._additions(record)), deletes=False)
        if isinstance(operation.replaces, MobileNodeForwarding):
            self._extend(position, self._removals(operation.replaces, kept=record), deletes=True)

    def errors(self, failures: Mapping[int, int]) -> dict[int, DataplaneError]:
        """By position of the operation. failures: errno by position of the message."""
        errors: dict[int, DataplaneError] = {}
        for message, number in failures.items():
            position, deletes = self._origins[message]
            if not (deletes and number in _GONE):
                errors[position] = DataplaneError("program binding", os.strerror(number))
        return errors

    def _extend(self, position: int, messages: Iterable[bytes], *, deletes: bool) -> None:
        before = len(self.messages)
        self.messages.extend(messages)
        self._origins.extend([(position, deletes)] * (len(self.messages) - before))

    def _additions(self, record: MobileNodeForwarding) -> Iterator[bytes]:
        target = str(record.binding_id)
        access = self._devices.interfaces.get(record.access_interface)
        tunnel = self._devices.tunnels.get(record.lma_address)
        if access is None or record.access_interface not in self._devices.access_links:
            reason = f"{record.access_interface} is no access link"
            raise DataplaneError("program binding", reason, target=target)
        if tunnel is None:
            reason = f"no tunnel to {record.lma_address}"
            raise DataplaneError("program binding", reason, target=target)
        _check_values(record)
        neighbor = layout.binding_neighbor(record.binding_id)
        yield route_encoder.permanent_neighbor(
            neighbor, record.mn_link_layer_address, ifindex=access
        )
        for prefix in record.home_network_prefixes:
            yield self._downlink(prefix, neighbor, access, remove=False)
            yield self._uplink(prefix, tunnel, remove=False)
            if record.local_routing:
                yield self._local(prefix, neighbor, access, remove=False)

    def _removals(
        self, record: MobileNodeForwarding, *, kept: MobileNodeForwarding | None
    ) -> Iterator[bytes]:
        """Take away what `record` has and `kept` has not; `kept` has replaced shared routes."""
        neighbor = layout.binding_neighbor(record.binding_id)
        access = self._devices.interfaces.get(record.access_interface)
        tunnel = self._devices.tunnels.get(record.lma_address)
        kept_prefixes = kept.home_network_prefixes if kept else ()
        kept_local = kept_prefixes if kept and kept.local_routing else ()
        for prefix in record.home_network_prefixes:
            if record.local_routing and access is not None and prefix not in kept_local:
                yield self._local(prefix, neighbor, access, remove=True)
            if prefix in kept_prefixes:
                continue
            if access is not None:
                yield self._downlink(prefix, neighbor, access, remove=True)
            if tunnel is not None:
                yield self._uplink(prefix, tunnel, remove=True)
        if access is not None and (
            kept is None or kept.access_interface != record.access_interface
        ):
            yield route_encoder.neighbor_removal(neighbor, ifindex=access)

    def _downlink(
        self, prefix: IPv6Network, neighbor: bytes, access: int, *, remove: bool
    ) -> bytes:
        return route_encoder.downlink_route(
            prefix,
            table=self._tables.downlink,
            neighbor=neighbor,
            access_ifindex=access,
            remove=remove,
        )

    def _local(self, prefix: IPv6Network, neighbor: bytes, access: int, *, remove: bool) -> bytes:
        return route_encoder.downlink_route(
            prefix,
            table=self._tables.local_routing,
            neighbor=neighbor,
            access_ifindex=access,
            remove=remove,
        )

    def _uplink(self, prefix: IPv6Network, tunnel: int, *, remove: bool) -> bytes:
        return route_encoder.uplink_route(
            prefix, table=self._tables.uplink, tunnel_ifindex=tunnel, remove=remove
        )


def element_changes(operations: Iterable[BindingOperation]) -> ElementChanges:
    """What the operations, carried out in order, mean for the sets."""
    changes = ElementChanges()
    for operation in operations:
        wanted = {} if isinstance(operation, Remove) else _elements(operation.record)
        for element in _elements(_before(operation)):
            if element not in wanted:
                changes.delete(element)
        for element in wanted:
            changes.add(element)
    return changes


def _check_values(record: MobileNodeForwarding) -> None:
    target = str(record.binding_id)
    if len(record.mn_link_layer_address) != _LINK_LAYER_ADDRESS_OCTETS:
        reason = f"link-layer address is not of {_LINK_LAYER_ADDRESS_OCTETS} octets"
        raise DataplaneError("program binding", reason, target=target)
    if not all(prefix.prefixlen for prefix in record.home_network_prefixes):
        raise DataplaneError("program binding", "::/0 is no home network prefix", target=target)


def _before(operation: BindingOperation) -> object:
    return operation.record if isinstance(operation, Remove) else operation.replaces


def _elements(record: object) -> dict[Element, None]:
    if not isinstance(record, MobileNodeForwarding):
        return {}
    if not record.mn_link_layer_address:
        return {}
    return dict.fromkeys(elements_of(record))
