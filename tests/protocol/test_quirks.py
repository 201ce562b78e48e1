"""What is done for the sake of one LMA: per LMA, off by default, never in silence."""

from ipaddress import IPv6Network

import pytest

from mag.protocol.events import QuirkApplied
from mag.protocol.lma_settings import LmaQuirks, LmaSettings
from mag.wire.iana import BindingUpdateFlag
from mag.wire.options import HomeNetworkPrefixOption
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    UTC,
    attachment,
    make_gateway,
    of_type,
    profile,
)
from support.fake_lma import only_option, read_update


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
