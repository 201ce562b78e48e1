"""Keeps the packet path as the core wants it, and tells the core when it is."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import IPv6Address
from typing import Final

import structlog

from mag.dataplane.base import (
    AccessLink,
    DataplaneError,
    GatewayAddress,
    LmaTunnel,
    MobileNodeForwarding,
)
from mag.dataplane.reconciler import Outcome, Reconciler
from mag.protocol.events import Binding
from mag.services.event_log import Level, LogEntry
from mag.steps import in_steps

FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 10.0
_KINDS: Final = {
    LmaTunnel: "tunnels",
    AccessLink: "access_links",
    MobileNodeForwarding: "bindings",
    GatewayAddress: "gateway_addresses",
}

_log = structlog.get_logger()


class Forwarding:
    """Translates bindings to records and runs the reconciler whenever something is due."""

    def __init__(
        self,
        reconciler: Reconciler,
        *,
        proxy_care_of_address: IPv6Address,
        access_link_local_address: IPv6Address,
        tunnel_mtus: Mapping[IPv6Address, int],
        on_ready: Callable[[int], None],
        rebuild: Callable[[], Awaitable[None]],
        written: Callable[[], Awaitable[None]],
        note: Callable[[LogEntry], None],
    ) -> None:
        """access_link_local_address: what every access link has of itself. tunnel_mtus: largest
        inner packet, in octets, by LMA. on_ready: takes binding ids.

        rebuild: makes what all bindings share anew where something else may have taken it away.
        written: waits for the journal, so that the packet path has no binding that it has not.
        note: told when something had to be put back.
        """
        self.failures: Counter[str] = Counter()
        self.restored: Counter[str] = Counter()
        """Records that were not there as they had been left, by kind; `shared`: no record, but
        rules, interfaces or tables that all of them rest on."""
        self.unresolved: DataplaneError | None = None
        """What the packet path refused last; None since all has been as it is wanted."""
        self._reconciler = reconciler
        self._proxy_care_of_address = proxy_care_of_address
        self._access_link_local_address = access_link_local_address
        self._tunnel_mtus = tunnel_mtus
        self._on_ready = on_ready
        self._rebuild = rebuild
        self._written = written
        self._note = note
        self._is_doubtful = False
        self._changed = asyncio.Event()
        self._awaited: dict[int, MobileNodeForwarding] = {}
        """Wanted for bindings whose core has not been told yet that it is there."""
        self._addresses: dict[int, GatewayAddress] = {}
        """What the nodes of bindings know the gateway by, where it is not the link's own."""
        self._address_users: Counter[GatewayAddress] = Counter()
        self._retry_s = FIRST_RETRY_S

    def want_link(self, link: AccessLink) -> None:
        """Serve nodes on this interface."""
        self._want(link)

    async def add_links(self, links: Collection[AccessLink]) -> None:
        """Have these in the packet path before anything relies on them.

        Raises DataplaneError, the first; none of them is wanted then.
        """
        for link in links:
            self._reconciler.want(link)
        try:
            for outcome in await self._reconciler.converge():
                if outcome.error is not None and outcome.operation.record in links:
                    raise outcome.error
        except DataplaneError:
            for link in links:
                self._reconciler.unwant(link)
            raise
        finally:
            self._changed.set()  # what else was due is told, or tried again

    def unwant_link(self, interface: str) -> None:
        """No node is served on the interface any more."""
        self._reconciler.unwant(interface)
        self._changed.set()

    def want_tunnel(self, lma_address: IPv6Address) -> None:
        """Bindings with this LMA need their tunnel."""
        self._want(self._tunnel(lma_address))

    def unwant_tunnel(self, lma_address: IPv6Address) -> None:
        """No binding needs the tunnel any more (RFC 5213 §5.6.1)."""
        self._reconciler.unwant(self._tunnel(lma_address))
        self._changed.set()

    def want_binding(self, binding: Binding) -> None:
        """Forward for the binding as it is now."""
        record = _record(binding)
        self._awaited[record.binding_id] = record
        self._use_address(binding.binding_id, self._address_towards(binding))
        self._want(record)

    def unwant_binding(self, binding: Binding) -> None:
        """Forward nothing more for the binding."""
        self._awaited.pop(binding.binding_id, None)
        self._use_address(binding.binding_id, None)
        self._reconciler.unwant(_record(binding))
        self._changed.set()

    def doubt(self) -> bool:
        """Something else may have changed the packet path: look, and put back what is missing.

        False if that is about to be done anyhow.
        """
        is_news = not self._is_doubtful
        self._is_doubtful = True
        self._changed.set()
        return is_news

    async def run(self) -> None:
        """Apply what is due, until cancelled; what fails is tried again at a slowing pace."""
        loop = asyncio.get_running_loop()
        retry: asyncio.TimerHandle | None = None
        while True:
            await self._changed.wait()
            self._changed.clear()
            if retry is not None:
                retry.cancel()
                retry = None
            if await self._converge():
                self._retry_s = FIRST_RETRY_S
                self.unresolved = None
            else:
                self._is_doubtful = True
                retry = loop.call_later(self._retry_s, self._changed.set)
                self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)

    async def _apply(self) -> tuple[Outcome, ...]:
        if not self._is_doubtful:
            return await self._reconciler.converge()
        self._is_doubtful = False  # what happens from now on, this look may miss
        lost = await self._lost()
        await self._rebuild()
        outcomes = await self._reconciler.resync()
        changed = Counter(_KINDS[type(each.operation.record)] for each in outcomes)
        if lost and not changed:
            changed["shared"] = len(lost)
        if changed:
            self.restored += changed
            facts = {**changed, **({"lost": lost} if lost else {})}
            self._note(LogEntry("dataplane_restored", Level.WARNING, facts))
        return outcomes

    async def _lost(self) -> list[str]:
        """What bindings rest on and is about to be made anew; a path that is away does not tell."""
        try:
            return list(await self._reconciler.losses())
        except DataplaneError:
            return []

    async def _converge(self) -> bool:
        await self._written()
        try:
            outcomes = await self._apply()
        except DataplaneError as error:
            self._failed(error)
            return False
        for outcome in outcomes:
            if outcome.error is not None:
                self._failed(outcome.error)
        await self._tell_what_is_there()
        return all(outcome.error is None for outcome in outcomes)

    async def _tell_what_is_there(self) -> None:
        """Not by what was done: a node that is back where it was needed nothing done."""
        async for record in in_steps(list(self._awaited.values())):
            is_awaited = self._awaited.get(record.binding_id) is record
            if is_awaited and self._is_there(record):
                del self._awaited[record.binding_id]
                self._on_ready(record.binding_id)

    def _is_there(self, record: MobileNodeForwarding) -> bool:
        """With the address that its node is to learn next."""
        address = self._addresses.get(record.binding_id)
        is_settled = self._reconciler.is_settled
        return is_settled(record) and (address is None or is_settled(address))

    def _address_towards(self, binding: Binding) -> GatewayAddress | None:
        address = binding.gateway_link_local_address
        if address.is_unspecified or address == self._access_link_local_address:
            return None
        return GatewayAddress(binding.access_interface, address)

    def _use_address(self, binding_id: int, address: GatewayAddress | None) -> None:
        """Several nodes of a link may know the gateway by one address: the last user takes it."""
        before = self._addresses.pop(binding_id, None)
        if address is not None:
            self._addresses[binding_id] = address
            self._address_users[address] += 1
            self._reconciler.want(address)
        if before is not None:
            self._address_users[before] -= 1
            if not self._address_users[before]:
                del self._address_users[before]
                self._reconciler.unwant(before)

    def _failed(self, error: DataplaneError) -> None:
        self.failures[error.operation] += 1
        self.unresolved = error
        _log.error(
            "dataplane_failed",
            operation=error.operation,
            target=error.target,
            reason=error.reason,
            retry_in_s=self._retry_s,
        )

    def _want(self, record: AccessLink | LmaTunnel | MobileNodeForwarding) -> None:
        self._reconciler.want(record)
        self._changed.set()

    def _tunnel(self, lma_address: IPv6Address) -> LmaTunnel:
        return LmaTunnel(self._proxy_care_of_address, lma_address, self._tunnel_mtus[lma_address])


def _record(binding: Binding) -> MobileNodeForwarding:
    return MobileNodeForwarding(
        binding_id=binding.binding_id,
        home_network_prefixes=binding.home_network_prefixes,
        access_interface=binding.access_interface,
        mn_link_layer_address=binding.mn_link_layer_id,
        lma_address=binding.lma_address,
        local_routing=binding.local_routing,
    )
