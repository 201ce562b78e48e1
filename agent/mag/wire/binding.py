"""Proxy Binding Update and Proxy Binding Acknowledgement (RFC 5213 §8.1 and §8.2)."""

from functools import cache
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.binding_update_rules import check_sendable
from mag.wire.iana import (
    FIRST_REJECTING_STATUS,
    BindingAcknowledgementFlag,
    BindingUpdateFlag,
    MobilityHeaderType,
)
from mag.wire.lifetime import lifetime_from_units, lifetime_to_units
from mag.wire.options import CarriesOptions, MobilityOption, decode_options, encode_options

_OPTIONS_START: Final = 12
_PROXY_UPDATE: Final = (
    BindingUpdateFlag.ACKNOWLEDGE
    | BindingUpdateFlag.HOME_REGISTRATION
    | BindingUpdateFlag.PROXY_REGISTRATION
)
# Reserved bits are cleared before the flag types see them: a peer shall not be able to grow the
# tables in which IntFlag keeps every combination it has met.
_UPDATE_FLAG_BITS: Final = sum(BindingUpdateFlag)
_ACKNOWLEDGEMENT_FLAG_BITS: Final = sum(BindingAcknowledgementFlag)
_update_flags: Final = cache(BindingUpdateFlag)
_acknowledgement_flags: Final = cache(BindingAcknowledgementFlag)


# Flags are few, and `&` of two of them is slow: it looks up a third.
@cache
def _is_proxy_update(flags: BindingUpdateFlag) -> bool:
    return bool(flags & BindingUpdateFlag.PROXY_REGISTRATION)


@cache
def _is_proxy_acknowledgement(flags: BindingAcknowledgementFlag) -> bool:
    return bool(flags & BindingAcknowledgementFlag.PROXY_REGISTRATION)


@frozen
class ProxyBindingUpdate(CarriesOptions):
    """A MAG's request to register, refresh or de-register a mobility session."""

    sequence: int
    """16 bits."""
    lifetime_s: int
    """A multiple of 4 up to 262140; 0 de-registers."""
    options: tuple[MobilityOption, ...]
    flags: BindingUpdateFlag = _PROXY_UPDATE

    MH_TYPE: ClassVar[int] = MobilityHeaderType.BINDING_UPDATE
    MINIMUM_HEADER_LEN: ClassVar[int] = 1
    LAYOUT: ClassVar[Struct] = Struct("!HHH")

    @property
    def is_proxy(self) -> bool:
        """The P flag is set; without it this is a mobile node's own Binding Update."""
        return _is_proxy_update(self.flags)

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a whole Mobility Header that holds the fixed part. Raises WireError."""
        sequence, flags, units = cls.LAYOUT.unpack_from(message, 6)
        return cls(
            sequence,
            lifetime_from_units(units),
            decode_options(message, _OPTIONS_START),
            _update_flags(flags & _UPDATE_FLAG_BITS),
        )

    def encode(self) -> bytes:
        """Write the message data, what follows the checksum.

        Raises ValueError for a message that RFC 5213 forbids to send.
        """
        check_sendable(self.flags, self.lifetime_s, self.options)
        units = lifetime_to_units(self.lifetime_s)
        fixed = self.LAYOUT.pack(self.sequence, self.flags, units)
        return fixed + encode_options(self.options, _OPTIONS_START)


@frozen
class ProxyBindingAcknowledgement(CarriesOptions):
    """An LMA's answer to a Proxy Binding Update."""

    status: int
    """A BindingStatus, or a value assigned since."""
    sequence: int
    """16 bits."""
    lifetime_s: int
    """Granted, a multiple of 4 up to 262140; says nothing when the status rejects."""
    options: tuple[MobilityOption, ...]
    flags: BindingAcknowledgementFlag = BindingAcknowledgementFlag.PROXY_REGISTRATION

    MH_TYPE: ClassVar[int] = MobilityHeaderType.BINDING_ACKNOWLEDGEMENT
    MINIMUM_HEADER_LEN: ClassVar[int] = 1
    LAYOUT: ClassVar[Struct] = Struct("!BBHH")

    @property
    def is_proxy(self) -> bool:
        """The P flag is set; without it this answers no Proxy Binding Update."""
        return _is_proxy_acknowledgement(self.flags)

    @property
    def is_accepted(self) -> bool:
        """The status is below 128 (RFC 6275 §6.1.8)."""
        return self.status < FIRST_REJECTING_STATUS

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a whole Mobility Header that holds the fixed part. Raises WireError."""
        status, flags, sequence, units = cls.LAYOUT.unpack_from(message, 6)
        return cls(
            status,
            sequence,
            lifetime_from_units(units),
            decode_options(message, _OPTIONS_START),
            _acknowledgement_flags(flags & _ACKNOWLEDGEMENT_FLAG_BITS),
        )

    def encode(self) -> bytes:
        """Write the message data, what follows the checksum. Raises ValueError for misuse."""
        units = lifetime_to_units(self.lifetime_s)
        fixed = self.LAYOUT.pack(self.status, self.flags, self.sequence, units)
        return fixed + encode_options(self.options, _OPTIONS_START)
