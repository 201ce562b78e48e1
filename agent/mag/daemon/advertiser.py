"""Sends Router Advertisements to single nodes, as the core says (RFC 5213 §6.9.2)."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address

from mag.daemon.gateway_log import GatewayLog
from mag.protocol.events import AdvertisePrefixes, Binding, WithdrawPrefixes
from mag.protocol.settings import ProtocolSettings
from mag.services import router_advertisement
from mag.services.access_link import AccessLinkPort
from mag.services.event_log import Level, LogEntry, binding_facts


class Advertiser:
    """Builds each advertisement from what is in force when it goes out."""

    def __init__(
        self,
        *,
        settings: Callable[[], ProtocolSettings],
        tunnel_mtus: Mapping[IPv6Address, int],
        access_mtu_octets: Callable[[str], int | None],
        ports: Mapping[str, AccessLinkPort],
        lma_names: Mapping[IPv6Address, str],
        log: GatewayLog,
    ) -> None:
        """tunnel_mtus: octets, by LMA. access_mtu_octets: of an interface, None if not known."""
        self._settings = settings
        self._tunnel_mtus = tunnel_mtus
        self._access_mtu_octets = access_mtu_octets
        self._ports = ports
        self._lma_names = lma_names
        self._log = log
        self._advertisements = router_advertisement.Advertisements()

    def advertise(self, due: AdvertisePrefixes) -> None:
        """Tell a node its prefixes, its router and the MTU that holds end to end."""
        tunnel_mtu = self._tunnel_mtus[due.binding.lma_address]
        access_mtu = self._access_mtu_octets(due.binding.access_interface)
        packet = self._advertisements.packet(
            self._settings(),
            due,
            tunnel_mtu_octets=tunnel_mtu,
            access_mtu_octets=tunnel_mtu if access_mtu is None else access_mtu,
        )
        self._send(due.binding, packet, "router_advertisement")

    def withdraw(self, withdrawal: WithdrawPrefixes) -> None:
        """Tell a node that prefixes, and where that is so its router, are no more."""
        packet = router_advertisement.withdrawal(self._settings(), withdrawal)
        self._send(withdrawal.binding, packet, "prefix_withdrawal")

    def _send(self, binding: Binding, packet: bytes, what: str) -> None:
        port = self._ports.get(binding.access_interface)
        if port is None:  # a repetition for a link that has been given up
            return
        is_sent = port.send(packet, binding.mn_link_layer_id)
        name, level = ("sent", Level.DEBUG) if is_sent else ("not_sent", Level.WARNING)
        if self._log.is_of_interest(level):
            self._log.note(
                LogEntry(f"{what}_{name}", level, binding_facts(binding, self._lma_names))
            )
