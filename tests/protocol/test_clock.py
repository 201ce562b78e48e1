"""Status 156 is for clocks to be set right (RFC 5213 §6.9.1.2(9))."""

import pytest

from mag.protocol.events import BindingRejected
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire.iana import BindingStatus
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    UTC,
    attachment,
    establish,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma

SLOW_S = 32.0


def refuse(gateway: MobileAccessGateway, lma: FakeLma, status: int, now: float = 0.0) -> None:
    (message,) = gateway.messages_to_send(now, UTC + now)
    gateway.receive_message(lma.answer(message, status=status), LMA_ADDRESS, now)


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
