"""Options of Neighbor Discovery that a MAG sends or reads (RFC 4861 §4.6, RFC 8106 §5.1)."""

import struct
from collections.abc import Mapping
from ipaddress import IPv6Address, IPv6Network
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.buffer import MalformedOption, Reader

MINIMUM_MTU: Final = 1280
"""Hosts ignore an MTU option below it (RFC 4861 §6.3.4)."""

_UNIT_OCTETS: Final = 8
_ADDRESS_OCTETS: Final = 16
_HEADER: Final = Struct("!BB")
_ON_LINK: Final = 0x80
_AUTONOMOUS: Final = 0x40


@frozen
class _LinkLayerAddressOption:
    address: bytes
    """Six octets on Ethernet; other links pad theirs to fill the option."""

    TYPE: ClassVar[int]

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        return cls(octets[_HEADER.size :])

    def encode(self) -> bytes:
        units, rest = divmod(_HEADER.size + len(self.address), _UNIT_OCTETS)
        if rest or not units:
            raise ValueError(f"a link-layer address of {len(self.address)} octets fills no option")
        return _HEADER.pack(self.TYPE, units) + self.address


class SourceLinkLayerAddressOption(_LinkLayerAddressOption):
    """The sender's link-layer address (RFC 4861 §4.6.1)."""

    TYPE = 1


class TargetLinkLayerAddressOption(_LinkLayerAddressOption):
    """The target's link-layer address (RFC 4861 §4.6.1)."""

    TYPE = 2


@frozen
class PrefixInformation:
    """A prefix of the link (RFC 4861 §4.6.2)."""

    prefix: IPv6Network
    valid_lifetime_s: int
    """32 bits; all ones: without end."""
    preferred_lifetime_s: int
    """Not above the valid lifetime."""
    on_link: bool = True
    autonomous: bool = True

    TYPE: ClassVar[int] = 3
    LAYOUT: ClassVar[Struct] = Struct("!BBBBII4x16s")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, length, flags, valid, preferred, prefix = cls.LAYOUT.unpack(octets)
        return cls(
            IPv6Network((prefix, length), strict=False),
            valid,
            preferred,
            bool(flags & _ON_LINK),
            bool(flags & _AUTONOMOUS),
        )

    def encode(self) -> bytes:
        if self.preferred_lifetime_s > self.valid_lifetime_s:
            raise ValueError(f"{self.prefix}: preferred lifetime above valid (RFC 4861 §6.2.1)")
        return self.LAYOUT.pack(
            self.TYPE,
            self.LAYOUT.size // _UNIT_OCTETS,
            self.prefix.prefixlen,
            self.on_link * _ON_LINK | self.autonomous * _AUTONOMOUS,
            self.valid_lifetime_s,
            self.preferred_lifetime_s,
            self.prefix.network_address.packed,
        )


@frozen
class MtuOption:
    """The MTU of the link (RFC 4861 §4.6.4)."""

    mtu: int
    """Octets."""

    TYPE: ClassVar[int] = 5
    LAYOUT: ClassVar[Struct] = Struct("!BBxxI")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, mtu = cls.LAYOUT.unpack(octets)
        return cls(mtu)

    def encode(self) -> bytes:
        if self.mtu < MINIMUM_MTU:
            raise ValueError(f"hosts ignore an MTU of {self.mtu} (RFC 4861 §6.3.4)")
        return self.LAYOUT.pack(self.TYPE, self.LAYOUT.size // _UNIT_OCTETS, self.mtu)


@frozen
class RecursiveDnsServers:
    """Addresses of DNS resolvers (RFC 8106 §5.1)."""

    lifetime_s: int
    """32 bits; 0 withdraws them."""
    addresses: tuple[IPv6Address, ...]
    """One or more."""

    TYPE: ClassVar[int] = 25
    LAYOUT: ClassVar[Struct] = Struct("!BBxxI")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        reader = Reader(octets)
        _, _, lifetime = reader.unpack(cls.LAYOUT)
        if not reader.remaining or reader.remaining % _ADDRESS_OCTETS:
            raise ValueError(f"{reader.remaining} octets of addresses")
        count = reader.remaining // _ADDRESS_OCTETS
        addresses = (IPv6Address(reader.take(_ADDRESS_OCTETS)) for _ in range(count))
        return cls(lifetime, tuple(addresses))

    def encode(self) -> bytes:
        if not self.addresses:
            raise ValueError("a DNS server option without an address")
        header = self.LAYOUT.pack(self.TYPE, 1 + 2 * len(self.addresses), self.lifetime_s)
        return header + b"".join(address.packed for address in self.addresses)


NeighborDiscoveryOption = (
    SourceLinkLayerAddressOption
    | TargetLinkLayerAddressOption
    | PrefixInformation
    | MtuOption
    | RecursiveDnsServers
)

_OPTION_CLASSES: Final[Mapping[int, type[NeighborDiscoveryOption]]] = {
    option_class.TYPE: option_class
    for option_class in (
        SourceLinkLayerAddressOption,
        TargetLinkLayerAddressOption,
        PrefixInformation,
        MtuOption,
        RecursiveDnsServers,
    )
}


def decode_options(octets: bytes) -> list[NeighborDiscoveryOption]:
    """Read options up to the end; unknown ones are skipped (RFC 4861 §6.1.1).

    Raises Truncated for an option that crosses the end, MalformedOption for a Length of 0 or one
    that its type cannot have.
    """
    options: list[NeighborDiscoveryOption] = []
    reader = Reader(octets)
    while reader.remaining:
        header = reader.take(_HEADER.size)
        option_type, units = header
        if units == 0:
            raise MalformedOption(f"option {option_type} of length 0")
        body = reader.take(units * _UNIT_OCTETS - _HEADER.size)
        option_class = _OPTION_CLASSES.get(option_type)
        if option_class is None:
            continue
        try:
            options.append(option_class.decode(header + body))
        except (struct.error, ValueError) as error:
            raise MalformedOption(f"option {option_type}: {error}") from error
    return options
