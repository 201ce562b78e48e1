"""Each mobility option's layout and the walk over them."""

import struct
from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.errors import DuplicateOption, MalformedOption
from mag.wire.mobility_header import decode, encode
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    BindingAuthorizationDataOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
    UnknownOption,
    VendorSpecificOption,
    decode_options,
    encode_options,
)
from support.mobility_headers import BA_FIXED, LMA, MAG, acknowledgement, mobility_header

LAYOUTS = {
    "02 02 01c2": BindingRefreshAdviceOption(1800),
    "03 10 20010db80000000a0000000000000001": AlternateCareOfAddressOption(MAG),
    "08 09 01 6d6e31406578616d": MobileNodeIdentifierOption(b"mn1@exam"),
    "08 03 02 abcd": MobileNodeIdentifierOption(b"\xab\xcd", subtype=2),
    "08 01 01": MobileNodeIdentifierOption(b""),
    "13 08 000028af 07 616263": VendorSpecificOption(10415, 7, b"abc"),
    "13 05 00000009 01": VendorSpecificOption(9, 1),
    "16 12 00 40 20010db8010000010000000000000000": HomeNetworkPrefixOption.of(
        IPv6Network("2001:db8:100:1::/64")
    ),
    "16 12 00 00 00000000000000000000000000000000": HomeNetworkPrefixOption.of(IPv6Network("::/0")),
    "17 02 00 04": HandoffIndicatorOption(4),
    "18 02 00 08": AccessTechnologyTypeOption(8),
    "19 08 0000 02005e100001": MobileNodeLinkLayerIdentifierOption(bytes.fromhex("02005e100001")),
    "19 02 0000": MobileNodeLinkLayerIdentifierOption(b""),
    "1a 10 fe8000000000000002005efffe005213": LinkLocalAddressOption(
        IPv6Address("fe80::200:5eff:fe00:5213")
    ),
    "1b 08 00006553f100 8000": TimestampOption(1700000000 << 16 | 0x8000),
    "c8 03 010203": UnknownOption(200, b"\x01\x02\x03"),
    "c8 00": UnknownOption(200, b""),
}


def _received(options: str) -> tuple[MobilityOption, ...]:
    message = decode(acknowledgement(bytes.fromhex(options)), LMA, MAG)
    assert isinstance(message, ProxyBindingAcknowledgement)
    return message.options


@pytest.mark.parametrize(("octets", "option"), LAYOUTS.items(), ids=LAYOUTS)
class TestLayout:
    def test_octets_decode_to_the_option(self, octets: str, option: MobilityOption):
        assert _received(octets) == (option,)

    def test_option_encodes_to_the_octets(self, octets: str, option: MobilityOption):
        assert option.encode() == bytes.fromhex(octets)


class TestTolerance:
    @pytest.mark.requirement("PBA-39", "MH-15")
    def test_unknown_options_are_kept_and_the_rest_is_read(self):
        """PBA-39, MH-15."""
        assert _received("1702 0001 c803 010203 1802 0004 c803 ffffff") == (
            HandoffIndicatorOption(1),
            UnknownOption(200, b"\x01\x02\x03"),
            AccessTechnologyTypeOption(4),
            UnknownOption(200, b"\xff\xff\xff"),
        )

    @pytest.mark.requirement("PBA-40")
    def test_any_order_and_alignment_is_accepted(self):
        """PBA-40: the prefix stands on 8n+5 here, the timestamp on 8n+1."""
        prefix = "1612 0040 20010db8010000010000000000000000"
        assert _received("00" + prefix + "1b08 00006553f1008000 1702 0001 00 1802 0004") == (
            HomeNetworkPrefixOption.of(IPv6Network("2001:db8:100:1::/64")),
            TimestampOption(1700000000 << 16 | 0x8000),
            HandoffIndicatorOption(1),
            AccessTechnologyTypeOption(4),
        )

    def test_content_of_padding_is_ignored(self):
        assert _received("0103 ffffff 00 0100 1702 0001 00") == (HandoffIndicatorOption(1),)

    @pytest.mark.requirement("MH-13")
    def test_reserved_fields_are_ignored(self):
        """MH-13."""
        assert _received("1702 ff01 1802 ff04 1904 ffff 0102") == (
            HandoffIndicatorOption(1),
            AccessTechnologyTypeOption(4),
            MobileNodeLinkLayerIdentifierOption(b"\x01\x02"),
        )

    def test_identifier_without_subtype_is_empty(self):
        """RFC 5213 §5.3.6: an LMA's error reply may carry no identifier at all."""
        assert _received("0800") == (MobileNodeIdentifierOption(b""),)

    def test_reserved_enumeration_values_are_read(self):
        """INT-04: an LMA answers 161 and 162 with zeros."""
        assert _received("1702 0000 1802 0000") == (
            HandoffIndicatorOption(0),
            AccessTechnologyTypeOption(0),
        )

    def test_host_bits_of_a_prefix_are_cleared(self):
        assert _received("1612 0040 20010db8010000010000000000000001") == (
            HomeNetworkPrefixOption.of(IPv6Network("2001:db8:100:1::/64")),
        )

    @pytest.mark.parametrize("length", ["00", "40", "80"])
    def test_all_zero_prefix_is_recognised_at_any_length(self, length: str):
        """INT-02."""
        [option] = _received(f"1612 00{length} {bytes(16).hex()}")
        assert isinstance(option, HomeNetworkPrefixOption)
        assert option.is_all_zero

    def test_assigned_prefix_is_not_all_zero(self):
        assert not HomeNetworkPrefixOption.of(IPv6Network("2001:db8::/64")).is_all_zero

    @pytest.mark.requirement("PBA-40")
    @pytest.mark.parametrize(
        "option",
        [
            "1612 0040 20010db8010000010000000000000000",
            "1305 00000009 01",
            "c801 00",
        ],
        ids=["home network prefix", "vendor specific", "unknown"],
    )
    def test_repeatable_option_may_repeat(self, option: str):
        """PBA-40."""
        first, second = _received(option + option)
        assert first == second


class TestRefusal:
    @pytest.mark.requirement("PBA-40", "PBU-18")
    @pytest.mark.parametrize(
        "option",
        [
            "0202 01c2",
            "0310 20010db80000000a0000000000000001",
            "0803 01abcd",
            "1702 0001",
            "1802 0004",
            "1908 0000 02005e100001",
            "1a10 fe8000000000000002005efffe005213",
            "1b08 00006553f1008000",
        ],
        ids=lambda option: f"type {int(option[:2], 16)}",
    )
    def test_second_instance_is_refused(self, option: str):
        """PBA-40, PBU-18."""
        with pytest.raises(DuplicateOption):
            _received(option + "c800" + option)

    @pytest.mark.parametrize(
        "octets",
        [
            "0201 01",
            "0203 01c200",
            "0302 0000",
            "1304 00000009",
            "1304 00000009 01",
            "160a 0040 20010db801000001",
            "1613 0040 20010db8010000010000000000000000 00",
            "1612 0081 20010db8010000010000000000000000",
            "1701 00",
            "1703 000100",
            "1800",
            "1901 00",
            "1a08 fe80000000000000",
            "1b06 00006553f100",
        ],
    )
    def test_impossible_length_or_value_is_malformed(self, octets: str):
        with pytest.raises(MalformedOption):
            _received(octets)

    @pytest.mark.requirement("MH-17")
    @pytest.mark.parametrize(
        "octets",
        ["1703 0001", "c8ff 0000", "0103 0000", "0000 0017", "0000 0001"],
        ids=["known", "unknown", "PadN", "no Length octet", "PadN without Length octet"],
    )
    def test_option_crossing_the_end_is_malformed(self, octets: str):
        """MH-17."""
        with pytest.raises(MalformedOption):
            decode(mobility_header(6, BA_FIXED + bytes.fromhex(octets)), LMA, MAG)


class TestBindingAuthorizationData:
    OPTION = BindingAuthorizationDataOption(bytes(range(12)))
    OCTETS = bytes.fromhex("050c 000102030405060708090a0b")

    @pytest.mark.requirement("MH-16")
    def test_as_the_last_option_without_padding_it_is_read(self):
        """MH-16."""
        octets = mobility_header(6, BA_FIXED + b"\x01\x04" + bytes(4) + self.OCTETS)
        message = decode(octets, LMA, MAG)
        assert message == ProxyBindingAcknowledgement(0, 0x0101, 3600, (self.OPTION,))
        assert encode(message, LMA, MAG) == octets

    @pytest.mark.requirement("MH-16")
    @pytest.mark.parametrize("after", ["1702 0001 0000", "0000 0000 0000"], ids=["option", "Pad1"])
    def test_anything_behind_it_is_malformed(self, after: str):
        with pytest.raises(MalformedOption):
            decode(mobility_header(6, BA_FIXED + self.OCTETS + bytes.fromhex(after)), LMA, MAG)

    def test_encoder_refuses_an_option_behind_it(self):
        with pytest.raises(ValueError, match="must be the last"):
            encode_options((self.OPTION, HandoffIndicatorOption(1)), 12)

    def test_encoder_refuses_padding_behind_it(self):
        with pytest.raises(ValueError, match="must end the message"):
            encode_options((BindingAuthorizationDataOption(bytes(10)),), 12)


class TestEncodeOptions:
    @pytest.mark.requirement("PBU-17")
    def test_options_are_padded_to_their_alignment(self):
        """PBU-17: 8n+4, 8n+2 and 8n+6 from the start of the header."""
        octets = encode_options(
            (
                HomeNetworkPrefixOption.of(IPv6Network("::/0")),
                TimestampOption(0),
                LinkLocalAddressOption(IPv6Address("::")),
            ),
            12,
        )
        assert octets == bytes.fromhex(
            f"1612 0000 {bytes(16).hex()} 0100 1b08 {bytes(8).hex()} 0100 1a10 {bytes(16).hex()}"
        )

    @pytest.mark.parametrize(
        ("size", "padding"),
        [(0, ""), (1, "01050000000000"), (4, "01020000"), (6, "0100"), (7, "00")],
    )
    def test_end_is_padded_with_pad1_or_padn(self, size: int, padding: str):
        octets = encode_options((UnknownOption(200, bytes(14 + size)),), 8)
        assert octets[16 + size :].hex() == padding

    @pytest.mark.requirement("PBU-18")
    def test_second_instance_raises_value_error(self):
        """PBU-18."""
        with pytest.raises(ValueError, match="option 23 may stand only once"):
            encode_options((HandoffIndicatorOption(1), HandoffIndicatorOption(1)), 12)

    def test_unknown_options_may_repeat(self):
        options = (UnknownOption(200, b"\x01"), UnknownOption(200, b"\x01"))
        assert decode_options(encode_options(options, 0), 0) == options

    @pytest.mark.parametrize(
        ("network", "prefix_length"),
        [(0x20010DB8 << 96 | 1, 64), (1, 127), (0, 129), (1 << 128, 64), (-1 << 64, 64)],
        ids=["host bits", "one host bit", "too long", "too large", "negative"],
    )
    def test_number_that_is_no_prefix_raises(self, network: int, prefix_length: int):
        with pytest.raises((ValueError, struct.error)):
            HomeNetworkPrefixOption(network, prefix_length).encode()

    @pytest.mark.parametrize("interval_s", [2, -4, 262144])
    def test_refresh_advice_that_units_cannot_say_raises_value_error(self, interval_s: int):
        with pytest.raises(ValueError, match="no lifetime"):
            BindingRefreshAdviceOption(interval_s).encode()
