"""What a mobile node is told: its prefixes, its router, its MTU (RFC 5213 §6.9.2, RFC 4861)."""

from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.protocol.events import AdvertisePrefixes
from mag.protocol.settings import MINIMUM_IPV6_MTU, ProtocolSettings
from mag.wire.neighbor_discovery import PrefixInformation, RouterAdvertisement

ALL_NODES: Final = IPv6Address("ff02::1")
"""To this node alone all the same: the frame goes to its MAC (RFC 6085)."""


def advertisement(
    settings: ProtocolSettings,
    due: AdvertisePrefixes,
    *,
    tunnel_mtu_octets: int,
    access_mtu_octets: int,
) -> bytes:
    """The Router Advertisement of a node with service, as a whole IPv6 packet."""
    ra = settings.router_advertisement
    return _encode(
        settings,
        router_lifetime_s=ra.router_lifetime_s,
        mtu=advertised_mtu(tunnel_mtu_octets, access_mtu_octets),
        prefixes=tuple(
            PrefixInformation(prefix, due.valid_lifetime_s, due.preferred_lifetime_s)
            for prefix in due.binding.home_network_prefixes
        ),
    )


def withdrawal(
    settings: ProtocolSettings,
    home_network_prefixes: tuple[IPv6Network, ...],
    *,
    ends_service: bool,
) -> bytes:
    """Ends prefixes of a node that is on the link, and its router with `ends_service`."""
    return _encode(
        settings,
        router_lifetime_s=0 if ends_service else settings.router_advertisement.router_lifetime_s,
        mtu=None,
        prefixes=tuple(PrefixInformation(prefix, 0, 0) for prefix in home_network_prefixes),
    )


def advertised_mtu(tunnel_mtu_octets: int, access_mtu_octets: int) -> int:
    """The smaller of the two, but hosts ignore an option below 1280 (interpretation INT-13)."""
    return max(MINIMUM_IPV6_MTU, min(tunnel_mtu_octets, access_mtu_octets))


def _encode(
    settings: ProtocolSettings,
    *,
    router_lifetime_s: int,
    mtu: int | None,
    prefixes: tuple[PrefixInformation, ...],
) -> bytes:
    ra = settings.router_advertisement
    return RouterAdvertisement(
        cur_hop_limit=ra.cur_hop_limit,
        router_lifetime_s=router_lifetime_s,
        reachable_time_ms=ra.reachable_time_ms,
        retrans_timer_ms=ra.retrans_timer_ms,
        prefixes=prefixes,
        source_link_layer_address=settings.fixed_mag_link_layer_address,
        mtu=mtu,
    ).encode(settings.fixed_mag_link_local_address, ALL_NODES)
