"""What a mobile node is told: its prefixes, its router, its MTU (RFC 5213 §6.9.2, RFC 4861)."""

from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from mag.protocol.events import AdvertisePrefixes, Binding, WithdrawPrefixes
from mag.protocol.settings import MINIMUM_IPV6_MTU, ProtocolSettings
from mag.wire.neighbor_discovery import PrefixInformation, RouterAdvertisement

ALL_NODES: Final = IPv6Address("ff02::1")
"""To this node alone all the same: the frame goes to its MAC (RFC 6085)."""

_MOST_TEMPLATES: Final = 64
_CHECKSUM: Final = Struct("!H")
_CHECKSUM_AT: Final = 42
"""Of an ICMPv6 message, in the IPv6 packet that has no extension header."""
_PREFIX_OCTETS: Final = 16
"""The last of the packet: Prefix Information is its last option."""


class Advertisements:
    """Router Advertisements of nodes with service; what most of them share is encoded once.

    Of what is told to all nodes of a link, two advertisements with one prefix each differ in that
    and in the checksum, which follows from the other one's (RFC 1624).
    """

    def __init__(self) -> None:
        self._settings: ProtocolSettings | None = None
        self._templates: dict[tuple[object, ...], tuple[bytes, int]] = {}
        """An advertisement, and its checksum without its prefix, by what its octets depend on."""

    def packet(
        self,
        settings: ProtocolSettings,
        due: AdvertisePrefixes,
        *,
        tunnel_mtu_octets: int,
        access_mtu_octets: int,
    ) -> bytes:
        """As `advertisement` makes it."""
        mtus = tunnel_mtu_octets, access_mtu_octets
        binding = due.binding
        if due.node_address is not None or len(binding.home_network_prefixes) != 1:
            return advertisement(settings, due, *mtus)
        if settings is not self._settings or len(self._templates) > _MOST_TEMPLATES:
            self._settings = settings
            self._templates.clear()
        (prefix,) = binding.home_network_prefixes
        key = (
            binding.gateway_link_local_address,
            settings.link_layer_address_towards(binding.mn_link_layer_id),
            binding.address_configuration,
            due.valid_lifetime_s,
            due.preferred_lifetime_s,
            prefix.prefixlen,
            mtus,
        )
        octets = prefix.network_address.packed
        value = int.from_bytes(octets, "big")
        if (template := self._templates.get(key)) is None:
            packet = advertisement(settings, due, *mtus)
            (checksum,) = _CHECKSUM.unpack_from(packet, _CHECKSUM_AT)
            self._templates[key] = packet, checksum + value
            return packet
        packet, without_prefix = template
        return b"".join(
            (
                packet[:_CHECKSUM_AT],
                _CHECKSUM.pack((without_prefix - value) % 0xFFFF),
                packet[_CHECKSUM_AT + _CHECKSUM.size : -_PREFIX_OCTETS],
                octets,
            )
        )


def advertisement(
    settings: ProtocolSettings,
    due: AdvertisePrefixes,
    tunnel_mtu_octets: int,
    access_mtu_octets: int,
) -> bytes:
    """The Router Advertisement of a node with service, as a whole IPv6 packet."""
    ra = settings.router_advertisement
    how = due.binding.address_configuration
    return _encode(
        settings,
        due.binding,
        source=due.binding.gateway_link_local_address,
        router_lifetime_s=ra.router_lifetime_s,
        mtu=advertised_mtu(tunnel_mtu_octets, access_mtu_octets),
        prefixes=tuple(
            PrefixInformation(
                prefix,
                due.valid_lifetime_s,
                due.preferred_lifetime_s,
                autonomous=how.is_autonomous,
            )
            for prefix in due.binding.home_network_prefixes
        ),
        destination=due.node_address or ALL_NODES,
        managed=how.is_managed,
    )


def withdrawal(settings: ProtocolSettings, due: WithdrawPrefixes) -> bytes:
    """Ends prefixes of a node that is on the link, and its router if the service ends."""
    router, how = due.binding.gateway_link_local_address, due.binding.address_configuration
    is_router = not (due.ends_service or router.is_unspecified)
    return _encode(
        settings,
        due.binding,
        source=settings.source_towards(router),
        router_lifetime_s=settings.router_advertisement.router_lifetime_s if is_router else 0,
        mtu=None,
        prefixes=tuple(
            PrefixInformation(prefix, 0, 0, autonomous=how.is_autonomous) for prefix in due.prefixes
        ),
        destination=ALL_NODES,
        managed=how.is_managed,
    )


def advertised_mtu(tunnel_mtu_octets: int, access_mtu_octets: int) -> int:
    """The smaller of the two, but hosts ignore an option below 1280 (interpretation INT-13)."""
    return max(MINIMUM_IPV6_MTU, min(tunnel_mtu_octets, access_mtu_octets))


def _encode(
    settings: ProtocolSettings,
    binding: Binding,
    *,
    source: IPv6Address,
    router_lifetime_s: int,
    mtu: int | None,
    prefixes: tuple[PrefixInformation, ...],
    destination: IPv6Address,
    managed: bool,
) -> bytes:
    ra = settings.router_advertisement
    return RouterAdvertisement(
        cur_hop_limit=ra.cur_hop_limit,
        router_lifetime_s=router_lifetime_s,
        reachable_time_ms=ra.reachable_time_ms,
        retrans_timer_ms=ra.retrans_timer_ms,
        prefixes=prefixes,
        source_link_layer_address=settings.link_layer_address_towards(binding.mn_link_layer_id),
        mtu=mtu,
        managed=managed,
    ).encode(source, destination)
