"""All kernel work of the packet path, blocking: the parts put together in the right order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address
from itertools import count, groupby
from typing import assert_never

from pyroute2 import IPRoute

from mag.dataplane.base import (
    DROP_REASONS,
    AccessLink,
    BindingCounters,
    DataplaneCounters,
    DataplaneError,
    Ensure,
    ForwardingState,
    GatewayAddress,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
    Remove,
)
from mag.dataplane.kernel import filter_table, layout, probe
from mag.dataplane.kernel.access_interface import AccessInterfaces
from mag.dataplane.kernel.binding_batch import Devices
from mag.dataplane.kernel.bindings import Bindings, FoundBindings, let_go
from mag.dataplane.kernel.disturbances import DisturbanceMonitor
from mag.dataplane.kernel.filter_sets import FilterListing, FilterSets
from mag.dataplane.kernel.filter_table import Element
from mag.dataplane.kernel.gateway_addresses import GatewayAddresses
from mag.dataplane.kernel.interfaces import Interfaces
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.nf_tables import FoundElement
from mag.dataplane.kernel.shared_layout import SharedLayout
from mag.dataplane.kernel.tunnel_interface import TunnelInterface, TunnelInterfaces

_NOTHING_COUNTED = FoundElement(b"", 0, 0)
_EMPTY_LISTING = FilterListing({}, {})


class KernelPacketPath:
    """Works in the namespace of the thread that makes it; to be used in that thread only."""

    def __init__(
        self,
        proxy_care_of_address: IPv6Address,
        core_interfaces: tuple[str, ...],
        tables: layout.RoutingTables,
    ) -> None:
        """Opens sockets, changes nothing. Raises DataplaneError where that is not possible."""
        probe.check_process()  # libnftables complains to standard error if it is not privileged
        self._proxy_care_of_address = proxy_care_of_address
        self._core_interfaces = core_interfaces
        self._netlink = IPRoute()
        self._channel = NetlinkChannel()
        self._filter_sets = _open_filter_sets()
        self._interfaces = Interfaces(self._netlink)
        self._shared = SharedLayout(
            self._netlink, self._channel, proxy_care_of_address, core_interfaces, tables
        )
        self._access = AccessInterfaces(self._netlink, tables)
        self._addresses = GatewayAddresses(self._channel)
        self._tunnels = TunnelInterfaces(self._netlink, self._channel, tables)
        self._bindings = Bindings(self._channel, self._filter_sets, tables)
        self._known_interfaces: dict[str, int] = {}
        self._known_access_links: set[str] = set()
        self._known_tunnels: dict[IPv6Address, TunnelInterface] = {}
        self._known_bindings: dict[int, MobileNodeForwarding] = {}
        """Whose counters are whose; what is there is always read from the kernel."""

    def close(self) -> None:
        """Close the sockets; what is in the kernel stays."""
        if self._filter_sets is not None:
            self._filter_sets.close()
        self._channel.close()
        self._netlink.close()

    def missing(self) -> tuple[str, ...]:
        """What this machine lacks, in words."""
        if self._filter_sets is None:
            return probe.WITHOUT_NFTABLES
        return () if self._filter_sets.joins_fragments else probe.WITHOUT_REASSEMBLY

    def open(self) -> None:
        """See KernelDataplane.open."""
        probe.check_machine(self._netlink, self._core_interfaces, self._proxy_care_of_address)
        if self._filter_sets is not None:
            self._filter_sets.ensure_base(self._core_interfaces, self._proxy_care_of_address)
        self._shared.ensure()
        self._learn_shared()

    def losses(
        self, tunnels: Mapping[IPv6Address, LmaTunnel], links: Mapping[str, AccessLink]
    ) -> Sequence[str]:
        """See KernelDataplane.losses."""
        found_tunnels = {lma: found.tunnel for lma, found in self._tunnels.present().items()}
        found_links = self._access.present()
        # One that is down, or gone, is its operator's doing; its return is told elsewhere.
        up = {found.name for found in self._interfaces.all() if found.is_up}
        has_table = self._filter_sets is None or self._filter_sets.has_table()
        return [
            *(f"tunnel to {lma}" for lma in tunnels if found_tunnels.get(lma) != tunnels[lma]),
            *(
                f"access link {name}"
                for name in up & links.keys()
                if found_links.get(name) != links[name]
            ),
            *([] if has_table else [f"nftables table {filter_table.TABLE}"]),
            *self._shared.losses(),
        ]

    def monitor(self) -> DisturbanceMonitor:
        """Of what others do here, told from what this object does."""
        return DisturbanceMonitor(hears_nf_tables=self._filter_sets is not None)

    def remove_everything(self) -> None:
        """Take away all of ours, leaves first."""
        state = self.take_stock(self._known_bindings)
        removals = [Remove(record) for record in state.mobile_nodes.values()]
        self._bindings.apply(removals, self._devices())
        for name in state.access_links:
            self._access.remove(name)
        for tunnel in self._known_tunnels.values():
            self._tunnels.remove(tunnel)
        self._shared.remove()
        if self._filter_sets is not None:
            self._filter_sets.remove_all()

    def dump(self) -> ForwardingState:
        """See KernelDataplane.dump."""
        return self._learn(self._known_bindings)[0]

    def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        """See KernelDataplane.take_stock."""
        state, found = self._learn(expected)
        self._bindings.remove_leftovers(found)
        return state

    def _learn_shared(self) -> dict[str, AccessLink]:
        """The access links, after interfaces, tunnels and they have become known."""
        self._known_interfaces = {found.name: found.index for found in self._interfaces.all()}
        self._known_tunnels = self._tunnels.present()
        access_links = self._access.present()
        self._known_access_links = set(access_links)
        return access_links

    def _learn(
        self, expected: Mapping[int, MobileNodeForwarding]
    ) -> tuple[ForwardingState, FoundBindings]:
        listing = self._listing()
        access_links = {
            name: link
            if self._is_listed(listing, filter_table.access_interface(name))
            else replace(link, gateway_link_local_address=IPv6Address("::"))
            for name, link in self._learn_shared().items()
        }
        tunnels = {
            lma: found.tunnel
            if self._is_listed(listing, filter_table.lma_address(lma))
            else replace(found.tunnel, mtu_octets=0)
            for lma, found in self._known_tunnels.items()
        }
        found = self._bindings.present(self._devices(), listing.elements, expected)
        let_go(*listing.elements.values())
        self._known_bindings = dict(found.records)
        addresses = self._addresses.present(
            {self._known_interfaces[name]: name for name in access_links}
        )
        return ForwardingState(tunnels, access_links, dict(found.records), addresses), found

    def _listing(self) -> FilterListing:
        return _EMPTY_LISTING if self._filter_sets is None else self._filter_sets.listing()

    def _is_listed(self, listing: FilterListing, element: Element) -> bool:
        return self._filter_sets is None or listing.count_of(element) is not None

    def _devices(self) -> Devices:
        return Devices(
            interfaces=self._known_interfaces,
            access_links=self._known_access_links,
            tunnels={lma: found.ifindex for lma, found in self._known_tunnels.items()},
        )

    def apply(self, operations: Sequence[Operation]) -> list[DataplaneError | None]:
        """See KernelDataplane.apply."""
        outcomes: list[DataplaneError | None] = []
        for kind, members in groupby(operations, lambda operation: type(operation.record)):
            run = list(members)
            if kind is MobileNodeForwarding:
                outcomes += self._apply_bindings(run)
            elif kind is GatewayAddress:
                outcomes += self._addresses.apply(run, self._known_interfaces)
            else:
                outcomes += map(self._apply_shared, run)
        return outcomes

    def _apply_bindings(self, operations: Sequence[Operation]) -> list[DataplaneError | None]:
        outcomes = self._bindings.apply(operations, self._devices())
        for operation, error in zip(operations, outcomes, strict=True):
            record = operation.record
            if error is not None or not isinstance(record, MobileNodeForwarding):
                continue
            if isinstance(operation, Ensure):
                self._known_bindings[record.binding_id] = record
            else:
                self._known_bindings.pop(record.binding_id, None)
        return outcomes

    def _apply_shared(self, operation: Operation) -> DataplaneError | None:
        is_wanted = isinstance(operation, Ensure)
        try:
            match operation.record:
                case AccessLink() as link:
                    self._ensure_access(link) if is_wanted else self._remove_access(link)
                case LmaTunnel() as tunnel:
                    self._ensure_tunnel(tunnel) if is_wanted else self._remove_tunnel(tunnel)
                case MobileNodeForwarding() | GatewayAddress():
                    raise TypeError(f"not an operation on a shared object: {operation}")
                case _ as never:
                    assert_never(never)
        except DataplaneError as error:
            return error
        return None

    def _ensure_access(self, link: AccessLink) -> None:
        # First: from here on the node's packets are checked, then they are routed.
        if self._filter_sets is not None:
            self._filter_sets.ensure(filter_table.access_interface(link.interface))
        interface = self._access.ensure(link)
        self._known_interfaces[link.interface] = interface.index
        self._known_access_links.add(link.interface)
        if link.is_up:
            self._restore_bindings_on(link)

    def _restore_bindings_on(self, link: AccessLink) -> None:
        """The kernel forgets permanent neighbours when the link-layer address changes."""
        restored = [
            Ensure(record, replaces=record)
            for record in self._known_bindings.values()
            if record.access_interface == link.interface and record.mn_link_layer_address
        ]
        for error in self._bindings.apply(restored, self._devices()):
            if error is not None:
                raise error

    def _remove_access(self, link: AccessLink) -> None:
        self._access.remove(link.interface)
        self._known_access_links.discard(link.interface)
        if self._filter_sets is not None:
            self._filter_sets.delete([filter_table.access_interface(link.interface)])

    def _ensure_tunnel(self, tunnel: LmaTunnel) -> None:
        if tunnel.proxy_care_of_address != self._proxy_care_of_address:
            reason = f"the one Proxy-CoA of this namespace is {self._proxy_care_of_address}"
            raise DataplaneError("set tunnel", reason, target=str(tunnel.lma_address))
        known = self._known_tunnels.get(tunnel.lma_address)
        index = known.index if known else self._free_tunnel_index()
        self._known_tunnels[tunnel.lma_address] = self._tunnels.ensure(tunnel, index)
        if self._filter_sets is not None:
            self._filter_sets.ensure(filter_table.lma_address(tunnel.lma_address))

    def _remove_tunnel(self, tunnel: LmaTunnel) -> None:
        if self._filter_sets is not None:
            self._filter_sets.delete([filter_table.lma_address(tunnel.lma_address)])
        if (known := self._known_tunnels.get(tunnel.lma_address)) is not None:
            self._tunnels.remove(known)
            del self._known_tunnels[tunnel.lma_address]

    def _free_tunnel_index(self) -> int:
        taken = {found.index for found in self._known_tunnels.values()}
        return next(
            index
            for index in count(1)
            if index not in taken and self._interfaces.find(layout.tunnel_interface(index)) is None
        )

    def counters(self) -> DataplaneCounters:
        """See KernelDataplane.counters."""
        listing = self._listing()
        return DataplaneCounters(
            bindings={
                record.binding_id: _sum(filter_table.counting_elements_of(record), listing)
                for record in self._known_bindings.values()
            }
            if self._filter_sets is not None
            else {},
            drops={reason: listing.drops.get(reason, 0) for reason in DROP_REASONS}
            if self._filter_sets is not None
            else {},
        )


def _open_filter_sets() -> FilterSets | None:
    writer = probe.open_nftables()
    if writer is None:
        return None
    return FilterSets(writer, joins_fragments=probe.joins_fragments(writer))


def _sum(elements: Iterable[tuple[Element, Element]], listing: FilterListing) -> BindingCounters:
    pairs = list(elements)
    uplink = [listing.count_of(up) or _NOTHING_COUNTED for up, _ in pairs]
    downlink = [listing.count_of(down) or _NOTHING_COUNTED for _, down in pairs]
    return BindingCounters(
        uplink_packets=sum(found.packets for found in uplink),
        uplink_octets=sum(found.octets for found in uplink),
        downlink_packets=sum(found.packets for found in downlink),
        downlink_octets=sum(found.octets for found in downlink),
    )
