"""Binding Error (RFC 6275 §6.1.9)."""

from ipaddress import IPv6Address
from struct import Struct
from typing import ClassVar, Final, Self

from mag.frozen import frozen
from mag.wire.iana import MobilityHeaderType
from mag.wire.options import decode_options

_OPTIONS_START: Final = 24
_UNSPECIFIED: Final = IPv6Address(0)


@frozen
class BindingError:
    """A peer's complaint about a Mobility Header message or a binding it does not know."""

    status: int
    """A BindingErrorStatus, or a value assigned since."""
    home_address: IPv6Address = _UNSPECIFIED
    """From the Home Address option of the packet complained about; `::` if it had none."""

    MH_TYPE: ClassVar[int] = MobilityHeaderType.BINDING_ERROR
    MINIMUM_HEADER_LEN: ClassVar[int] = 2
    LAYOUT: ClassVar[Struct] = Struct("!Bx16s")

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Read a whole Mobility Header that holds the fixed part. Raises WireError."""
        status, home_address = cls.LAYOUT.unpack_from(message, 6)
        # No option is defined for this message; a malformed one still condemns it (§9.2).
        decode_options(message, _OPTIONS_START)
        return cls(status, IPv6Address(home_address))

    def encode(self) -> bytes:
        """Write the message data, what follows the checksum. Raises struct.error for misuse."""
        return self.LAYOUT.pack(self.status, self.home_address.packed)
