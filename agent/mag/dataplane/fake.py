"""A packet path in memory that can answer: where does this packet come out?

For tests of everything above the packet path, and the reference of what the others must do
(the contract suite runs over all of them).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.dataplane.base import (
    DROP_REASONS,
    AccessLink,
    BindingCounters,
    DataplaneCounters,
    DataplaneError,
    DataplaneStatus,
    Ensure,
    ForwardingState,
    GatewayAddress,
    LmaTunnel,
    MobileNodeForwarding,
    Operation,
)
from mag.dataplane.verdict import (
    Delivered,
    Dropped,
    Ecn,
    HandedToGateway,
    InnerPacket,
    PacketTooBig,
    TimeExceeded,
    Tunnelled,
    Verdict,
)
from mag.frozen import frozen
from mag.protocol.anycast_address import is_anycast_address

OUTER_HOP_LIMIT: Final = 64


@frozen
class _Fault:
    reason: str
    is_applied: bool


class FakeDataplane:
    """Implements Dataplane; strict about order, so that tests find what real paths forgive."""

    def __init__(self) -> None:
        self._is_open = False
        self._tunnels: dict[IPv6Address, LmaTunnel] = {}
        self._links: dict[str, AccessLink] = {}
        self._addresses: dict[tuple[str, IPv6Address], GatewayAddress] = {}
        self._nodes: dict[int, MobileNodeForwarding] = {}
        self._holders: dict[IPv6Network, int] = {}
        self._counters: dict[int, BindingCounters] = {}
        self._drops = dict.fromkeys(DROP_REASONS, 0)
        self._faults: list[_Fault] = []
        self._times_lost = 0
        self._may_answer = asyncio.Event()
        self._may_answer.set()
        self.batches: list[tuple[Operation, ...]] = []
        """What each call of `apply` was given."""
        self.dumps = 0
        self.faults: Mapping[str, int] = {}
        """What `counters` tells of them."""
        self.missing: tuple[str, ...] = ()
        """What `status` says that this machine lacks."""

    # What the tests can do to it.

    def fail_next(
        self, count: int = 1, *, reason: str = "told to fail", applied: bool = False
    ) -> None:
        """Let the next `count` operations fail; with `applied` they take effect all the same."""
        self._faults += [_Fault(reason, applied)] * count

    def crash(self) -> None:
        """Lose everything; every call raises DataplaneError until the next `open`."""
        self._forget()
        self._is_open = False
        self._times_lost += 1

    def hold(self) -> None:
        """Let `apply` wait before it does anything, until `release`."""
        self._may_answer.clear()

    def release(self) -> None:
        """Let waiting and coming calls of `apply` go on."""
        self._may_answer.set()

    def uplink(
        self, link_layer_source: bytes, access_interface: str, packet: InnerPacket
    ) -> Verdict:
        """A frame from a node arrives on an access interface."""
        if packet.destination.is_link_local or packet.destination.is_multicast:
            return HandedToGateway()
        if packet.source.is_link_local:
            return self._drop("link_local_source")
        node = self._node_of(packet.source)
        if (
            node is None
            or node.access_interface != access_interface
            or node.mn_link_layer_address != link_layer_source
        ):
            return self._drop("unknown_source")
        if is_anycast_address(packet.destination, node.home_network_prefixes):
            return HandedToGateway()
        self._count(node, uplink_octets=packet.octets)
        if (neighbor := self._local_destination(node, packet)) is not None:
            return self._deliver(neighbor, packet)
        return _into_tunnel(self._tunnels[node.lma_address], packet)

    def downlink(
        self,
        outer_source: IPv6Address,
        outer_destination: IPv6Address,
        inner: InnerPacket,
        *,
        outer_ecn: Ecn = Ecn.NOT_ECT,
    ) -> Verdict:
        """A tunnel packet arrives from the core."""
        tunnel = self._tunnels.get(outer_source)
        if tunnel is None or tunnel.proxy_care_of_address != outer_destination:
            return self._drop("unknown_tunnel_peer")
        node = self._node_of(inner.destination)
        if node is None:
            return self._drop("unknown_inner_destination")
        if outer_ecn is Ecn.CE and inner.ecn is Ecn.NOT_ECT:
            return self._drop("bad_ecn")
        return self._deliver(node, replace(inner, ecn=Ecn.CE if outer_ecn is Ecn.CE else inner.ecn))

    # Dataplane.

    async def open(self) -> None:
        """Ready to work, with the state it had."""
        self._is_open = True

    async def rebuild(self) -> None:
        """As the kernel's path, and unlike VPP's, it is back as soon as somebody asks."""
        await self.open()

    async def losses(
        self, tunnels: Mapping[IPv6Address, LmaTunnel], links: Mapping[str, AccessLink], nodes: int
    ) -> Sequence[str]:
        """As Dataplane.losses; exact."""
        self._check_open("losses")
        return [
            *(f"tunnel to {key}" for key in tunnels if self._tunnels.get(key) != tunnels[key]),
            *(f"access link {key}" for key in links if self._links.get(key) != links[key]),
            *([f"{nodes - len(self._nodes)} bindings"] if len(self._nodes) != nodes else []),
        ]

    async def close(self, *, remove: bool) -> None:
        """Let go; with `remove` forget everything."""
        if remove:
            self._forget()
        self._is_open = False

    async def dump(self) -> ForwardingState:
        """What is there."""
        self._check_open("dump")
        self.dumps += 1
        return ForwardingState(
            dict(self._tunnels), dict(self._links), dict(self._nodes), dict(self._addresses)
        )

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        """It has no halves of records."""
        return await self.dump()

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        """Carry out in order; fails operations in the wrong order and those it is told to."""
        await self._may_answer.wait()
        self._check_open("apply")
        self.batches.append(tuple(operations))
        return [self._apply_one(operation) for operation in operations]

    async def counters(self) -> DataplaneCounters:
        """A snapshot."""
        self._check_open("counters")
        return DataplaneCounters(
            bindings={key: self._counters.get(key, BindingCounters()) for key in self._nodes},
            drops=dict(self._drops),
            faults=self.faults,
        )

    async def status(self) -> DataplaneStatus:
        """As the test has it."""
        return DataplaneStatus(
            name="fake",
            version="1",
            missing=self.missing,
            is_up=self._is_open,
            fault="" if self._is_open else "crashed",
            times_lost=self._times_lost,
        )

    def _check_open(self, operation: str) -> None:
        if not self._is_open:
            raise DataplaneError(operation, "the packet path is not there")

    def _forget(self) -> None:
        for kept in (self._tunnels, self._links, self._nodes, self._holders, self._counters):
            kept.clear()
        self._addresses.clear()
        self._drops = dict.fromkeys(DROP_REASONS, 0)

    def _apply_one(self, operation: Operation) -> DataplaneError | None:
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None and not fault.is_applied:
            return DataplaneError("apply", fault.reason)
        try:
            if isinstance(operation, Ensure):
                self._ensure(operation)
            else:
                self._remove(operation)
        except DataplaneError as error:
            return error
        return DataplaneError("apply", fault.reason) if fault is not None else None

    def _ensure(self, operation: Ensure) -> None:
        match operation.record:
            case LmaTunnel() as tunnel:
                self._tunnels[tunnel.key] = tunnel
            case AccessLink() as link:
                self._links[link.key] = link
            case GatewayAddress() as address:
                self._check_link(address.access_interface, str(address.address))
                self._addresses[address.key] = address
            case MobileNodeForwarding() as node:
                self._ensure_node(node)

    def _ensure_node(self, node: MobileNodeForwarding) -> None:
        target = str(node.binding_id)
        self._check_link(node.access_interface, target)
        if node.lma_address not in self._tunnels:
            raise DataplaneError("ensure", f"no tunnel to {node.lma_address}", target=target)
        for prefix in node.home_network_prefixes:
            if self._holders.get(prefix, node.binding_id) != node.binding_id:
                reason = f"{prefix} is of binding {self._holders[prefix]}"
                raise DataplaneError("ensure", reason, target=target)
        if self._nodes.get(node.binding_id) == node:
            return
        self._remove_node(node.binding_id)
        self._nodes[node.binding_id] = node
        self._holders.update(dict.fromkeys(node.home_network_prefixes, node.binding_id))

    def _check_link(self, interface: str, target: str) -> None:
        if interface not in self._links:
            raise DataplaneError("ensure", f"{interface} is no access link", target=target)

    def _remove(self, operation: Operation) -> None:
        match operation.record:
            case MobileNodeForwarding() as node:
                self._remove_node(node.binding_id)
            case GatewayAddress() as address:
                self._addresses.pop(address.key, None)
            case LmaTunnel() as tunnel:
                self._check_unused(str(tunnel.key), self._users_of_tunnel(tunnel))
                self._tunnels.pop(tunnel.key, None)
            case AccessLink() as link:
                self._check_unused(link.key, self._users_of_link(link))
                self._check_without_addresses(link)
                self._links.pop(link.key, None)

    def _remove_node(self, binding_id: int) -> None:
        self._counters.pop(binding_id, None)
        node = self._nodes.pop(binding_id, None)
        for prefix in node.home_network_prefixes if node else ():
            del self._holders[prefix]

    def _users_of_tunnel(self, tunnel: LmaTunnel) -> Iterator[int]:
        return (key for key, node in self._nodes.items() if node.lma_address == tunnel.key)

    def _users_of_link(self, link: AccessLink) -> Iterator[int]:
        return (key for key, node in self._nodes.items() if node.access_interface == link.key)

    def _check_without_addresses(self, link: AccessLink) -> None:
        for interface, address in self._addresses:
            if interface == link.key:
                raise DataplaneError("remove", f"{address} is on it", target=link.key)

    @staticmethod
    def _check_unused(target: str, users: Iterator[int]) -> None:
        if (user := next(users, None)) is not None:
            raise DataplaneError("remove", f"binding {user} uses it", target=target)

    def _node_of(self, address: IPv6Address) -> MobileNodeForwarding | None:
        """Longest prefix match; slow, for tests."""
        covering = [prefix for prefix in self._holders if address in prefix]
        if not covering:
            return None
        return self._nodes[self._holders[max(covering, key=lambda prefix: prefix.prefixlen)]]

    def _local_destination(
        self, sender: MobileNodeForwarding, packet: InnerPacket
    ) -> MobileNodeForwarding | None:
        if not sender.local_routing:
            return None
        node = self._node_of(packet.destination)
        return node if node is not None and node.local_routing else None

    def _deliver(self, node: MobileNodeForwarding, packet: InnerPacket) -> Verdict:
        if packet.hop_limit <= 1:
            return TimeExceeded()
        self._count(node, downlink_octets=packet.octets)
        return Delivered(
            access_interface=node.access_interface,
            link_layer_address=node.mn_link_layer_address,
            packet=replace(packet, hop_limit=packet.hop_limit - 1),
        )

    def _drop(self, reason: str) -> Dropped:
        self._drops[reason] += 1
        return Dropped(reason)

    def _count(
        self, node: MobileNodeForwarding, *, uplink_octets: int = 0, downlink_octets: int = 0
    ) -> None:
        before = self._counters.get(node.binding_id, BindingCounters())
        self._counters[node.binding_id] = BindingCounters(
            uplink_packets=before.uplink_packets + bool(uplink_octets),
            uplink_octets=before.uplink_octets + uplink_octets,
            downlink_packets=before.downlink_packets + bool(downlink_octets),
            downlink_octets=before.downlink_octets + downlink_octets,
        )


def _into_tunnel(tunnel: LmaTunnel, packet: InnerPacket) -> Verdict:
    if packet.hop_limit <= 1:
        return TimeExceeded()
    if packet.octets > tunnel.mtu_octets:
        return PacketTooBig(tunnel.mtu_octets)
    return Tunnelled(
        lma_address=tunnel.lma_address,
        proxy_care_of_address=tunnel.proxy_care_of_address,
        outer_hop_limit=OUTER_HOP_LIMIT,
        # RFC 3168 §9.1.1, full functionality: a marked packet starts its tunnel unmarked.
        outer_ecn=Ecn.ECT_0 if packet.ecn is Ecn.CE else packet.ecn,
        inner=replace(packet, hop_limit=packet.hop_limit - 1),
    )
