"""Framing of the Mobility Header and the gates of RFC 6275 §9.2."""

from ipaddress import IPv6Address

import pytest

from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.binding_refresh_request import BindingRefreshRequest
from mag.wire.errors import (
    BadChecksum,
    BadPayloadProtocol,
    HeaderTooShort,
    MalformedOption,
    Truncated,
    UnknownMobilityHeaderType,
)
from mag.wire.iana import BindingErrorStatus
from mag.wire.mobility_header import MobilityMessage, decode, encode
from mag.wire.options import MobileNodeIdentifierOption, VendorSpecificOption
from support.mobility_headers import (
    BA_FIXED,
    LMA,
    MAG,
    acknowledgement,
    mobility_header,
)

NO_OPTIONS = bytes.fromhex("0102 0000")
CROSSING_THE_END = bytes.fromhex("c8ff 0000")
BE_DATA = bytes((2, 0)) + LMA.packed


class TestGates:
    @pytest.mark.requirement("MH-01")
    def test_wrong_checksum_is_refused(self):
        """MH-01."""
        octets = bytearray(acknowledgement(b""))
        octets[5] ^= 1
        with pytest.raises(BadChecksum):
            decode(bytes(octets), LMA, MAG)

    @pytest.mark.requirement("MH-02")
    def test_checksum_covers_the_addresses(self):
        """MH-02."""
        octets = acknowledgement(b"")
        with pytest.raises(BadChecksum):
            decode(octets, LMA, IPv6Address("2001:db8:0:a::2"))
        with pytest.raises(BadChecksum):
            decode(octets, IPv6Address("2001:db8:0:b::2"), MAG)

    def test_checksum_of_the_other_zero_is_accepted(self):
        """0xffff and 0 are the same number in one's complement (RFC 1071 §2)."""
        # The checksum itself, put into the reserved field, leaves nothing to make up for.
        octets = mobility_header(0, mobility_header(0, bytes(2))[4:6])
        assert octets[4:6] == bytes(2)
        assert decode(octets, LMA, MAG) == BindingRefreshRequest()
        assert decode(octets[:4] + b"\xff\xff" + octets[6:], LMA, MAG) == BindingRefreshRequest()

    @pytest.mark.requirement("MH-03")
    @pytest.mark.parametrize("mh_type", [1, 4, 8, 14, 16, 20, 99, 255])
    def test_mh_type_without_a_decoder_is_told(self, mh_type):
        """MH-03: the type comes along, the sender gets a Binding Error."""
        with pytest.raises(UnknownMobilityHeaderType) as caught:
            decode(mobility_header(mh_type, BA_FIXED + NO_OPTIONS), LMA, MAG)
        assert caught.value.mh_type == mh_type

    @pytest.mark.requirement("MH-08", "MH-09")
    def test_payload_protocol_other_than_59_is_refused_with_its_offset(self):
        """MH-08, MH-09: the Parameter Problem points at octet 0 of the header."""
        octets = mobility_header(6, BA_FIXED + NO_OPTIONS, payload_protocol=58)
        with pytest.raises(BadPayloadProtocol) as caught:
            decode(octets, LMA, MAG)
        assert caught.value.offset == 0

    @pytest.mark.requirement("MH-10", "MH-11")
    @pytest.mark.parametrize(
        ("mh_type", "header_len"),
        [(5, 0), (6, 0), (7, 0), (7, 1)],
        ids=["BU of 8", "BA of 8", "BE of 8", "BE of 16"],
    )
    def test_header_len_below_the_minimum_is_refused_with_its_offset(self, mh_type, header_len):
        """MH-10, MH-11: the Parameter Problem points at octet 1 of the header."""
        octets = mobility_header(mh_type, bytes(26), header_len=header_len)
        with pytest.raises(HeaderTooShort) as caught:
            decode(octets, LMA, MAG)
        assert caught.value.offset == 1

    def test_header_len_beyond_the_packet_is_truncated(self):
        octets = acknowledgement(b"")
        with pytest.raises(Truncated):
            decode(octets[:1] + bytes((octets[1] + 1,)) + octets[2:], LMA, MAG)

    @pytest.mark.parametrize("size", range(8))
    def test_less_than_a_header_is_truncated(self, size):
        with pytest.raises(Truncated):
            decode(acknowledgement(b"")[:size], LMA, MAG)

    def test_octets_behind_header_len_are_no_options(self):
        """What Header Len leaves out is neither summed nor read."""
        octets = acknowledgement(b"")
        expected = decode(octets, LMA, MAG)
        assert decode(octets + CROSSING_THE_END, LMA, MAG) == expected

    @pytest.mark.requirement("MH-13")
    def test_reserved_octet_is_ignored(self):
        """MH-13."""
        octets = mobility_header(6, BA_FIXED + NO_OPTIONS, reserved=0xFF)
        assert isinstance(decode(octets, LMA, MAG), ProxyBindingAcknowledgement)


class TestOrderOfTheGates:
    """Each message has the defect under test and every later one."""

    def test_checksum_comes_before_the_mh_type(self):
        octets = mobility_header(99, CROSSING_THE_END + bytes(6), payload_protocol=58)
        with pytest.raises(BadChecksum):
            decode(octets[:4] + bytes((octets[4] ^ 1,)) + octets[5:], LMA, MAG)

    def test_mh_type_comes_before_the_payload_protocol(self):
        octets = mobility_header(99, CROSSING_THE_END + bytes(6), payload_protocol=58)
        with pytest.raises(UnknownMobilityHeaderType):
            decode(octets, LMA, MAG)

    def test_payload_protocol_comes_before_the_minimum_length(self):
        octets = mobility_header(6, bytes(2), payload_protocol=58)
        with pytest.raises(BadPayloadProtocol):
            decode(octets, LMA, MAG)

    def test_minimum_length_comes_before_the_options(self):
        octets = mobility_header(7, BA_FIXED + CROSSING_THE_END)
        with pytest.raises(HeaderTooShort):
            decode(octets, LMA, MAG)

    def test_options_come_last(self):
        with pytest.raises(MalformedOption):
            decode(mobility_header(6, BA_FIXED + CROSSING_THE_END), LMA, MAG)


class TestBindingError:
    def test_home_address_and_status_are_read(self):
        octets = mobility_header(7, BE_DATA)
        expected = BindingError(BindingErrorStatus.UNRECOGNIZED_MH_TYPE, LMA)
        assert decode(octets, LMA, MAG) == expected

    @pytest.mark.requirement("MH-15")
    def test_well_formed_options_are_skipped(self):
        """MH-15: no option is defined for it."""
        octets = mobility_header(7, BE_DATA + bytes.fromhex("c802abcd 01020000"))
        assert decode(octets, LMA, MAG) == BindingError(2, LMA)

    @pytest.mark.requirement("MH-17")
    def test_option_crossing_the_end_is_refused(self):
        """MH-17."""
        with pytest.raises(MalformedOption):
            decode(mobility_header(7, BE_DATA + CROSSING_THE_END + bytes(4)), LMA, MAG)

    @pytest.mark.requirement("MH-06")
    def test_home_address_is_unspecified_by_default(self):
        """MH-06."""
        assert encode(BindingError(2), MAG, LMA)[8:24] == bytes(16)


class TestBindingRefreshRequest:
    def test_without_options_is_eight_octets(self):
        octets = encode(BindingRefreshRequest(), LMA, MAG)
        assert octets[:4] + octets[6:] == bytes.fromhex("3b000000 0000")
        assert decode(octets, LMA, MAG) == BindingRefreshRequest()

    def test_options_start_at_octet_eight(self):
        request = BindingRefreshRequest((MobileNodeIdentifierOption(b"mn1@example.net"),))
        octets = encode(request, LMA, MAG)
        assert octets[8:12] == bytes.fromhex("0810016d")
        assert decode(octets, LMA, MAG) == request


@pytest.mark.requirement("MH-12", "MH-14", "PBU-17")
@pytest.mark.parametrize(
    ("message", "minimum"),
    [
        (ProxyBindingUpdate(1, 4, ()), 16),
        (ProxyBindingAcknowledgement(0, 1, 4, ()), 16),
        (BindingError(1), 24),
        (BindingRefreshRequest(), 8),
    ],
    ids=["PBU", "PBA", "BE", "BRR"],
)
def test_message_without_options_is_padded_to_a_multiple_of_eight(
    message: MobilityMessage, minimum: int
):
    """MH-12, MH-14, PBU-17."""
    octets = encode(message, MAG, LMA)
    assert len(octets) == minimum
    assert octets[:4] == bytes((59, minimum // 8 - 1, message.MH_TYPE, 0))


class TestLocalMisuse:
    FILLER = (VendorSpecificOption(1, 0, bytes(249)),) * 7

    @pytest.mark.parametrize(
        "message",
        [
            ProxyBindingUpdate(65536, 4, ()),
            ProxyBindingUpdate(-1, 4, ()),
            ProxyBindingAcknowledgement(256, 1, 4, ()),
            ProxyBindingAcknowledgement(0, 1, 4, (VendorSpecificOption(1 << 32, 0),)),
            ProxyBindingAcknowledgement(0, 1, 4, (VendorSpecificOption(1, 0, bytes(251)),)),
            BindingError(256),
        ],
        ids=[
            "sequence too large",
            "sequence negative",
            "status too large",
            "vendor id too large",
            "vendor data too long",
            "BE status too large",
        ],
    )
    def test_value_that_does_not_fit_raises_value_error(self, message: MobilityMessage):
        with pytest.raises(ValueError, match=r"."):
            encode(message, MAG, LMA)

    def test_longest_message_fits(self):
        """2048 octets are what Header Len can say."""
        request = BindingRefreshRequest((*self.FILLER, VendorSpecificOption(1, 0, bytes(239))))
        octets = encode(request, MAG, LMA)
        assert octets[1] == 255
        assert decode(octets, MAG, LMA) == request

    def test_message_beyond_header_len_raises_value_error(self):
        request = BindingRefreshRequest((*self.FILLER, VendorSpecificOption(1, 0, bytes(240))))
        with pytest.raises(ValueError, match="do not fit into a Mobility Header"):
            encode(request, MAG, LMA)
