"""Bindings of nodes that leave, or are made to, are taken back (RFC 5213 §6.9.1.4)."""

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    BindingEstablished,
    BindingLost,
    ForwardingUnwanted,
    TunnelUnwanted,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason, RegistrationState
from mag.wire.options import HandoffIndicatorOption, HomeNetworkPrefixOption
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN2,
    MN2_MAC,
    UTC,
    attachment,
    establish,
    of_type,
    profile,
    run_until,
)
from support.fake_lma import FakeLma, only_option


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
