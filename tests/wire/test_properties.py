"""Round trips of whatever we can say, and any octets at all against the decoders."""

from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mag.wire import mobility_header
from mag.wire.checksum import checksum
from mag.wire.errors import BadChecksum, Truncated, WireError
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet
from mag.wire.mobility_header import MobilityMessage
from mag.wire.neighbor_discovery import RouterAdvertisement, RouterSolicitation
from mag.wire.options import (
    AlternateCareOfAddressOption,
    BindingRefreshAdviceOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    RestartCounterOption,
    TimestampOption,
    VendorSpecificOption,
)
from support.mobility_headers import LMA, MAG, repair_checksum
from support.strategies import (
    addresses,
    link_local_addresses,
    messages,
    router_advertisements,
)
from support.vectors import Vector, load_vectors, mobility_header_vectors

MESSAGE_CLASSES = get_args(MobilityMessage)
# Written down from the sections that define the options, not taken from the classes under test.
RFC_ALIGNMENTS = {
    BindingRefreshAdviceOption: (2, 0),
    AlternateCareOfAddressOption: (8, 6),
    VendorSpecificOption: (4, 2),
    HomeNetworkPrefixOption: (8, 4),
    LinkLocalAddressOption: (8, 6),
    TimestampOption: (8, 2),
    RestartCounterOption: (4, 2),
}
OPTIONS_START = {0: 8, 5: 12, 6: 12, 7: 24, 13: 12}

few = settings(deadline=None, max_examples=200)
many = settings(deadline=None, max_examples=800)


def _decodes_or_is_refused(decode, *arguments) -> object:
    """The message, or None when the decoder said why not; any other exception fails the test."""
    try:
        return decode(*arguments)
    except WireError:
        return None


@few
@given(messages, addresses, addresses)
def test_encoded_message_decodes_to_itself(message, source, destination):
    encoded = mobility_header.encode(message, source, destination)
    assert mobility_header.decode(encoded, source, destination) == message


@pytest.mark.requirement("PBU-17", "MH-12")
@few
@given(messages)
def test_encoded_message_is_framed_and_aligned(message):
    """PBU-17, MH-12: multiple of 8 octets, each option on its section's alignment."""
    encoded = mobility_header.encode(message, MAG, LMA)
    assert len(encoded) % 8 == 0
    assert encoded[1] == len(encoded) // 8 - 1
    offset = OPTIONS_START[encoded[2]]
    alignments = {cls.TYPE: alignment for cls, alignment in RFC_ALIGNMENTS.items()}
    while offset < len(encoded):
        modulus, remainder = alignments.get(encoded[offset], (1, 0))
        assert offset % modulus == remainder % modulus
        offset += 1 if encoded[offset] == 0 else 2 + encoded[offset + 1]
    assert offset == len(encoded)


@few
@given(messages, st.binary(min_size=1, max_size=20))
def test_octets_behind_header_len_are_ignored(message, trailing):
    encoded = mobility_header.encode(message, LMA, MAG)
    assert mobility_header.decode(encoded + trailing, LMA, MAG) == message


@pytest.mark.requirement("MH-01")
@few
@given(messages, st.data())
def test_single_bit_error_is_refused(message, data):
    """MH-01, of every octet but Header Len, which says what the checksum covers."""
    encoded = bytearray(mobility_header.encode(message, LMA, MAG))
    octet = data.draw(st.integers(0, len(encoded) - 1).filter(lambda octet: octet != 1))
    encoded[octet] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadChecksum):
        mobility_header.decode(bytes(encoded), LMA, MAG)


@many
@given(st.binary(max_size=200))
def test_any_octets_are_a_message_or_refused(octets):
    message = _decodes_or_is_refused(mobility_header.decode, octets, LMA, MAG)
    assert message is None or isinstance(message, MESSAGE_CLASSES)


@many
@given(
    st.sampled_from(sorted(OPTIONS_START)),
    st.integers(0, 20).flatmap(
        lambda units: st.binary(min_size=8 * units + 2, max_size=8 * units + 2)
    ),
)
def test_any_message_data_is_a_message_or_refused(mh_type, message_data):
    header = bytes((59, len(message_data) // 8, mh_type, 0, 0, 0))
    octets = repair_checksum(header + message_data, LMA, MAG)
    message = _decodes_or_is_refused(mobility_header.decode, octets, LMA, MAG)
    assert message is None or isinstance(message, MESSAGE_CLASSES)


@many
@given(messages, st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_message_with_right_checksum_is_a_message_or_refused(message, mutations):
    encoded = bytearray(mobility_header.encode(message, LMA, MAG))
    for position, value in mutations:
        encoded[position % len(encoded)] = value
    octets = repair_checksum(bytes(encoded), LMA, MAG)
    decoded = _decodes_or_is_refused(mobility_header.decode, octets, LMA, MAG)
    assert decoded is None or isinstance(decoded, MESSAGE_CLASSES)


@pytest.mark.parametrize("vector", mobility_header_vectors(), ids=lambda v: v.name)
def test_message_cut_off_at_any_octet_is_truncated(vector: Vector):
    for size in range(len(vector.octets)):
        with pytest.raises(Truncated):
            mobility_header.decode(vector.octets[:size], vector.source, vector.destination)


@pytest.mark.requirement("MH-17")
@pytest.mark.parametrize("vector", mobility_header_vectors(), ids=lambda v: v.name)
def test_message_cut_off_with_header_len_adjusted_is_a_message_or_refused(vector: Vector):
    """MH-17: an option that the cut runs through condemns the message."""
    for units in range(len(vector.octets) // 8 - 1):
        cut = vector.octets[:1] + bytes((units,)) + vector.octets[2 : 8 * (units + 1)]
        octets = repair_checksum(cut, LMA, MAG)
        decoded = _decodes_or_is_refused(mobility_header.decode, octets, LMA, MAG)
        assert decoded is None or decoded != vector.message


@few
@given(router_advertisements, link_local_addresses, addresses)
def test_encoded_router_advertisement_decodes_to_itself(advertisement, source, destination):
    packet = advertisement.encode(source, destination)
    assert RouterAdvertisement.decode(packet) == advertisement


@many
@given(st.binary(max_size=120))
@example(bytes((133,)))
@example(b"")
def test_any_icmpv6_message_is_neighbor_discovery_or_refused(message):
    packet = IPv6Packet(LMA, MAG, IP_PROTOCOL_ICMPV6, message, 255).encode()
    for decoder in (RouterSolicitation, RouterAdvertisement):
        decoded = _decodes_or_is_refused(decoder.decode, packet)
        assert decoded is None or isinstance(decoded, decoder)


@many
@given(link_local_addresses, st.sampled_from((133, 134)), st.binary(max_size=120))
def test_any_options_with_right_checksum_are_neighbor_discovery_or_refused(source, kind, rest):
    unsummed = bytes((kind, 0, 0, 0)) + rest
    value = checksum(unsummed, source, MAG, IP_PROTOCOL_ICMPV6)
    message = unsummed[:2] + value.to_bytes(2, "big") + rest
    packet = IPv6Packet(source, MAG, IP_PROTOCOL_ICMPV6, message, 255).encode()
    decoder = {133: RouterSolicitation, 134: RouterAdvertisement}[kind]
    decoded = _decodes_or_is_refused(decoder.decode, packet)
    assert decoded is None or isinstance(decoded, decoder)


def test_packet_cut_off_at_any_octet_is_refused():
    [vector] = [v for v in load_vectors() if isinstance(v.message, RouterAdvertisement)]
    for size in range(len(vector.packet)):
        with pytest.raises(WireError):
            RouterAdvertisement.decode(vector.packet[:size])


@many
@given(st.binary(max_size=100))
def test_any_octets_are_a_packet_and_a_frame_or_refused(octets):
    for decoder in (IPv6Packet, EthernetFrame):
        decoded = _decodes_or_is_refused(decoder.decode, octets)
        assert decoded is None or isinstance(decoded, decoder)
