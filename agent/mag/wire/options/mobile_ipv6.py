"""Mobility options of Mobile IPv6 (RFC 6275 §6.2), RFC 4283 and RFC 5094."""

from ipaddress import IPv6Address
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.iana import MobilityOptionType
from mag.wire.lifetime import lifetime_from_units, lifetime_to_units
from mag.wire.options.base import MobilityOption, register

NETWORK_ACCESS_IDENTIFIER_SUBTYPE: Final = 1
"""Subtype of the MN-Identifier option for an NAI (RFC 4283 §3.1)."""


@register
@frozen
class BindingRefreshAdviceOption(MobilityOption):
    """When the peer would like the next registration (RFC 6275 §6.2.4)."""

    refresh_interval_s: int
    """Seconds, a multiple of 4."""

    TYPE: ClassVar[int] = MobilityOptionType.BINDING_REFRESH_ADVICE
    ALIGNMENT: ClassVar[tuple[int, int]] = (2, 0)
    LAYOUT: ClassVar[Struct] = Struct("!BBH")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, units = cls.LAYOUT.unpack(octets)
        return cls(lifetime_from_units(units))

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.TYPE, 2, lifetime_to_units(self.refresh_interval_s))


@register
@frozen
class AlternateCareOfAddressOption(MobilityOption):
    """The care-of address, when it is not the packet's source (RFC 6275 §6.2.5)."""

    address: IPv6Address

    TYPE: ClassVar[int] = MobilityOptionType.ALTERNATE_CARE_OF_ADDRESS
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
class BindingAuthorizationDataOption(MobilityOption):
    """Authenticator of route optimisation (RFC 6275 §6.2.7); a MAG never sends it."""

    authenticator: bytes

    TYPE: ClassVar[int] = MobilityOptionType.BINDING_AUTHORIZATION_DATA
    ALIGNMENT: ClassVar[tuple[int, int]] = (8, 2)
    MUST_BE_LAST: ClassVar[bool] = True

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        return cls(octets[2:])

    def encode(self) -> bytes:
        return bytes((self.TYPE, len(self.authenticator))) + self.authenticator


@register
@frozen
class MobileNodeIdentifierOption(MobilityOption):
    """Who the mobile node is (RFC 4283 §3)."""

    identifier: bytes
    """Up to 254 octets, no terminator; empty only in an LMA's answer to a PBU that had none."""
    subtype: int = NETWORK_ACCESS_IDENTIFIER_SUBTYPE

    TYPE: ClassVar[int] = MobilityOptionType.MOBILE_NODE_IDENTIFIER

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        # RFC 5213 §5.3.6 has LMAs answer with a zero-length identifier; some leave the subtype
        # out with it.
        return cls(octets[3:], octets[2]) if len(octets) > 2 else cls(b"")  # noqa: PLR2004

    def encode(self) -> bytes:
        return bytes((self.TYPE, 1 + len(self.identifier), self.subtype)) + self.identifier


@register
@frozen
class VendorSpecificOption(MobilityOption):
    """An organisation's own option (RFC 5094 §3)."""

    vendor_id: int
    """Private enterprise number."""
    sub_type: int
    data: bytes = b""

    TYPE: ClassVar[int] = MobilityOptionType.VENDOR_SPECIFIC
    ALIGNMENT: ClassVar[tuple[int, int]] = (4, 2)
    MAY_REPEAT: ClassVar[bool] = True
    LAYOUT: ClassVar[Struct] = Struct("!BBIB")

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        _, _, vendor_id, sub_type = cls.LAYOUT.unpack_from(octets)
        return cls(vendor_id, sub_type, octets[cls.LAYOUT.size :])

    def encode(self) -> bytes:
        header = self.LAYOUT.pack(self.TYPE, 5 + len(self.data), self.vendor_id, self.sub_type)
        return header + self.data
