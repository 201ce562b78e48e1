"""The packet path of VPP: records to the binary API and back."""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any, Final

from mag.dataplane.base import (
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
    Remove,
)
from mag.dataplane.vpp import binding_messages
from mag.dataplane.vpp.access_interface import AccessInterfaces
from mag.dataplane.vpp.binding_batch import BindingBatch
from mag.dataplane.vpp.binding_messages import BindingDetails
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.compatibility import PLUGIN, PLUGIN_VERSION
from mag.dataplane.vpp.errors import VppIncompatibleError, VppLostError, VppUnreachableError
from mag.dataplane.vpp.interfaces import NO_INTERFACE, InterfaceDirectory
from mag.dataplane.vpp.shared_layout import CORE_TABLE, NO_SUCH_ENTRY, SharedLayout, TableId
from mag.dataplane.vpp.stats import StatsSegment

DEFAULT_MOBILITY_TABLE: Final = TableId(5213)
OUTER_HOP_LIMIT: Final = 64
_MORE: Final = -165
_ANY_ADDRESS: Final = IPv6Address("::")
_FIELD_CONFIGURED: Final = 0
_FIELD_COPIED: Final = 1

OnOpen = Callable[[], Awaitable[None]]

LIMITATIONS: Final = (
    "one gateway in one VPP: bindings, LMAs and punted signalling are of the whole VPP",
    "the L3 MTU of interfaces is the operator's to set (host-interface starts with 9000)",
)


class VppDataplane:
    """Dataplane over VPP with the mag plugin; needs VPP's sockets and no privilege.

    A VPP that restarted is noticed by the number of the connection: until `open` has built
    everything on the new one, every other call raises DataplaneError.
    """

    def __init__(
        self,
        client: VppClient,
        interfaces: InterfaceDirectory,
        stats: StatsSegment,
        *,
        proxy_care_of_address: IPv6Address,
        core_interfaces: tuple[str, ...],
        mobility_table: TableId = DEFAULT_MOBILITY_TABLE,
        core_table: TableId = CORE_TABLE,
        hand_off: bool = False,
        on_open: Sequence[OnOpen] = (),
    ) -> None:
        """core_interfaces: where tunnel packets arrive. core_table: routes to the LMAs.

        mobility_table: the IPv6 table that becomes ours. hand_off: spread the tunnel packets of
        one LMA over the workers. on_open: called in order at the end of each `open`, for whatever
        else must be asked of a VPP that has just started.
        """
        self._client = client
        self._interfaces = interfaces
        self._stats = stats
        self._core_table = core_table
        self._on_open = on_open
        self._layout = SharedLayout(
            client,
            interfaces,
            proxy_care_of_address=proxy_care_of_address,
            core_interfaces=core_interfaces,
            mobility_table=mobility_table,
            hand_off=hand_off,
        )
        self._links = AccessInterfaces(client, interfaces, mobility_table)
        self._built_in_session = 0
        self._last_status = DataplaneStatus(name="vpp", version="unknown")

    async def open(self) -> None:
        """Connect if need be, check this VPP, build what all bindings share.

        Raises DataplaneError before anything is changed if VPP or its configuration is unfit.
        """
        await self._client.connect()
        self._stats.open()
        await self._check_plugin()
        await self._interfaces.refresh()
        if not self._layout.is_begun():
            self._links.begin()
        await self._layout.check()
        self._links.loopback = await self._layout.build()
        await self._interfaces.refresh()
        for ask in self._on_open:
            await ask()
        self._built_in_session = self._client.sessions

    async def rebuild(self) -> None:
        """On the VPP that `open` has built on; one that has gone has its own way back."""
        self._check_built("rebuild")
        await self._interfaces.refresh()
        await self._layout.check()
        self._links.loopback = await self._layout.build()
        await self._interfaces.refresh()

    async def losses(
        self, tunnels: Mapping[IPv6Address, LmaTunnel], links: Mapping[str, AccessLink], nodes: int
    ) -> Sequence[str]:
        """Tunnels, access links, table, loopback, core interfaces, and how many bindings."""
        self._check_built("losses")
        await self._interfaces.refresh()
        found_tunnels = [_tunnel(entry) for entry in await self._client.dump("mag_lma_dump")]
        found_links = await self._links.present()
        there = (await self._client.call("mag_plugin_get")).n_bindings
        return [
            *(f"tunnel to {lma}" for lma in tunnels if tunnels[lma] not in found_tunnels),
            *(
                f"access link {name}"
                for name in links
                if found_links.get(name) != links[name] and self._is_admin_up(name)
            ),
            *([] if there == nodes else [f"bindings ({there} instead of {nodes})"]),
            *[each async for each in self._layout.losses()],
        ]

    async def close(self, *, remove: bool) -> None:
        """Let go; with `remove` VPP is as it was before, if there is one."""
        try:
            if remove:
                await self._client.connect()
                await self._remove_everything()
        except (VppUnreachableError, VppLostError):
            pass  # with VPP all of ours is gone
        finally:
            self._stats.close()
            await self._client.close()
            self._built_in_session = 0

    async def dump(self) -> ForwardingState:
        """What is there, read from VPP."""
        self._check_built("dump")
        await self._interfaces.refresh()
        tunnels = [_tunnel(entry) for entry in await self._client.dump("mag_lma_dump")]
        nodes = [
            self._node(details)
            async for messages in self._binding_pages()
            for details in binding_messages.unpack_details(messages)
        ]
        return ForwardingState(
            {tunnel.key: tunnel for tunnel in tunnels},
            await self._links.present(),
            {node.key: node for node in nodes},
            await self._links.gateway_addresses(),
        )

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        """VPP has no halves of records: a message is carried out or not."""
        return await self.dump()

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        """Carry out in order; bindings next to each other go as one bulk."""
        self._check_built("apply")
        if not self._knows_interfaces_of(operations):
            await self._interfaces.refresh()
        outcomes: list[DataplaneError | None] = [None] * len(operations)
        batch = BindingBatch(self._client, self._interfaces)
        for position, operation in enumerate(operations):
            if isinstance(operation.record, MobileNodeForwarding):
                batch.add(position, operation)
                continue
            await _finish(batch, outcomes)
            outcomes[position] = await self._attempt(operation)
            batch = BindingBatch(self._client, self._interfaces)
        await _finish(batch, outcomes)
        if any(isinstance(operation.record, AccessLink) for operation in operations):
            await self._interfaces.refresh()
        return outcomes

    async def counters(self) -> DataplaneCounters:
        """Bindings from the plugin, drop reasons and losses from the stats segment."""
        self._check_built("counters")
        bindings: dict[int, BindingCounters] = {}
        async for messages in self._binding_pages():
            bindings |= binding_messages.unpack_counters(messages)
        faults = {
            "punted_packets_lost": await self._stats.punt_losses(),
            "unexpected_replies": self._client.unexpected,
        }
        return DataplaneCounters(bindings, await self._stats.drops(), faults)

    async def idle_s(self, binding_id: int) -> float | None:
        """Whole seconds since the plugin saw a packet of the binding's node, the gateway's
        questions answered included; None if it has no such binding. Raises DataplaneError.
        """
        self._check_built("idle time")
        _, messages = await self._client.stream(
            binding_messages.GET,
            cursor=0,
            binding_id=binding_id,
            sw_if_index=NO_INTERFACE,
            lma_address=_ANY_ADDRESS,
            idle_at_least=0,
        )
        return next((binding_messages.unpack_idle_s(octets) for octets in messages), None)

    async def status(self) -> DataplaneStatus:
        """Release of VPP and plugin, what this path cannot do, and whether VPP is there."""
        if self._is_built():
            self._last_status = await self._ask_status()
            fault = ""
        else:
            fault = self._client.absence or "VPP is back and being set up"
        return replace(
            self._last_status,
            is_up=not fault,
            fault=fault,
            times_lost=self._client.times_lost,
        )

    async def _ask_status(self) -> DataplaneStatus:
        release = (await self._client.call("show_version")).version
        plugin = await self._client.call("mag_plugin_get")
        return DataplaneStatus(
            name="vpp",
            version=f"VPP {release}, plugin {PLUGIN} {plugin.version}",
            limitations=(
                *LIMITATIONS,
                f"{plugin.max_bindings} bindings (startup.conf: mag {{ max-bindings }})",
            ),
        )

    def _is_admin_up(self, name: str) -> bool:
        """One that is down, or gone, is its operator's doing; its return is told elsewhere."""
        interface = self._interfaces.find(name)
        return interface is not None and interface.is_admin_up

    def _is_built(self) -> bool:
        return self._client.is_connected and self._built_in_session == self._client.sessions

    def _check_built(self, operation: str) -> None:
        if not self._is_built():
            raise DataplaneError(operation, "VPP is away, or back but not set up yet")

    async def _check_plugin(self) -> None:
        plugin = await self._client.call("mag_plugin_get")
        if plugin.version.split(".")[:2] != PLUGIN_VERSION.split(".")[:2]:
            reason = f"plugin {PLUGIN} is {plugin.version}, needs {PLUGIN_VERSION}"
            raise VppIncompatibleError("open", reason)

    # Out

    def _knows_interfaces_of(self, operations: Iterable[Operation]) -> bool:
        """Whether only bindings change, on interfaces that we have looked up."""
        return all(
            isinstance(operation.record, MobileNodeForwarding)
            and self._interfaces.find(operation.record.access_interface) is not None
            for operation in operations
        )

    async def _attempt(self, operation: Operation) -> DataplaneError | None:
        try:
            match operation:
                case Ensure(LmaTunnel() as tunnel):
                    await self._ensure_tunnel(tunnel)
                case Remove(LmaTunnel() as tunnel):
                    await self._remove_tunnel(tunnel)
                case Ensure(AccessLink() as link):
                    await self._links.ensure(link)
                case Remove(AccessLink() as link):
                    await self._links.remove(link.interface)
                case Ensure(GatewayAddress() as address):
                    await self._links.ensure_address(address)
                case Remove(GatewayAddress() as address):
                    await self._links.remove_address(address)
        except DataplaneError as error:
            return error
        return None

    async def _ensure_tunnel(self, tunnel: LmaTunnel) -> None:
        await self._client.call(
            "mag_lma_add_del", target=str(tunnel.lma_address), is_add=True, **self._lma(tunnel)
        )

    async def _remove_tunnel(self, tunnel: LmaTunnel) -> None:
        await self._client.call(
            "mag_lma_add_del",
            target=str(tunnel.lma_address),
            settled=(NO_SUCH_ENTRY,),
            is_add=False,
            **self._lma(tunnel),
        )

    def _lma(self, tunnel: LmaTunnel) -> dict[str, Any]:
        return {
            "lma_address": tunnel.lma_address,
            "proxy_care_of_address": tunnel.proxy_care_of_address,
            "core_table_id": self._core_table,
            "tunnel_mtu": tunnel.mtu_octets,
            "hop_limit": OUTER_HOP_LIMIT,
            "dscp_mode": _FIELD_COPIED,
            "dscp": 0,
            "flow_label_mode": _FIELD_CONFIGURED,
            "flow_label": 0,
            "add_encapsulation_limit": False,
            "encapsulation_limit": 0,
        }

    async def _remove_everything(self) -> None:
        await self._interfaces.refresh()
        for name in await self._links.present():
            await self._links.remove(name)
        for entry in await self._client.dump("mag_lma_dump"):
            await self._remove_tunnel(_tunnel(entry))
        await self._layout.remove()

    # In

    async def _binding_pages(self) -> AsyncIterator[list[bytes]]:
        """Every binding's details, packed; a page at a time, to let others have their turn."""
        cursor = 0
        while True:
            reply, messages = await self._client.stream(
                binding_messages.GET,
                cursor=cursor,
                binding_id=0,
                sw_if_index=NO_INTERFACE,
                lma_address=_ANY_ADDRESS,
                idle_at_least=0,
            )
            yield messages
            if reply.retval != _MORE:
                return
            cursor = reply.cursor

    def _node(self, details: BindingDetails) -> MobileNodeForwarding:
        interface = self._interfaces.at(details.sw_if_index)
        return MobileNodeForwarding(
            binding_id=details.binding_id,
            home_network_prefixes=details.home_network_prefixes,
            access_interface=interface.name if interface else f"#{details.sw_if_index}",
            mn_link_layer_address=details.mn_link_layer_address,
            lma_address=details.lma_address,
            local_routing=details.local_routing,
        )


async def _finish(batch: BindingBatch, outcomes: list[DataplaneError | None]) -> None:
    await batch.send()
    for position, error in batch.failures.items():
        outcomes[position] = error


def _tunnel(details: Any) -> LmaTunnel:
    return LmaTunnel(
        proxy_care_of_address=IPv6Address(details.proxy_care_of_address),
        lma_address=IPv6Address(details.lma_address),
        mtu_octets=details.tunnel_mtu,
    )
