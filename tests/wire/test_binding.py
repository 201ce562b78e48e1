"""Proxy Binding Update and Acknowledgement: fixed parts and what may be sent."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.iana import (
    BindingAcknowledgementFlag,
    BindingStatus,
    BindingUpdateFlag,
    status_name,
)
from mag.wire.mobility_header import decode, encode
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
    UnknownOption,
)
from support.mobility_headers import LMA, MAG, mobility_header
from support.vectors import vector

PREFIXES = (
    HomeNetworkPrefixOption.of(IPv6Network("2001:db8:100:1::/64")),
    HomeNetworkPrefixOption.of(IPv6Network("2001:db8:200::/60")),
)
ALL_ZERO = HomeNetworkPrefixOption.of(IPv6Network("::/0"))
ALL_ZERO_64 = HomeNetworkPrefixOption.of(IPv6Network("::/64"))


def _sent(*options: MobilityOption, lifetime_s: int = 3600) -> ProxyBindingUpdate:
    """What an LMA reads of an update with these options."""
    update = ProxyBindingUpdate(1, lifetime_s, options)
    received = decode(encode(update, MAG, LMA), MAG, LMA)
    assert received == update
    return update


class TestProxyBindingUpdate:
    @pytest.mark.requirement("PBU-01", "PBU-02")
    def test_flags_are_acknowledge_home_registration_and_proxy(self):
        """PBU-01, PBU-02, INT-01."""
        octets = encode(ProxyBindingUpdate(1, 3600, ()), MAG, LMA)
        assert octets[8:10].hex() == "c200"

    @pytest.mark.requirement("MH-23")
    def test_lifetime_travels_in_units_of_four_seconds(self):
        """MH-23."""
        octets = encode(ProxyBindingUpdate(1, 3600, ()), MAG, LMA)
        assert int.from_bytes(octets[10:12], "big") == 900

    @pytest.mark.requirement("MH-13")
    def test_reserved_flag_bits_are_ignored(self):
        """MH-13."""
        octets = mobility_header(5, bytes.fromhex("0001 c23f 0384 0000 0000"))
        message = decode(octets, LMA, MAG)
        assert message == ProxyBindingUpdate(1, 3600, ())

    @pytest.mark.requirement("PBU-16")
    def test_update_without_proxy_flag_is_told_apart(self):
        """PBU-16: a mobile node's own Binding Update."""
        octets = mobility_header(5, bytes.fromhex("0001 c000 0384 0000 0000"))
        message = decode(octets, LMA, MAG)
        assert isinstance(message, ProxyBindingUpdate)
        assert not message.is_proxy
        assert ProxyBindingUpdate(1, 3600, ()).is_proxy

    @pytest.mark.parametrize("lifetime_s", [3, -4, 262144])
    def test_lifetime_that_units_cannot_say_raises_value_error(self, lifetime_s: int):
        with pytest.raises(ValueError, match="no lifetime"):
            encode(ProxyBindingUpdate(1, lifetime_s, ()), MAG, LMA)

    def test_longest_lifetime_is_sent(self):
        assert _sent(lifetime_s=262140).lifetime_s == 262140


class TestWhatAnUpdateMayNotSay:
    @pytest.mark.requirement("PBU-01", "PBU-02", "PBU-16")
    @pytest.mark.parametrize(
        "missing", [BindingUpdateFlag.ACKNOWLEDGE, BindingUpdateFlag.PROXY_REGISTRATION]
    )
    def test_without_acknowledge_or_proxy_flag(self, missing: BindingUpdateFlag):
        """PBU-01, PBU-02, PBU-16."""
        update = ProxyBindingUpdate(1, 3600, ())
        with pytest.raises(ValueError, match="flags A and P"):
            encode(replace(update, flags=update.flags & ~missing), MAG, LMA)

    def test_without_home_registration_flag_is_sent(self):
        """INT-01: the switch for peers that want H=0."""
        update = ProxyBindingUpdate(1, 3600, ())
        flags = update.flags & ~BindingUpdateFlag.HOME_REGISTRATION
        octets = encode(replace(update, flags=flags), MAG, LMA)
        assert octets[8:10].hex() == "8200"

    @pytest.mark.requirement("ATT-07")
    @pytest.mark.parametrize(
        "options",
        [
            (ALL_ZERO, PREFIXES[0]),
            (PREFIXES[0], ALL_ZERO),
            (ALL_ZERO, ALL_ZERO),
            (PREFIXES[0], ALL_ZERO_64),
        ],
        ids=["first", "last", "twice", "with a length"],
    )
    def test_all_zero_prefix_beside_another(self, options):
        """ATT-07."""
        with pytest.raises(ValueError, match="stands alone"):
            _sent(*options)

    @pytest.mark.requirement("ATT-09", "ATT-25", "MH-24")
    @pytest.mark.parametrize(
        ("option", "complaint"),
        [
            (MobileNodeIdentifierOption(b""), "MN-Identifier is empty"),
            (HandoffIndicatorOption(0), "Handoff Indicator 0"),
            (AccessTechnologyTypeOption(0), "Access Technology Type 0"),
            (MobileNodeLinkLayerIdentifierOption(b""), "left out"),
            (MobileNodeLinkLayerIdentifierOption(bytes(6)), "left out"),
            (LinkLocalAddressOption(MAG), "not link-local"),
            (AlternateCareOfAddressOption(IPv6Address("::")), "unicast routable"),
            (AlternateCareOfAddressOption(IPv6Address("::1")), "unicast routable"),
            (AlternateCareOfAddressOption(IPv6Address("ff02::1")), "unicast routable"),
            (AlternateCareOfAddressOption(IPv6Address("fe80::1")), "unicast routable"),
        ],
        ids=lambda value: value if isinstance(value, str) else repr(value),
    )
    def test_forbidden_option_value(self, option: MobilityOption, complaint: str):
        """ATT-09, ATT-25, MH-24."""
        with pytest.raises(ValueError, match=complaint):
            _sent(option)

    @pytest.mark.requirement("DEREG-05")
    @pytest.mark.parametrize("handoff_indicator", [1, 2, 3, 5])
    def test_deregistration_with_another_handoff_indicator(self, handoff_indicator: int):
        """DEREG-05."""
        with pytest.raises(ValueError, match="de-registration"):
            _sent(*PREFIXES, HandoffIndicatorOption(handoff_indicator), lifetime_s=0)


class TestWhatAnUpdateMaySay:
    @pytest.mark.requirement("ATT-06", "ATT-31")
    @pytest.mark.parametrize(
        "options",
        [
            (ALL_ZERO,),
            (ALL_ZERO_64,),
            PREFIXES,
            (LinkLocalAddressOption(IPv6Address("::")),),
            (LinkLocalAddressOption(IPv6Address("fe80::1")),),
            (AlternateCareOfAddressOption(MAG),),
            (UnknownOption(200, b""),),
        ],
        ids=str,
    )
    def test_permitted_options_arrive(self, options):
        """ATT-06, ATT-31, INT-02."""
        assert _sent(*options).options == options

    @pytest.mark.requirement("DEREG-05")
    def test_deregistration_with_handoff_indicator_4_arrives(self):
        """DEREG-05."""
        options = (*PREFIXES, HandoffIndicatorOption(4))
        assert _sent(*options, lifetime_s=0).options == options


class TestProxyBindingAcknowledgement:
    def test_status_below_128_is_accepted(self):
        """INT-11, INT-12."""
        answers = [ProxyBindingAcknowledgement(status, 1, 0, ()) for status in range(256)]
        assert [a.status for a in answers if a.is_accepted] == list(range(128))

    @pytest.mark.requirement("PBA-02")
    def test_acknowledgement_without_proxy_flag_is_told_apart(self):
        """PBA-02."""
        octets = mobility_header(6, bytes.fromhex("0000 0001 0384 0000 0000"))
        message = decode(octets, LMA, MAG)
        assert isinstance(message, ProxyBindingAcknowledgement)
        assert not message.is_proxy
        assert ProxyBindingAcknowledgement(0, 1, 0, ()).is_proxy

    @pytest.mark.requirement("MH-13")
    def test_reserved_flag_bits_are_ignored(self):
        """MH-13."""
        octets = mobility_header(6, bytes.fromhex("0027 0001 0384 0000 0000"))
        assert decode(octets, LMA, MAG) == ProxyBindingAcknowledgement(0, 1, 3600, ())

    def test_all_flags_are_read(self):
        octets = mobility_header(6, bytes.fromhex("00ff 0001 0384 0000 0000"))
        message = decode(octets, LMA, MAG)
        assert isinstance(message, ProxyBindingAcknowledgement)
        assert message.flags == BindingAcknowledgementFlag(0xF8)

    def test_zeros_that_an_update_may_not_carry_are_encoded(self):
        """INT-04: an LMA echoes what was missing as zeros."""
        options = (
            MobileNodeIdentifierOption(b""),
            HandoffIndicatorOption(0),
            AccessTechnologyTypeOption(0),
        )
        message = ProxyBindingAcknowledgement(160, 1, 0, options)
        assert decode(encode(message, LMA, MAG), LMA, MAG) == message


class TestOptionAccess:
    OPTIONS = (PREFIXES[0], TimestampOption(7), PREFIXES[1])
    MESSAGE = ProxyBindingAcknowledgement(0, 1, 3600, OPTIONS)

    def test_first_returns_the_first_of_its_class(self):
        assert self.MESSAGE.first(HomeNetworkPrefixOption) is PREFIXES[0]
        assert self.MESSAGE.first(TimestampOption) == TimestampOption(7)

    def test_first_of_an_absent_class_is_none(self):
        assert self.MESSAGE.first(HandoffIndicatorOption) is None

    def test_all_keeps_the_order_of_the_message(self):
        assert self.MESSAGE.all(HomeNetworkPrefixOption) == PREFIXES
        assert self.MESSAGE.all(HandoffIndicatorOption) == ()


@pytest.mark.requirement("TS-05")
def test_timestamp_counts_from_1970_in_1_65536_seconds():
    """TS-05: 2023-11-14 22:13:20.5 UTC."""
    message = vector("pbu-initial-attach").message
    assert isinstance(message, ProxyBindingUpdate)
    assert message.first(TimestampOption) == TimestampOption(int(1700000000.5 * 65536))


def test_status_names_are_what_operators_read():
    assert status_name(BindingStatus.PROXY_REG_NOT_ENABLED) == "PROXY_REG_NOT_ENABLED (152)"
    assert status_name(250) == "250"
