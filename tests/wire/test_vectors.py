"""The worked examples, byte for byte, in both directions."""

import pytest

from mag.wire import mobility_header
from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.neighbor_discovery import RouterAdvertisement
from support.vectors import Vector, load_vectors, mobility_header_vectors

MOBILITY_HEADERS = mobility_header_vectors()
ROUTER_ADVERTISEMENTS = [v for v in load_vectors() if isinstance(v.message, RouterAdvertisement)]


def _name(vector: Vector) -> str:
    return vector.name


def test_vectors_are_found():
    assert len(MOBILITY_HEADERS) >= 7
    assert len(ROUTER_ADVERTISEMENTS) >= 1


@pytest.mark.parametrize("vector", MOBILITY_HEADERS, ids=_name)
class TestMobilityHeader:
    def test_octets_decode_to_the_message(self, vector: Vector):
        decoded = mobility_header.decode(vector.octets, vector.source, vector.destination)
        assert decoded == vector.message

    def test_message_encodes_to_the_octets(self, vector: Vector):
        encoded = mobility_header.encode(vector.message, vector.source, vector.destination)
        assert encoded.hex(" ") == vector.octets.hex(" ")

    @pytest.mark.requirement("MH-02")
    def test_checksum_of_zeroed_field_is_the_recorded_one(self, vector: Vector):
        """MH-02: pseudo-header and the whole message, its checksum field 0."""
        zeroed = vector.octets[:4] + bytes(2) + vector.octets[6:]
        assert checksum(zeroed, vector.source, vector.destination) == vector.checksum


@pytest.mark.parametrize("vector", ROUTER_ADVERTISEMENTS, ids=_name)
class TestRouterAdvertisement:
    def test_packet_decodes_to_the_message(self, vector: Vector):
        assert RouterAdvertisement.decode(vector.packet) == vector.message

    def test_message_encodes_to_the_packet(self, vector: Vector):
        encoded = vector.message.encode(vector.source, vector.destination)
        assert encoded.hex(" ") == vector.packet.hex(" ")

    def test_checksum_of_zeroed_field_is_the_recorded_one(self, vector: Vector):
        zeroed = vector.octets[:2] + bytes(2) + vector.octets[4:]
        value = checksum(zeroed, vector.source, vector.destination, IP_PROTOCOL_ICMPV6)
        assert value == vector.checksum
