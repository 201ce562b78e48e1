"""Router Solicitations in, Router Advertisements out (RFC 4861 §4.1, §4.2, §6.1)."""

import struct
from ipaddress import IPv6Address
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.buffer import BadSource
from mag.wire.neighbor_discovery_options import (
    MtuOption,
    NeighborDiscoveryOption,
    PrefixInformation,
    RecursiveDnsServers,
    SourceLinkLayerAddressOption,
    decode_options,
)
from mag.wire.neighbor_discovery_packet import decode_packet, encode_packet

__all__ = ["PrefixInformation", "RecursiveDnsServers", "RouterAdvertisement", "RouterSolicitation"]

ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134

_MANAGED: Final = 0x80
_OTHER: Final = 0x40


@frozen
class RouterSolicitation:
    """A node on the access link asks for advertisements (RFC 4861 §4.1)."""

    source: IPv6Address
    """`::` while the node has no address."""
    source_link_layer_address: bytes | None
    """Six octets on Ethernet; None if the node did not tell."""

    OPTIONS_START: ClassVar[int] = 8

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Read a whole IPv6 packet. Raises WireError by the rules of RFC 4861 §6.1.1."""
        ipv6 = decode_packet(packet, ROUTER_SOLICITATION, cls.OPTIONS_START)
        options = decode_options(ipv6.payload[cls.OPTIONS_START :])
        address = _source_link_layer_address(options)
        if ipv6.source.is_unspecified and address is not None:
            raise BadSource("a link-layer address from ::")
        return cls(ipv6.source, address)


@frozen
class RouterAdvertisement:
    """What the MAG tells a mobile node about its home link (RFC 4861 §4.2)."""

    cur_hop_limit: int
    router_lifetime_s: int
    """0 to 65535; 0: no default router."""
    reachable_time_ms: int
    """0 leaves it to the host."""
    retrans_timer_ms: int
    """0 leaves it to the host."""
    prefixes: tuple[PrefixInformation, ...]
    source_link_layer_address: bytes | None
    mtu: int | None
    """Octets, 1280 or more; None leaves the option out."""
    managed: bool = False
    other: bool = False
    recursive_dns_servers: RecursiveDnsServers | None = None

    LAYOUT: ClassVar[Struct] = Struct("!BBHBBHII")

    def encode(self, source: IPv6Address, destination: IPv6Address) -> bytes:
        """Write a whole IPv6 packet, hop limit 255.

        source: a link-local address, as RFC 4861 §4.2 demands.
        Raises ValueError for values that do not fit or that hosts would ignore.
        """
        if not source.is_link_local:
            raise ValueError(f"{source} is not link-local (RFC 4861 §4.2)")
        try:
            message = self._fixed_part() + b"".join(option.encode() for option in self._options())
            return encode_packet(message, source, destination)
        except struct.error as error:
            raise ValueError(f"RouterAdvertisement: {error}") from error

    def _fixed_part(self) -> bytes:
        return self.LAYOUT.pack(
            ROUTER_ADVERTISEMENT,
            0,
            0,
            self.cur_hop_limit,
            self.managed * _MANAGED | self.other * _OTHER,
            self.router_lifetime_s,
            self.reachable_time_ms,
            self.retrans_timer_ms,
        )

    def _options(self) -> tuple[NeighborDiscoveryOption, ...]:
        address, mtu, dns = self.source_link_layer_address, self.mtu, self.recursive_dns_servers
        return (
            *(() if address is None else (SourceLinkLayerAddressOption(address),)),
            *(() if mtu is None else (MtuOption(mtu),)),
            *self.prefixes,
            *(() if dns is None else (dns,)),
        )

    @classmethod
    def decode(cls, packet: bytes) -> Self:
        """Read a whole IPv6 packet. Raises WireError by the rules of RFC 4861 §6.1.2."""
        ipv6 = decode_packet(packet, ROUTER_ADVERTISEMENT, cls.LAYOUT.size)
        if not ipv6.source.is_link_local:
            raise BadSource(f"{ipv6.source} is not link-local")
        _, _, _, cur_hop_limit, flags, lifetime, reachable, retrans = cls.LAYOUT.unpack_from(
            ipv6.payload
        )
        options = decode_options(ipv6.payload[cls.LAYOUT.size :])
        return cls(
            cur_hop_limit=cur_hop_limit,
            router_lifetime_s=lifetime,
            reachable_time_ms=reachable,
            retrans_timer_ms=retrans,
            prefixes=tuple(option for option in options if isinstance(option, PrefixInformation)),
            source_link_layer_address=_source_link_layer_address(options),
            mtu=next((option.mtu for option in options if isinstance(option, MtuOption)), None),
            managed=bool(flags & _MANAGED),
            other=bool(flags & _OTHER),
            recursive_dns_servers=next(
                (option for option in options if isinstance(option, RecursiveDnsServers)), None
            ),
        )


def _source_link_layer_address(options: list[NeighborDiscoveryOption]) -> bytes | None:
    return next(
        (option.address for option in options if isinstance(option, SourceLinkLayerAddressOption)),
        None,
    )
