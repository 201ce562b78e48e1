"""The outer world of a gateway on VPP, put together over one client."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import IPv6Address

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.backend import DEFAULT_MOBILITY_TABLE, VppDataplane
from mag.dataplane.vpp.client import DEFAULT_API_SOCKET, VppClient, keep_connected
from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.dataplane.vpp.shared_layout import CORE_TABLE, TableId
from mag.dataplane.vpp.stats import DEFAULT_STATS_SOCKET, StatsSegment
from mag.frozen import frozen
from mag.services.event_log import Level, LogEntry
from mag.services.log_setup import write_by_structlog
from mag.services.punt_access_link import PuntAccessLink, SourceEvents
from mag.services.punt_socket import PuntSocket
from mag.services.punt_transport import PuntTransport
from mag.services.vpp_link_monitor import VppLinkMonitor


@frozen
class VppSettings:
    """Where VPP is, and what of it is the gateway's."""

    core_interfaces: tuple[str, ...]
    """Where LMAs and their tunnel packets are heard."""
    punt_socket: str
    """Path of the agent's own socket, at most 107 octets, that VPP may write to."""
    api_socket: str = DEFAULT_API_SOCKET
    stats_socket: str = DEFAULT_STATS_SOCKET
    mobility_table: TableId = DEFAULT_MOBILITY_TABLE
    """IPv6 table that becomes ours."""
    core_table: TableId = CORE_TABLE
    """IPv6 table with the routes to the LMAs."""
    hand_off: bool = False
    """Spread the tunnel packets of one LMA over VPP's workers."""


class VppAdapters:
    """Everything that a gateway on VPP talks to; `dataplane.open` opens it, `close` ends it.

    Order: dataplane, then transport and ports; to end, ports, transport, dataplane.
    """

    def __init__(
        self,
        settings: VppSettings,
        *,
        proxy_care_of_address: IPv6Address,
        lma_addresses: Collection[IPv6Address],
        gateway_link_layer_address: bytes,
        access_links: Mapping[str, bool],
    ) -> None:
        """access_links: by interface, whether any packet of an unknown node is a signal."""
        self._note: Callable[[LogEntry], None] = write_by_structlog
        self.client = VppClient(settings.api_socket)
        interfaces = InterfaceDirectory(self.client)
        self._gateway_address = gateway_link_layer_address
        stats = StatsSegment(settings.stats_socket)
        self.punt = PuntSocket(self.client, interfaces, stats, settings.punt_socket)
        self.punt.on_losses(self._note_losses)
        self.source_events = SourceEvents(self.client, interfaces)
        self.link_monitor = VppLinkMonitor(self.client, interfaces)
        self.transport = PuntTransport(
            self.punt,
            proxy_care_of_address,
            core_interfaces=settings.core_interfaces,
            lma_addresses=lma_addresses,
        )
        self.ports = {
            interface: self.port(interface, pass_unknown_sources)
            for interface, pass_unknown_sources in access_links.items()
        }
        self.dataplane = VppDataplane(
            self.client,
            interfaces,
            stats,
            proxy_care_of_address=proxy_care_of_address,
            core_interfaces=settings.core_interfaces,
            mobility_table=settings.mobility_table,
            core_table=settings.core_table,
            hand_off=settings.hand_off,
            on_open=(
                self.link_monitor.open,
                self.source_events.open,
                self.punt.open,
                self.transport.resolve_lmas,
            ),
        )

    def port(self, interface: str, pass_unknown_sources: bool) -> PuntAccessLink:
        """Of one access link; not open yet."""
        return PuntAccessLink(
            interface,
            self.punt,
            self.source_events,
            gateway_link_layer_address=self._gateway_address,
            pass_unknown_sources=pass_unknown_sources,
        )

    async def keep_connected(
        self,
        resync: Callable[[], Awaitable[object]],
        note: Callable[[LogEntry], None],
    ) -> None:
        """Whenever VPP goes, say so, wait for it and put everything back; until cancelled.

        resync: puts back bindings, LMAs and access links; raises DataplaneError, to be called
        again, for what could not be put back: VPP's own start-up commands may be half-way.
        note: told of everything that happens to the path from now on.
        """
        self._note = note

        async def restore() -> None:
            await self.dataplane.open()
            await resync()

        last_reason = ""

        def failed(error: DataplaneError) -> None:
            nonlocal last_reason
            if str(error) != last_reason:
                last_reason = str(error)
                note(LogEntry("vpp_not_back", Level.WARNING, {"reason": last_reason}))

        def restored() -> None:
            nonlocal last_reason
            last_reason = ""
            note(LogEntry("vpp_restored", Level.INFO, {"times_lost": self.client.times_lost}))

        await keep_connected(
            self.client,
            restore,
            lost=lambda reason: note(LogEntry("vpp_lost", Level.ERROR, {"reason": reason})),
            failed=failed,
            restored=restored,
        )

    def _note_losses(self, lost: int) -> None:
        facts = {"lost": lost, "total": self.punt.lost}
        self._note(LogEntry("punted_packets_lost", Level.WARNING, facts))
