"""Settings, LMAs and profiles that change while the gateway serves."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    AttachmentRefused,
    BindingEstablished,
    BindingLost,
    ForwardingUnwanted,
    ForwardingWanted,
    PeerRemoved,
    ProbeNode,
    RefusalReason,
    WithdrawPrefixes,
)
from mag.protocol.lma_settings import LmaQuirks, LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.policy_profile import AddressConfiguration
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.settings import HeartbeatSettings, RouterAdvertisementSettings
from mag.wire.iana import BindingStatus, BindingUpdateFlag
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
    settings,
    state,
)
from support.fake_lma import FakeLma, read_update

BOTH = {LMA_ADDRESS: LmaSettings(), OTHER_LMA_ADDRESS: LmaSettings()}
ONLY_OTHER = {OTHER_LMA_ADDRESS: LmaSettings()}
THIRD_LMA_ADDRESS = IPv6Address("2001:db8:0:b::3")


@pytest.fixture
def other_lma() -> FakeLma:
    return FakeLma(OTHER_LMA_ADDRESS, IPv6Network("2001:db8:200::/48"))


def updates(gateway: MobileAccessGateway, now: float) -> list[tuple[IPv6Address, int]]:
    """Where the PBUs of this moment go, and the lifetimes they ask for."""
    return [
        (message.destination, read_update(message).lifetime_s)
        for message in gateway.messages_to_send(now, UTC)
    ]


def test_new_lifetime_is_asked_for_at_the_next_refresh_and_costs_nothing_before(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.reconfigure(settings(lifetime_s=400), BOTH, 1.0)
    assert gateway.messages_to_send(1.0, UTC) == []
    assert gateway.events() == []
    gateway.handle_timer(0.8 * 3600)
    assert updates(gateway, 0.8 * 3600) == [(LMA_ADDRESS, 400)]


def test_nodes_are_asked_for_where_the_new_settings_say_so(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.reconfigure(settings(solicitations_by_link={"access1": 5}), BOTH, 1.0)
    gateway.handle_timer(0.8 * 3600)
    assert gateway.messages_to_send(0.8 * 3600, UTC) == []
    assert len(of_type(gateway.events(), ProbeNode)) == 1


def test_new_refresh_fraction_holds_from_the_next_grant(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.reconfigure(settings(refresh_fraction=0.5), BOTH, 1.0)
    establish(gateway, lma, 1.0, mn_id=MN2, where={"mac": MN2_MAC})
    first, second = gateway.binding_update_list
    assert first.refresh_at == pytest.approx(0.8 * 3600)
    assert second.refresh_at == pytest.approx(1.0 + 0.5 * 3600)


def test_quirks_of_an_lma_hold_for_the_next_update(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    quirk = LmaSettings(LmaQuirks(no_home_registration_flag=True))
    gateway.reconfigure(settings(), BOTH | {LMA_ADDRESS: quirk}, 1.0)
    gateway.handle_timer(0.8 * 3600)
    (message,) = gateway.messages_to_send(0.8 * 3600, UTC)
    assert BindingUpdateFlag.HOME_REGISTRATION not in read_update(message).flags


def test_addresses_that_nodes_and_lmas_know_us_by_cannot_change(
    gateway: MobileAccessGateway,
) -> None:
    with pytest.raises(ValueError, match="fixed_mag_link_local_address"):
        gateway.reconfigure(
            settings(fixed_mag_link_local_address=IPv6Address("fe80::1")), BOTH, 1.0
        )


def test_node_of_another_lma_is_deregistered_here_and_registered_there(
    gateway: MobileAccessGateway, lma: FakeLma, other_lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.change_profile(binding_id, profile(lma_address=OTHER_LMA_ADDRESS), 10.0)
    (message,) = gateway.messages_to_send(10.0, UTC)
    assert (message.destination, read_update(message).lifetime_s) == (LMA_ADDRESS, 0)
    assert not of_type(gateway.events(), ForwardingUnwanted)  # until the LMA has answered
    gateway.receive_message(lma.answer(message), LMA_ADDRESS, 10.1)
    (lost,) = of_type(events := gateway.events(), BindingLost)
    assert lost.reason is LossReason.RECONFIGURED
    assert of_type(events, WithdrawPrefixes)
    assert other_lma.serve(gateway, 10.1, UTC) == 1
    (established,) = of_type(gateway.events(), BindingEstablished)
    assert established.binding.lma_address == OTHER_LMA_ADDRESS
    (entry,) = gateway.binding_update_list
    assert entry.home_network_prefixes == (IPv6Network("2001:db8:200:1::/64"),)


def test_silent_old_lma_delays_the_new_registration_by_a_second_at_most(
    gateway: MobileAccessGateway, lma: FakeLma, other_lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.change_profile(binding_id, profile(lma_address=OTHER_LMA_ADDRESS), 10.0)
    gateway.messages_to_send(10.0, UTC)
    gateway.handle_timer(11.0)
    assert other_lma.serve(gateway, 11.0, UTC) == 1
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("DEREG-02")
def test_dismissed_node_is_not_called_back_by_a_sign_of_life(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """The old profile still stands in its entry while the LMA has not answered."""
    binding_id = establish(gateway, lma)
    gateway.dismiss(binding_id, LossReason.RECONFIGURED, 10.0)
    gateway.attach(attachment(), profile(), 10.0)
    assert state(gateway) is RegistrationState.DEREGISTERING
    lma.serve(gateway, 10.0, UTC)
    assert len(gateway.binding_update_list) == 0


def test_node_that_leaves_meanwhile_is_not_registered_elsewhere(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.change_profile(binding_id, profile(lma_address=OTHER_LMA_ADDRESS), 10.0)
    gateway.detach(binding_id, 10.0)
    lma.serve(gateway, 10.0, UTC)
    assert len(gateway.binding_update_list) == 0


def test_node_that_had_left_before_is_not_registered_elsewhere(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.detach(binding_id, 10.0)
    gateway.change_profile(binding_id, profile(lma_address=OTHER_LMA_ADDRESS), 10.0)
    lma.serve(gateway, 10.0, UTC)
    assert len(gateway.binding_update_list) == 0


def test_second_thought_while_the_old_lma_has_not_answered_is_what_counts(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.change_profile(binding_id, profile(lma_address=OTHER_LMA_ADDRESS), 10.0)
    gateway.change_profile(binding_id, profile(lifetime_s=400), 10.0)
    lma.serve(gateway, 10.0, UTC)
    assert updates(gateway, 10.0) == [(LMA_ADDRESS, 400)]


def test_changed_prefixes_wait_for_the_next_registration(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    fixed = (IPv6Network("2001:db8:1:1::/64"),)
    gateway.change_profile(binding_id, profile(home_network_prefixes=fixed), 10.0)
    assert gateway.events() == []
    (entry,) = gateway.binding_update_list
    assert entry.home_network_prefixes == (IPv6Network("2001:db8:100:1::/64"),)
    gateway.detach(binding_id, 20.0)
    lma.serve(gateway, 20.0, UTC)
    establish(gateway, lma, 30.0, home_network_prefixes=fixed)
    (entry,) = gateway.binding_update_list
    assert entry.home_network_prefixes == fixed


@pytest.mark.requirement("ACFG-04")
def test_node_is_told_at_once_of_another_way_to_get_addresses(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """ACFG-04: an override for a node that has service."""
    binding_id = establish(gateway, lma)
    stateful = replace(profile(), address_configuration=AddressConfiguration.STATEFUL)
    gateway.change_profile(binding_id, stateful, now=5.0)
    gateway.handle_timer(5.0)
    (told,) = of_type(gateway.events(), AdvertisePrefixes)
    assert told.binding.address_configuration is AddressConfiguration.STATEFUL


@pytest.mark.requirement("LR-05")
def test_local_routing_follows_the_profile_at_once_and_unnoticed(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """LR-05: the packet path is told, and neither LMA nor node."""
    binding_id = establish(gateway, lma)
    for local_routing in (True, False):
        gateway.change_profile(binding_id, profile(local_routing=local_routing), 10.0)
        (wanted,) = gateway.events()
        assert isinstance(wanted, ForwardingWanted)
        assert wanted.binding.local_routing is local_routing
        assert gateway.messages_to_send(10.0, UTC) == []
        gateway.forwarding_ready(binding_id, 10.1)
        assert gateway.events() == []


@pytest.mark.requirement("PBA-13")
def test_held_node_is_registered_anew_when_its_profile_changes(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.9.1.2: the administrative action that it waits for."""
    gateway.attach(attachment(), profile(), 0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(
        lma.answer(message, status=BindingStatus.PROXY_REG_NOT_ENABLED), LMA_ADDRESS, 0.1
    )
    assert state(gateway) is RegistrationState.HELD
    (entry,) = gateway.binding_update_list
    gateway.change_profile(entry.binding_id, profile(lifetime_s=400), 1.0)
    assert updates(gateway, 1.0) == [(LMA_ADDRESS, 400)]


def test_removed_lma_is_heard_until_its_last_binding_is_gone(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.reconfigure(settings(), ONLY_OTHER, 10.0)
    assert not of_type(gateway.events(), PeerRemoved)
    gateway.dismiss(binding_id, LossReason.RECONFIGURED, 10.0)
    lma.serve(gateway, 10.0, UTC)
    assert of_type(gateway.events(), PeerRemoved) == [PeerRemoved(LMA_ADDRESS)]
    assert set(gateway.peers) == {OTHER_LMA_ADDRESS}
    assert gateway.discarded == {}


def test_removed_lma_gets_no_new_binding(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """A profile that was resolved before the change may arrive after it."""
    establish(gateway, lma)
    gateway.reconfigure(settings(), ONLY_OTHER, 10.0)
    gateway.events()
    gateway.attach(attachment(mac=MN2_MAC), profile(MN2), 10.0)
    assert gateway.events() == [AttachmentRefused(MN2, RefusalReason.UNKNOWN_LMA)]


def test_lma_that_comes_back_before_it_has_gone_stays(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.reconfigure(settings(), ONLY_OTHER, 10.0)
    gateway.reconfigure(settings(), BOTH, 11.0)
    gateway.attach(attachment(mac=MN2_MAC), profile(MN2), 12.0)
    assert lma.serve(gateway, 12.0, UTC) == 1


def test_new_lma_is_greeted_and_served(gateway: MobileAccessGateway) -> None:
    gateway.begin(0.0)
    gateway.messages_to_send(0.0, UTC)
    gateway.reconfigure(settings(), BOTH | {THIRD_LMA_ADDRESS: LmaSettings()}, 5.0)
    (greeting,) = gateway.messages_to_send(5.0, UTC)
    assert greeting.destination == THIRD_LMA_ADDRESS
    third = FakeLma(THIRD_LMA_ADDRESS)
    gateway.attach(attachment(), profile(lma_address=THIRD_LMA_ADDRESS), 6.0)
    assert third.serve(gateway, 6.0, UTC) == 1
    assert state(gateway) is RegistrationState.ACTIVE


def test_heartbeats_come_at_the_new_pace_and_stop_when_turned_off() -> None:
    gateway = make_gateway()
    gateway.begin(0.0)
    assert gateway.get_timer() == pytest.approx(60.0)
    gateway.reconfigure(settings(heartbeat=HeartbeatSettings(interval_s=30.0)), BOTH, 10.0)
    assert gateway.get_timer() == pytest.approx(40.0)
    gateway.reconfigure(settings(heartbeat=HeartbeatSettings(is_enabled=False)), BOTH, 11.0)
    assert gateway.get_timer() is None
    gateway.reconfigure(settings(), BOTH, 12.0)
    assert gateway.get_timer() == pytest.approx(72.0)


def test_nodes_are_told_again_evenly_and_as_often_as_at_the_beginning(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 4861 §6.2.4: as an interface that becomes an advertising one."""
    ids = [establish(gateway, lma), establish(gateway, lma, mn_id=MN2, where={"mac": MN2_MAC})]
    gateway.handle_timer(16.0)
    gateway.handle_timer(32.0)
    gateway.events()
    changed = RouterAdvertisementSettings(valid_lifetime_s=7200, preferred_lifetime_s=3600)
    gateway.reconfigure(settings(router_advertisement=changed), BOTH, 100.0)
    for number, binding_id in enumerate(ids):
        gateway.advertise_again(binding_id, 100.0, after_s=0.002 * number)
    gateway.handle_timer(100.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1
    gateway.handle_timer(100.002)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1
    gateway.handle_timer(116.5)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 2


def test_node_that_is_not_forwarded_yet_is_told_when_it_is(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    lma.serve(gateway, 0.0, UTC)
    (entry,) = gateway.binding_update_list
    gateway.advertise_again(entry.binding_id, 1.0)
    gateway.handle_timer(1.0)
    assert not of_type(gateway.events(), AdvertisePrefixes)


def test_fewer_bindings_allowed_than_there_are_end_none(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    establish(gateway, lma, mn_id=MN2, where={"mac": MN2_MAC})
    gateway.reconfigure(replace(gateway.settings, max_bindings=1), BOTH, 10.0)
    assert len(gateway.binding_update_list) == 2
    gateway.attach(attachment(mac=bytes(5) + b"\x09"), profile(b"mn9@example.net"), 11.0)
    assert of_type(gateway.events(), AttachmentRefused)
    assert {entry.mn_id for entry in gateway.binding_update_list} == {MN1, MN2}
