"""Mobility options of Proxy Mobile IPv6 (RFC 5213 §8.3 to §8.8)."""

from ipaddress import IPv6Address, IPv6Network
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.iana import MobilityOptionType
from mag.wire.options.base import MobilityOption, register

ADDRESS_BITS: Final = 128


@register
@frozen
class HomeNetworkPrefixOption(MobilityOption):
    """A home network prefix of the mobile node (RFC 5213 §8.3)."""

    network: int
    """The prefix as a number of 128 bits, host bits cleared; 0 asks the LMA to assign."""
    prefix_length: int
    """In bits; of no meaning where `network` is 0, and 0 by preference."""

    TYPE: ClassVar[int] = MobilityOptionType.HOME_NETWORK_PREFIX
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 4)
    MAY_REPEAT: ClassVar[bool] = True
    LAYOUT: ClassVar[Struct] = Struct("!BBxBQQ")

    @classmethod
    def of(cls, prefix: IPv6Network) -> Self:
        """The option that says this prefix."""
        return cls(int(prefix.network_address), prefix.prefixlen)

    @property
    def prefix(self) -> IPv6Network:
        """Made when it is asked for: it takes longer than to read half of the message."""
        return IPv6Network((self.network, self.prefix_length))

    @property
    def is_all_zero(self) -> bool:
        """The prefix is ALL_ZERO, whatever its length says."""
        return self.network == 0

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, prefix_length, high, low = cls.LAYOUT.unpack(octets)
        if prefix_length > ADDRESS_BITS:
            raise ValueError(f"a prefix of {prefix_length} bits")
        host_bits = ADDRESS_BITS - prefix_length
        return cls((high << 64 | low) >> host_bits << host_bits, prefix_length)

    def encode(self) -> bytes:
        if self.network & (1 << ADDRESS_BITS - self.prefix_length) - 1:
            raise ValueError(f"host bits behind a prefix of {self.prefix_length} bits")
        high, low = self.network >> 64, self.network & 0xFFFF_FFFF_FFFF_FFFF
        return self.LAYOUT.pack(self.TYPE, 18, self.prefix_length, high, low)


@register
@frozen
class HandoffIndicatorOption(MobilityOption):
    """What the MAG knows of the kind of handoff (RFC 5213 §8.4)."""

    handoff_indicator: int
    """A HandoffIndicator, or a value that RFC leaves unassigned."""

    TYPE: ClassVar[int] = MobilityOptionType.HANDOFF_INDICATOR
    LAYOUT: ClassVar[Struct] = Struct("!BBxB")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, handoff_indicator = cls.LAYOUT.unpack(octets)
        return cls(handoff_indicator)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 2, self.handoff_indicator)


@register
@frozen
class AccessTechnologyTypeOption(MobilityOption):
    """The technology by which the mobile node is attached (RFC 5213 §8.5)."""

    access_technology_type: int
    """An AccessTechnologyType, or a value assigned since."""

    TYPE: ClassVar[int] = MobilityOptionType.ACCESS_TECHNOLOGY_TYPE
    LAYOUT: ClassVar[Struct] = Struct("!BBxB")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, access_technology_type = cls.LAYOUT.unpack(octets)
        return cls(access_technology_type)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 2, self.access_technology_type)


@register
@frozen
class MobileNodeLinkLayerIdentifierOption(MobilityOption):
    """The link-layer identifier of the mobile node's attached interface (RFC 5213 §8.6)."""

    identifier: bytes
    """Up to 253 octets; six for a MAC address."""

    TYPE: ClassVar[int] = MobilityOptionType.MOBILE_NODE_LINK_LAYER_IDENTIFIER
    LAYOUT: ClassVar[Struct] = Struct("!BBxx")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        cls.LAYOUT.unpack_from(octets)
        return cls(octets[cls.LAYOUT.size :])

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 2 + len(self.identifier)) + self.identifier


@register
@frozen
class LinkLocalAddressOption(MobilityOption):
    """The MAG's link-local address on the link with the mobile node (RFC 5213 §8.7)."""

    address: IPv6Address
    """`::` asks the LMA for one."""

    TYPE: ClassVar[int] = MobilityOptionType.LINK_LOCAL_ADDRESS
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 6)
    LAYOUT: ClassVar[Struct] = Struct("!BB16s")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, address = cls.LAYOUT.unpack(octets)
        return cls(IPv6Address(address))

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 16, self.address.packed)


@register
@frozen
class TimestampOption(MobilityOption):
    """When the message was sent (RFC 5213 §8.8)."""

    ticks: int
    """64-bit count of 1/65536 s since 1970-01-01 00:00 UTC: 48 bits of seconds, 16 of fraction."""

    TYPE: ClassVar[int] = MobilityOptionType.TIMESTAMP
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 2)
    LAYOUT: ClassVar[Struct] = Struct("!BBQ")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, ticks = cls.LAYOUT.unpack(octets)
        return cls(ticks)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 8, self.ticks)
