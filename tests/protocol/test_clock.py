"""Status 156 is for clocks to be set right (RFC 5213 §6.9.1.2(9))."""

import pytest

from mag.protocol.events import BindingRejected
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import TICKS_PER_S
from mag.protocol.registration import RegistrationState
from mag.wire.iana import BindingStatus
from mag.wire.options import TimestampOption
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, only_option, read_update, with_option

SLOW_S = 32.0


def refuse(gateway: MobileAccessGateway, lma: FakeLma, status: int, now: float = 0.0) -> None:
    """The LMA's clock is an hour behind."""
    (message,) = gateway.messages_to_send(now, UTC + now)
    hour = TimestampOption(int((UTC + now - 3600) * TICKS_PER_S))
    answer = lma.answer(message, status=status, change=lambda pba: with_option(pba, hour))
    gateway.receive_message(answer, LMA_ADDRESS, now)


@pytest.mark.requirement("PBA-18")
def test_mismatch_waits_for_the_clock_and_goes_on_when_it_is_in_step(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.clock_is(in_step=False, now=0.0)
    gateway.attach(attachment(), profile(), 0.0)
    refuse(gateway, lma, BindingStatus.TIMESTAMP_MISMATCH)
    (rejected,) = of_type(gateway.events(), BindingRejected)
    assert rejected.retry_in_s is None
    assert gateway.get_timer() is None
    gateway.clock_is(in_step=False, now=500.0)
    gateway.handle_timer(1000.0)
    assert gateway.messages_to_send(1000.0, UTC + 1000) == []
    gateway.clock_is(in_step=True, now=1000.0)
    gateway.handle_timer(1000.0)
    lma.serve(gateway, 1000.0, UTC + 1000)
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("PBA-18")
def test_mismatch_with_a_clock_in_step_is_asked_again_slowly(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """The LMA's own clock may be the one that is wrong."""
    gateway.attach(attachment(), profile(), 0.0)
    refuse(gateway, lma, BindingStatus.TIMESTAMP_MISMATCH)
    assert gateway.get_timer() == SLOW_S


@pytest.mark.requirement("PBA-18")
def test_clock_that_stays_in_step_hurries_nobody(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    refuse(gateway, lma, BindingStatus.TIMESTAMP_MISMATCH)
    gateway.clock_is(in_step=True, now=1.0)
    assert gateway.get_timer() == SLOW_S


@pytest.mark.requirement("PBA-18")
def test_other_refusals_and_bindings_do_not_wait_for_the_clock(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.clock_is(in_step=False, now=1.0)
    gateway.attach(attachment(MN2_MAC), profile(MN2), 1.0)
    refuse(gateway, lma, BindingStatus.INSUFFICIENT_RESOURCES, 1.0)
    gateway.events()
    gateway.clock_is(in_step=True, now=2.0)
    gateway.handle_timer(2.0)
    assert gateway.messages_to_send(2.0, UTC + 2) == []
    gateway.handle_timer(1.0 + SLOW_S)
    assert len(gateway.messages_to_send(1.0 + SLOW_S, UTC)) == 1


@pytest.mark.requirement("PBA-18")
def test_node_that_leaves_while_the_clock_is_waited_for_is_forgotten(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.clock_is(in_step=False, now=0.0)
    gateway.attach(attachment(), profile(), 0.0)
    refuse(gateway, lma, BindingStatus.TIMESTAMP_MISMATCH)
    (entry,) = gateway.binding_update_list
    gateway.detach(entry.binding_id, 1.0)
    gateway.clock_is(in_step=True, now=2.0)
    assert len(gateway.binding_update_list) == 0
    assert gateway.get_timer() is None


@pytest.mark.requirement("TS-10")
@pytest.mark.parametrize("in_step", [True, False])
def test_timestamp_that_another_gateway_has_used_too_is_followed_by_a_newer_one(
    lma: FakeLma, in_step: bool
) -> None:
    """INT-07: 156 all the same, but the LMA's clock is ours."""
    gateway = make_gateway()
    gateway.clock_is(in_step=in_step, now=0.0)
    gateway.attach(attachment(), profile(), 0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    ticks = only_option(read_update(first), TimestampOption).ticks
    theirs = TimestampOption(ticks + TICKS_PER_S // 4)
    status = BindingStatus.TIMESTAMP_MISMATCH
    refusal = lma.answer(first, status=status, change=lambda pba: with_option(pba, theirs))
    gateway.receive_message(refusal, LMA_ADDRESS, 0.0)
    gateway.handle_timer(0.0)
    (second,) = gateway.messages_to_send(0.0, UTC)
    assert only_option(read_update(second), TimestampOption).ticks == ticks + 1
    refusal = lma.answer(second, status=status, change=lambda pba: with_option(pba, theirs))
    gateway.receive_message(refusal, LMA_ADDRESS, 0.0)
    assert gateway.get_timer() is not None
    assert gateway.get_timer() >= 1.0  # an LMA that is never content is not asked in a loop
