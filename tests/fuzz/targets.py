"""What must hold for any octets that a peer or a node may send; a broken invariant raises.

Checksums are made right first: a wrong one hides everything behind it.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Final

from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.checksum import checksum
from mag.wire.errors import WireError
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet
from mag.wire.mobility_header import MobilityMessage
from mag.wire.neighbor_discovery import RouterAdvertisement, RouterSolicitation
from mag.wire.neighbor_solicitation import NeighborSolicitation
from mag.wire.options import BindingAuthorizationDataOption, CarriesOptions

SOURCE: Final = IPv6Address("fe80::1")
DESTINATION: Final = IPv6Address("ff02::1")
_MINIMUM_OCTETS: Final = 8
_UNIT_OCTETS: Final = 8
_MAX_OCTETS: Final = 2048
_OFFSET: Final = re.compile(r"at offset (\d+)")


def mobility_header_target(data: bytes) -> None:
    """A Mobility Header message from its first octet."""
    for octets in (data, with_checksum(data)):
        try:
            message = mobility_header.decode(octets, SOURCE, DESTINATION)
        except WireError as error:
            _check_offset(error, octets)
            continue
        try:
            encoded = mobility_header.encode(message, SOURCE, DESTINATION)
        except ValueError:
            if _must_be_encodable(message, octets):
                raise
            continue
        again = mobility_header.decode(encoded, SOURCE, DESTINATION)
        _same(again, message)
        _same(mobility_header.encode(again, SOURCE, DESTINATION), encoded)


def _must_be_encodable(message: MobilityMessage, octets: bytes) -> bool:
    """We send no update that RFC 5213 forbids, and our padding may take more room."""
    if isinstance(message, ProxyBindingUpdate) or 2 * len(octets) > _MAX_OCTETS:
        return False
    return not (
        isinstance(message, CarriesOptions) and message.first(BindingAuthorizationDataOption)
    )


def neighbor_discovery_target(data: bytes) -> None:
    """An ICMPv6 message from its first octet."""
    unsummed = data[:2] + bytes(2) + data[4:]
    value = checksum(unsummed, SOURCE, DESTINATION, IP_PROTOCOL_ICMPV6)
    message = data[:2] + value.to_bytes(2, "big") + data[4:]
    packet = IPv6Packet(SOURCE, DESTINATION, IP_PROTOCOL_ICMPV6, message, 255).encode()
    for octets in (data, packet):
        for solicitation in (RouterSolicitation, NeighborSolicitation):
            try:
                solicitation.decode(octets)
            except WireError as error:
                _check_offset(error, octets)
        try:
            advertisement = RouterAdvertisement.decode(octets)
        except WireError as error:
            _check_offset(error, octets)
            continue
        try:
            encoded = advertisement.encode(SOURCE, DESTINATION)
        except ValueError:
            continue  # hosts would ignore it, so we do not send it
        again = RouterAdvertisement.decode(encoded)
        _same(again, advertisement)
        _same(again.encode(SOURCE, DESTINATION), encoded)


def with_checksum(data: bytes) -> bytes:
    """The same octets with the checksum that Header Len asks for."""
    if len(data) < _MINIMUM_OCTETS:
        return data
    covered = data[: (data[1] + 1) * _UNIT_OCTETS]
    value = checksum(covered[:4] + bytes(2) + covered[6:], SOURCE, DESTINATION)
    return data[:4] + value.to_bytes(2, "big") + data[6:]


def _check_offset(error: WireError, octets: bytes) -> None:
    told = [int(offset) for offset in _OFFSET.findall(str(error))]
    if isinstance(offset := getattr(error, "offset", None), int):
        told.append(offset)
    if any(offset >= len(octets) for offset in told):
        raise AssertionError(f"{error!r} points beyond {len(octets)} octets")


def _same(one: object, other: object) -> None:
    if one != other:
        raise AssertionError(f"{one!r} is not {other!r}")


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "mobility_header": mobility_header_target,
    "neighbor_discovery": neighbor_discovery_target,
}
"""By the name of their folder in the corpus."""
