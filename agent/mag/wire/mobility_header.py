"""The Mobility Header around every message (RFC 6275 §6.1, checks of §9.2)."""

import struct
from collections.abc import Mapping
from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.binding_refresh_request import BindingRefreshRequest
from mag.wire.buffer import (
    BadChecksum,
    BadPayloadProtocol,
    HeaderTooShort,
    Truncated,
    UnknownMobilityHeaderType,
)
from mag.wire.checksum import checksum
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import IP_PROTOCOL_NO_NEXT_HEADER

__all__ = ["MobilityMessage", "checksum", "decode", "encode"]

MobilityMessage = (
    ProxyBindingUpdate
    | ProxyBindingAcknowledgement
    | BindingError
    | BindingRefreshRequest
    | Heartbeat
)

_MESSAGE_CLASSES: Final[Mapping[int, type[MobilityMessage]]] = {
    message_class.MH_TYPE: message_class
    for message_class in (
        ProxyBindingUpdate,
        ProxyBindingAcknowledgement,
        BindingError,
        BindingRefreshRequest,
        Heartbeat,
    )
}
_UNIT_OCTETS: Final = 8
_MAX_OCTETS: Final = 256 * _UNIT_OCTETS
_CHECKSUM_OFFSET: Final = 4
_HEADER: Final = Struct("!BBBxH")
_CHECKSUM: Final = Struct("!H")


def decode(data: bytes, source: IPv6Address, destination: IPv6Address) -> MobilityMessage:
    """Read a Mobility Header message, checked in the order of RFC 6275 §9.2.

    data: from the Payload Proto octet on, IPv6 and extension headers removed; octets behind
        Header Len are ignored.
    source, destination: of the IPv6 header.
    Raises WireError and nothing else.
    """
    if len(data) < _UNIT_OCTETS:
        raise Truncated(f"{len(data)} octets")
    payload_protocol, header_len, mh_type, _ = _HEADER.unpack_from(data)
    length = (header_len + 1) * _UNIT_OCTETS
    if length > len(data):
        raise Truncated(f"Header Len promises {length} octets, {len(data)} are there")
    message = data[:length]
    if checksum(message, source, destination) != 0:
        raise BadChecksum(f"from {source}")
    message_class = _MESSAGE_CLASSES.get(mh_type)
    if message_class is None:
        raise UnknownMobilityHeaderType(mh_type)
    if payload_protocol != IP_PROTOCOL_NO_NEXT_HEADER:
        raise BadPayloadProtocol(f"Payload Proto {payload_protocol}")
    if header_len < message_class.MINIMUM_HEADER_LEN:
        raise HeaderTooShort(f"Header Len {header_len} for MH Type {mh_type}")
    return message_class.decode(message)


def encode(message: MobilityMessage, source: IPv6Address, destination: IPv6Address) -> bytes:
    """Write a Mobility Header message with its checksum, a multiple of 8 octets.

    source, destination: of the IPv6 header it will travel in.
    Raises ValueError for values that do not fit and for what RFC 5213 forbids to send.
    """
    try:
        message_data = message.encode()
    except struct.error as error:
        raise ValueError(f"{type(message).__name__}: {error}") from error
    length = _HEADER.size + len(message_data)
    if length > _MAX_OCTETS:
        raise ValueError(f"{length} octets do not fit into a Mobility Header")
    header_len = length // _UNIT_OCTETS - 1
    header = _HEADER.pack(IP_PROTOCOL_NO_NEXT_HEADER, header_len, message.MH_TYPE, 0)
    value = checksum(header + message_data, source, destination)
    return header[:_CHECKSUM_OFFSET] + _CHECKSUM.pack(value) + message_data
