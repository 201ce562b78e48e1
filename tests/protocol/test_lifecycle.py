"""Retransmission, refresh, expiry, detachment, moves and advertisements over time."""

from ipaddress import IPv6Address
from itertools import pairwise

import pytest

from mag.protocol.attachment import HandoffHint
from mag.protocol.events import (
    AdvertisePrefixes,
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    ForwardingUnwanted,
    ForwardingWanted,
    ProxyBindingUpdateSent,
    TunnelUnwanted,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.settings import RouterAdvertisementSettings
from mag.wire.options import (
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    MobileNodeIdentifierOption,
    TimestampOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN1_MAC,
    MN2,
    MN2_MAC,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
)
from support.fake_lma import FakeLma, only_option, read_update

NODE_ADDRESS = IPv6Address("fe80::77")


def run_until(gateway: MobileAccessGateway, end: float) -> list[tuple[float, object]]:
    """Let time pass with a silent LMA; every PBU with the moment it was sent."""
    sent: list[tuple[float, object]] = []
    now = 0.0
    while True:
        sent += [(now, read_update(m)) for m in gateway.messages_to_send(now, UTC + now)]
        deadline = gateway.get_timer()
        if deadline is None or deadline > end:
            return sent
        now = deadline
        gateway.handle_timer(now)


# Retransmission (RFC 5213 §6.9.4)


@pytest.mark.requirement("RTX-01", "RTX-02", "RTX-03", "RTX-04", "RTX-06", "RTX-07", "RTX-09")
def test_silent_lma_is_asked_again_at_doubling_intervals_for_ever(
    gateway: MobileAccessGateway,
) -> None:
    """RTX-02 to RTX-04, RTX-06, RTX-07, RTX-09."""
    gateway.attach(attachment(), profile(), now=0.0)
    sent = run_until(gateway, 200.0)
    moments = [moment for moment, _ in sent]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:8] == pytest.approx([1, 2, 4, 8, 16, 32, 32, 32])
    sequences = [update.sequence for _, update in sent]  # type: ignore[attr-defined]
    assert sequences == [(sequences[0] + i) & 0xFFFF for i in range(len(sequences))]


@pytest.mark.requirement("RTX-04")
def test_refresh_is_retransmitted_until_it_is_answered(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RTX-04: from its due time on at doubling intervals, the service going on."""
    establish(gateway, lma)
    sent = run_until(gateway, 2900.0)
    assert [moment for moment, _ in sent] == pytest.approx([2880, 2881, 2883, 2887, 2895])
    assert lma.serve(gateway, 2900.0) == 0
    (entry,) = gateway.binding_update_list
    assert (entry.state, entry.is_serving) == (RegistrationState.REFRESHING, True)


@pytest.mark.requirement("RTX-08")
def test_retransmission_carries_a_newer_timestamp(gateway: MobileAccessGateway) -> None:
    """RTX-08."""
    gateway.attach(attachment(), profile(), now=0.0)
    ticks = [
        only_option(update, TimestampOption).ticks  # type: ignore[arg-type]
        for _, update in run_until(gateway, 40.0)
    ]
    assert len(ticks) > 3
    assert ticks == sorted(set(ticks))


@pytest.mark.requirement("RTX-05")
def test_detached_node_is_not_registered_again(gateway: MobileAccessGateway) -> None:
    """RTX-05: nothing but one de-registration after it has left."""
    gateway.attach(attachment(), profile(), now=0.0)
    run_until(gateway, 0.5)
    (entry,) = gateway.binding_update_list
    gateway.detach(entry.binding_id, now=0.5)
    sent = run_until(gateway, 100.0)
    assert [update.lifetime_s for _, update in sent] == [0]  # type: ignore[attr-defined]
    assert len(gateway.binding_update_list) == 0


@pytest.mark.requirement("RTX-11")
def test_storm_of_reports_about_one_node_sends_three_updates_a_second(
    gateway: MobileAccessGateway,
) -> None:
    """RTX-11, INT-08."""
    moments = []
    for tenth in range(40):
        now = tenth / 10
        gateway.handle_timer(now)
        gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), now)
        moments += [now for _ in gateway.messages_to_send(now, UTC + now)]
    for start in moments:
        assert sum(start <= moment < start + 0.999 for moment in moments) <= 3
    assert len(moments) >= 9


@pytest.mark.requirement("RTX-11", "BUL-15")
def test_request_that_waited_for_the_limit_is_sent_once(gateway: MobileAccessGateway) -> None:
    """RTX-11: a newer request takes the place of one that was still waiting."""
    for _ in range(4):
        gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), 0.0)
        gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(0.5)
    gateway.attach(attachment(hint=HandoffHint.NEW_INTERFACE), profile(), 1.0)
    assert len(gateway.messages_to_send(1.0, UTC + 1)) == 1
    gateway.handle_timer(1.0)
    assert gateway.messages_to_send(1.0, UTC + 1) == []


def test_request_that_fits_into_no_message_holds_its_own_binding_only(
    gateway: MobileAccessGateway,
) -> None:
    """One node's trouble loses nobody else's registration."""
    gateway.attach(attachment(), profile(b"x" * 255), now=0.0)
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    assert only_option(read_update(message), MobileNodeIdentifierOption).identifier == MN2
    (rejected,) = of_type(gateway.events(), BindingRejected)
    assert rejected.binding.state is RegistrationState.HELD


# Refresh and expiry (RFC 5213 §6.9.1.3, RFC 6275 §11.1)


@pytest.mark.requirement("PBA-36")
def test_retransmission_that_is_due_when_the_answer_comes_does_not_go_out(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 6275 §11.7.3: acceptance stops retransmission, also in one turn with it."""
    gateway.attach(attachment(), profile(), now=0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(1.0)
    gateway.receive_message(lma.answer(first), LMA_ADDRESS, 1.0)
    assert gateway.messages_to_send(1.0, UTC + 1) == []


@pytest.mark.requirement("REREG-01", "REREG-02", "REREG-03", "REREG-04")
def test_refresh_asks_for_what_was_granted_without_change_of_handoff_state(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """REREG-01 to REREG-04."""
    establish(gateway, lma)
    initial_kinds = {type(option) for option in lma.received[0].options}
    gateway.handle_timer(2880.0)
    assert lma.serve(gateway, 2880.0) == 1
    refresh = lma.received[-1]
    assert {type(option) for option in refresh.options} == initial_kinds
    assert refresh.lifetime_s == 3600
    assert only_option(refresh, HandoffIndicatorOption).handoff_indicator == 5
    assert only_option(refresh, HomeNetworkPrefixOption).prefix == lma.assigned[MN1][0]
    (refreshed,) = of_type(gateway.events(), BindingRefreshed)
    assert refreshed.lifetime_s == 3600
    (entry,) = gateway.binding_update_list
    assert entry.expires_at == pytest.approx(2880.0 + 3600.0)


def test_refresh_leaves_forwarding_and_advertisements_alone(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    gateway.events()
    lma.serve(gateway, 2880.0)
    assert not of_type(gateway.events(), ForwardingWanted, ForwardingUnwanted, AdvertisePrefixes)


@pytest.mark.requirement("BUL-13")
def test_binding_that_cannot_be_refreshed_ends_with_its_lifetime(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """BUL-13: entry, forwarding and advertisements go; the node is told."""
    establish(gateway, lma, lifetime_s=40)
    run_until(gateway, 39.9)
    assert not of_type(gateway.events(), BindingLost)
    run_until(gateway, 40.0)
    events = gateway.events()
    (lost,) = of_type(events, BindingLost)
    assert lost.reason is LossReason.EXPIRED
    assert of_type(events, WithdrawPrefixes)
    assert of_type(events, ForwardingUnwanted)
    assert of_type(events, TunnelUnwanted)
    while (deadline := gateway.get_timer()) is not None:
        gateway.handle_timer(deadline)
    assert (
        of_type(gateway.events(), WithdrawPrefixes, ForwardingWanted)
        == of_type(events, WithdrawPrefixes) * 2
    )  # that the end is told again is all that is left


# De-registration (RFC 5213 §6.9.1.4)


@pytest.mark.requirement(
    "BUL-01",
    "ROLE-02",
    "DEREG-01",
    "DEREG-03",
    "DEREG-04",
    "DEREG-05",
    "DEREG-06",
    "DEREG-07",
    "DEREG-09",
)
def test_detachment_ends_the_binding_when_the_lma_answers(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """DEREG-01, DEREG-03 to DEREG-07, DEREG-09."""
    binding_id = establish(gateway, lma)
    initial_kinds = {type(option) for option in lma.received[0].options}
    gateway.detach(binding_id, now=10.0)
    assert not of_type(gateway.events(), ForwardingUnwanted)
    lma.serve(gateway, 10.0)
    update = lma.received[-1]
    assert update.lifetime_s == 0
    assert {type(option) for option in update.options} == initial_kinds
    assert only_option(update, HandoffIndicatorOption).handoff_indicator == 4
    assert only_option(update, HomeNetworkPrefixOption).prefix == lma.assigned[MN1][0]
    events = gateway.events()
    (lost,) = of_type(events, BindingLost)
    assert lost.reason is LossReason.DETACHED
    assert of_type(events, TunnelUnwanted)
    assert not of_type(events, WithdrawPrefixes)  # nobody is there to be told
    assert len(gateway.binding_update_list) == 0
    assert gateway.get_timer() is None


@pytest.mark.requirement("DEREG-06")
def test_detachment_ends_the_binding_after_a_second_of_silence(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """DEREG-06, INT-09, INT-28: one PBU, no retransmission, no alarm."""
    binding_id = establish(gateway, lma)
    gateway.detach(binding_id, now=10.0)
    assert len(gateway.messages_to_send(10.0, UTC)) == 1
    gateway.handle_timer(10.99)
    assert len(gateway.binding_update_list) == 1
    gateway.handle_timer(11.0)
    assert len(gateway.binding_update_list) == 0
    assert gateway.messages_to_send(11.0, UTC) == []


def test_rejected_deregistration_ends_the_binding_as_well(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """INT-09."""
    binding_id = establish(gateway, lma)
    gateway.detach(binding_id, now=10.0)
    (message,) = gateway.messages_to_send(10.0, UTC + 10)
    gateway.receive_message(lma.answer(message, status=157), LMA_ADDRESS, 10.1)
    assert len(gateway.binding_update_list) == 0


def test_reply_after_clean_up_resurrects_nothing(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """INT-26."""
    gateway.attach(attachment(), profile(), now=0.0)
    (registration,) = gateway.messages_to_send(0.0, UTC)
    (entry,) = gateway.binding_update_list
    gateway.detach(entry.binding_id, now=0.5)
    gateway.messages_to_send(0.5, UTC)
    gateway.receive_message(lma.answer(registration), LMA_ADDRESS, 0.6)
    assert gateway.discarded == {"late": 1}
    gateway.handle_timer(1.5)
    gateway.receive_message(lma.answer(registration), LMA_ADDRESS, 1.6)
    assert gateway.discarded == {"late": 1, "no_binding": 1}
    assert len(gateway.binding_update_list) == 0


@pytest.mark.requirement("DEREG-02", "ND-13")
def test_operator_who_ends_a_binding_has_the_node_told(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """DEREG-02, ND-13."""
    binding_id = establish(gateway, lma)
    gateway.clear(binding_id, now=5.0)
    lma.serve(gateway, 5.0)
    events = gateway.events()
    (lost,) = of_type(events, BindingLost)
    assert lost.reason is LossReason.CLEARED
    assert of_type(events, WithdrawPrefixes)


@pytest.mark.requirement("DEREG-09", "PBA-26", "TUN-05", "TUN-07", "TUN-13")
def test_tunnel_stays_while_another_node_shares_it(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """DEREG-09, TUN-13."""
    first = establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=1.0)
    lma.serve(gateway, 1.0)
    gateway.detach(first, now=2.0)
    lma.serve(gateway, 2.0)
    assert not of_type(gateway.events(), TunnelUnwanted)
    (second,) = gateway.binding_update_list
    gateway.detach(second.binding_id, now=3.0)
    lma.serve(gateway, 3.0)
    assert of_type(gateway.events(), TunnelUnwanted) == [TunnelUnwanted(LMA_ADDRESS)]


@pytest.mark.requirement("BUL-15")
def test_node_that_comes_back_before_the_answer_is_registered_again(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.detach(binding_id, now=10.0)
    (deregistration,) = gateway.messages_to_send(10.0, UTC + 10)
    gateway.attach(attachment(), profile(), now=10.1)
    (registration,) = gateway.messages_to_send(10.1, UTC + 10.1)
    gateway.receive_message(lma.answer(deregistration), LMA_ADDRESS, 10.2)
    assert len(gateway.binding_update_list) == 1
    gateway.receive_message(lma.answer(registration), LMA_ADDRESS, 10.3)
    (entry,) = gateway.binding_update_list
    assert entry.state is RegistrationState.ACTIVE
    assert of_type(gateway.events(), BindingEstablished, AdvertisePrefixes)


@pytest.mark.requirement("BUL-13")
def test_node_that_comes_back_but_is_not_registered_in_time_loses_its_old_service(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """BUL-13 while a new registration is under way."""
    binding_id = establish(gateway, lma, lifetime_s=40)
    gateway.detach(binding_id, now=30.0)
    gateway.messages_to_send(30.0, UTC + 30)
    gateway.attach(attachment(), profile(lifetime_s=40), now=30.5)
    gateway.events()
    run_until(gateway, 41.0)
    assert of_type(gateway.events(), ForwardingUnwanted)
    (entry,) = gateway.binding_update_list
    assert entry.state is RegistrationState.REGISTERING


# Moves


@pytest.mark.requirement("BUL-11")
def test_move_between_our_own_links_redirects_at_once_and_tells_the_lma(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """A node that changes port keeps its session and its prefix."""
    binding_id = establish(gateway, lma)
    gateway.attach(attachment(link="access2"), profile(), now=5.0)
    events = gateway.events()
    (wanted,) = of_type(events, ForwardingWanted)
    assert (wanted.binding.binding_id, wanted.binding.access_interface) == (binding_id, "access2")
    assert not of_type(events, AdvertisePrefixes)
    assert lma.serve(gateway, 5.0) == 1
    gateway.forwarding_ready(binding_id, 5.1)
    (advertised,) = of_type(gateway.events(), AdvertisePrefixes)
    assert advertised.binding.access_interface == "access2"
    assert gateway.binding_update_list.by_link("access1", MN1_MAC) is None
    assert gateway.binding_update_list.by_link("access2", MN1_MAC) is not None


@pytest.mark.requirement("ATT-12", "ATT-16")
def test_report_that_overtakes_a_registration_lets_its_grant_count(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """A frame brought the first PBU, the access point's word the second: any grant will do."""
    gateway.attach(attachment(), profile(), now=0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), now=0.001)
    (second,) = gateway.messages_to_send(0.001, UTC + 0.001)
    gateway.receive_message(lma.answer(first), LMA_ADDRESS, 0.002)
    (entry,) = gateway.binding_update_list
    assert entry.state is RegistrationState.ACTIVE
    gateway.receive_message(lma.answer(second), LMA_ADDRESS, 0.003)
    assert gateway.discarded == {"late": 1}
    assert entry.state is RegistrationState.ACTIVE


def test_reported_handoff_of_a_node_we_serve_is_registered_again(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """It came back from elsewhere: only the access network knows, and the LMA must."""
    establish(gateway, lma)
    gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), now=5.0)
    (message,) = gateway.messages_to_send(5.0, UTC + 5)
    assert only_option(read_update(message), HandoffIndicatorOption).handoff_indicator == 3


def test_further_sign_of_life_of_a_served_node_sends_nothing(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.attach(attachment(), profile(), now=5.0)
    assert gateway.messages_to_send(5.0, UTC) == []


# Router Advertisements (RFC 5213 §6.9.2, RFC 4861 §6.2)


@pytest.mark.requirement("RA-02", "RA-04", "HNE-06")
def test_solicitation_before_registration_is_answered_by_the_first_advertisement(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RA-04, HNE-06."""
    gateway.attach(attachment(), profile(), now=0.0)
    (entry,) = gateway.binding_update_list
    gateway.router_solicited(entry.binding_id, now=0.1)
    gateway.handle_timer(0.9)
    assert not of_type(gateway.events(), AdvertisePrefixes)
    lma.serve(gateway, 0.95)
    gateway.forwarding_ready(entry.binding_id, now=0.96)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("RA-03", "ND-04", "ND-05")
def test_solicitations_of_a_served_node_are_answered_once_within_half_a_second(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RA-03, ND-04, ND-05."""
    binding_id = establish(gateway, lma)
    for hundredth in range(10):
        gateway.router_solicited(binding_id, now=5.0 + hundredth / 100)
    gateway.handle_timer(5.6)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-06")
def test_solicitation_is_answered_at_the_address_that_it_came_from(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """ND-06, INT-17: no need to wait since the last one to all nodes, and soon enough for DAD."""
    binding_id = establish(gateway, lma)
    gateway.router_solicited(binding_id, now=0.1, source=NODE_ADDRESS)
    gateway.router_solicited(binding_id, now=0.2, source=IPv6Address("::"))
    gateway.handle_timer(0.7)
    (answer,) = of_type(gateway.events(), AdvertisePrefixes)
    assert answer.node_address == NODE_ADDRESS
    gateway.handle_timer(20.0)
    (unsolicited,) = of_type(gateway.events(), AdvertisePrefixes)
    assert unsolicited.node_address is None


@pytest.mark.requirement("ND-05")
@pytest.mark.parametrize("source", [None, IPv6Address("::")])
def test_advertisements_to_all_nodes_are_three_seconds_apart(
    gateway: MobileAccessGateway, lma: FakeLma, source: IPv6Address | None
) -> None:
    """ND-05: ten solicitations in a second, from a node that has no address yet."""
    binding_id = establish(gateway, lma)
    for tenth in range(1, 11):
        gateway.router_solicited(binding_id, now=tenth / 10, source=source)
    gateway.handle_timer(2.99)
    assert not of_type(gateway.events(), AdvertisePrefixes)
    gateway.handle_timer(3.5)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-05")
def test_changed_values_are_told_three_seconds_after_the_last_advertisement(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """ND-05: two reloads at once."""
    binding_id = establish(gateway, lma)
    gateway.advertise_again(binding_id, now=10.0)
    gateway.handle_timer(10.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1
    gateway.advertise_again(binding_id, now=10.1)
    gateway.handle_timer(12.9)
    assert not of_type(gateway.events(), AdvertisePrefixes)
    gateway.handle_timer(13.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-05")
def test_node_that_moved_waits_for_no_distance_from_an_advertisement_on_another_link(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 6275 §7.5: its packets wait for this one."""
    binding_id = establish(gateway, lma)
    gateway.attach(attachment(link="access2"), profile(), now=1.0)
    lma.serve(gateway, 1.0)
    gateway.forwarding_ready(binding_id, now=1.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-07", "ND-08")
def test_unsolicited_advertisements_begin_close_together_and_go_on_at_random(
    lma: FakeLma,
) -> None:
    """ND-07, ND-08."""
    gateway = make_gateway(
        router_advertisement=RouterAdvertisementSettings(max_interval_s=100, min_interval_s=50),
        lifetime_s=4000,
    )
    establish(gateway, lma)
    moments, now = [0.0], 0.0
    while (deadline := gateway.get_timer()) is not None and deadline < 1000:
        now = deadline
        gateway.handle_timer(now)
        moments += [now for _ in of_type(gateway.events(), AdvertisePrefixes)]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:2] == [16.0, 16.0]
    assert all(50 <= gap <= 100 for gap in gaps[2:])
    assert len(set(gaps[2:])) > 5


def test_no_advertisement_while_the_binding_is_being_ended(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.clear(binding_id, now=15.5)
    gateway.messages_to_send(15.5, UTC)
    gateway.handle_timer(16.2)
    assert not of_type(gateway.events(), AdvertisePrefixes)


def test_every_update_is_told_once(gateway: MobileAccessGateway) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    gateway.messages_to_send(0.0, UTC)
    assert len(of_type(gateway.events(), ProxyBindingUpdateSent)) == 1
    assert gateway.events() == []
