"""What is done for the sake of one LMA: per LMA, off by default, never in silence."""

from ipaddress import IPv6Network

import pytest

from mag.protocol.events import QuirkApplied
from mag.protocol.lma_settings import LmaQuirks, LmaSettings
from mag.protocol.registration import RegistrationState
from mag.wire.iana import BindingUpdateFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    UTC,
    Change,
    answer_with,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, only_option, read_update, with_option, without_option

PADDED = MN1.ljust(63, b"\0")


def with_quirks(**quirks: object) -> LmaSettings:
    return LmaSettings(quirks=LmaQuirks(**quirks))  # type: ignore[arg-type]


@pytest.mark.parametrize("is_set", [False, True])
def test_home_registration_flag_can_be_left_out(is_set: bool) -> None:
    """INT-01."""
    gateway = make_gateway(lma_settings=with_quirks(no_home_registration_flag=is_set))
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    assert (BindingUpdateFlag.HOME_REGISTRATION in read_update(message).flags) is not is_set
    assert gateway.peers[LMA_ADDRESS].quirks_applied.total() == int(is_set)


def test_all_zero_prefix_can_have_a_length() -> None:
    """INT-02."""
    gateway = make_gateway(lma_settings=with_quirks(all_zero_prefix_length=64))
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    asked = only_option(read_update(message), HomeNetworkPrefixOption)
    assert asked.prefix == IPv6Network("::/64")


def test_quirk_of_one_lma_is_not_applied_to_another() -> None:
    gateway = make_gateway(lma_settings=with_quirks(no_home_registration_flag=True))
    gateway.attach(attachment(), profile(lma_address=OTHER_LMA_ADDRESS), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    assert BindingUpdateFlag.HOME_REGISTRATION in read_update(message).flags
    assert not of_type(gateway.events(), QuirkApplied)


def test_every_use_of_a_quirk_is_counted_and_the_first_is_told() -> None:
    gateway = make_gateway(lma_settings=with_quirks(no_home_registration_flag=True))
    gateway.attach(attachment(), profile(), now=0.0)
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=0.0)
    gateway.messages_to_send(0.0, UTC)
    told = of_type(gateway.events(), QuirkApplied)
    assert told == [QuirkApplied(LMA_ADDRESS, "no_home_registration_flag")]
    assert gateway.peers[LMA_ADDRESS].quirks_applied == {"no_home_registration_flag": 2}


EXCUSED = [
    ("padded_mn_identifier", lambda pba: with_option(pba, MobileNodeIdentifierOption(PADDED))),
    ("no_handoff_indicator_echo", lambda pba: without_option(pba, HandoffIndicatorOption)),
    ("no_access_technology_type_echo", lambda pba: without_option(pba, AccessTechnologyTypeOption)),
    (
        "no_link_layer_identifier_echo",
        lambda pba: without_option(pba, MobileNodeLinkLayerIdentifierOption),
    ),
    ("no_timestamp_echo", lambda pba: without_option(pba, TimestampOption)),
]


@pytest.mark.requirement("PBA-12", "TS-08")
@pytest.mark.parametrize(("quirk", "change"), EXCUSED, ids=[quirk for quirk, _ in EXCUSED])
def test_reply_that_does_not_echo_counts_where_the_lma_is_known_for_it(
    lma: FakeLma, quirk: str, change: Change
) -> None:
    gateway = make_gateway(lma_settings=with_quirks(**{quirk: True}))
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, change)
    assert state(gateway) is RegistrationState.ACTIVE
    assert gateway.peers[LMA_ADDRESS].quirks_applied == {quirk: 1}
    assert of_type(gateway.events(), QuirkApplied) == [QuirkApplied(LMA_ADDRESS, quirk)]


@pytest.mark.requirement("PBA-12", "TS-08")
@pytest.mark.parametrize(("quirk", "change"), EXCUSED, ids=[quirk for quirk, _ in EXCUSED])
def test_each_quirk_allows_for_its_own_fault_only(lma: FakeLma, quirk: str, change: Change) -> None:
    others = {other: True for other, _ in EXCUSED if other != quirk}
    gateway = make_gateway(lma_settings=with_quirks(**others))
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, change)
    assert state(gateway) is not RegistrationState.ACTIVE
    assert gateway.discarded.total() == 1


@pytest.mark.requirement("PBA-12", "TS-08")
@pytest.mark.parametrize(
    "option",
    [
        MobileNodeIdentifierOption(MN2),
        HandoffIndicatorOption(2),
        AccessTechnologyTypeOption(1),
        MobileNodeLinkLayerIdentifierOption(MN2_MAC),
        TimestampOption(1),
    ],
    ids=lambda option: type(option).__name__,
)
def test_no_quirk_allows_for_another_value(lma: FakeLma, option: MobilityOption) -> None:
    gateway = make_gateway(lma_settings=with_quirks(**{quirk: True for quirk, _ in EXCUSED}))
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, lambda pba: with_option(pba, option))
    assert state(gateway) is not RegistrationState.ACTIVE


def test_well_behaved_reply_applies_no_quirk(lma: FakeLma) -> None:
    gateway = make_gateway(lma_settings=with_quirks(**{quirk: True for quirk, _ in EXCUSED}))
    establish(gateway, lma)
    assert gateway.peers[LMA_ADDRESS].quirks_applied == {}
