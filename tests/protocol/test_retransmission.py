"""What is not answered is asked again, and nothing is asked too often (RFC 5213 §6.9.4)."""

from itertools import pairwise

import pytest

from mag.protocol.attachment import HandoffHint
from mag.protocol.events import BindingRejected, ProxyBindingUpdateSent
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire.options import MobileNodeIdentifierOption, TimestampOption
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    UTC,
    attachment,
    establish,
    of_type,
    profile,
    run_until,
)
from support.fake_lma import FakeLma, only_option, read_update


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


def test_every_update_is_told_once(gateway: MobileAccessGateway) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    gateway.messages_to_send(0.0, UTC)
    assert len(of_type(gateway.events(), ProxyBindingUpdateSent)) == 1
    assert gateway.events() == []
