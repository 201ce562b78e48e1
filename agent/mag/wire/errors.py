"""What can be wrong with octets a peer sent: one class a fault, each with a stable reason."""

from typing import ClassVar


class WireError(Exception):
    """The octets are no message that we may process; the text says where and why."""

    reason: ClassVar[str] = "wire_error"
    """Stable snake_case name of the fault: it labels a counter."""


class Truncated(WireError):
    """A length field promises more octets than there are."""

    reason = "truncated"


class BadChecksum(WireError):
    """The checksum does not fit the addresses and octets; discarded silently (RFC 6275 §9.2)."""

    reason = "bad_checksum"


class UnknownMobilityHeaderType(WireError):
    """No such MH Type here; the sender is told with Binding Error status 2 (RFC 6275 §9.2)."""

    reason = "unknown_mh_type"

    def __init__(self, mh_type: int) -> None:
        super().__init__(f"MH Type {mh_type}")
        self.mh_type = mh_type


class BadPayloadProtocol(WireError):
    """Payload Proto is not 59; the sender is told with a Parameter Problem (RFC 6275 §9.2)."""

    reason = "bad_payload_protocol"
    offset: ClassVar[int] = 0
    """Octet of the Mobility Header that the Parameter Problem points at."""


class HeaderTooShort(WireError):
    """Header Len is below the MH Type's minimum; a Parameter Problem says so (RFC 6275 §9.2)."""

    reason = "header_too_short"
    offset: ClassVar[int] = 1
    """Octet of the Mobility Header that the Parameter Problem points at."""


class MalformedOption(WireError):
    """An option crosses the end, has an impossible length or value, or stands out of place."""

    reason = "malformed_option"


class DuplicateOption(WireError):
    """A second instance of an option that may stand only once in a message."""

    reason = "duplicate_option"


class UnexpectedPacket(WireError):
    """Not the kind of packet asked for: other version, next header or ICMPv6 type."""

    reason = "unexpected_packet"


class BadHopLimit(WireError):
    """Neighbor Discovery from off the link: hop limit below 255 (RFC 4861 §6.1)."""

    reason = "bad_hop_limit"


class BadCode(WireError):
    """ICMPv6 code other than 0 (RFC 4861 §6.1)."""

    reason = "bad_code"


class BadSource(WireError):
    """The source address may not send this (RFC 4861 §6.1)."""

    reason = "bad_source"


class BadTarget(WireError):
    """The target address cannot be one node's (RFC 4861 §7.1)."""

    reason = "bad_target"
