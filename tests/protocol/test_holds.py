"""RFC 5213 §6.9.1.2(6), (7): what must not be asked again until an operator acts."""

from collections.abc import Callable

import pytest

from mag.protocol.events import (
    AttachmentRefused,
    BindingRejected,
    ForwardingUnwanted,
    OptionReportedMissing,
    RefusalReason,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    MobileNodeIdentifierOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN2,
    MN2_MAC,
    UTC,
    Change,
    answer_with,
    attachment,
    establish,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, with_option

HANDOFF_CHANGED = HandoffIndicatorOption(2)


def silence(gateway: MobileAccessGateway, lma: FakeLma) -> int:
    """A served node whose refresh was answered by something that is not for us to accept."""
    binding_id = establish(gateway, lma)
    gateway.handle_timer(2880.0)
    answer_with(gateway, lma, lambda pba: with_option(pba, HANDOFF_CHANGED))
    assert state(gateway) is RegistrationState.SILENT
    gateway.events()
    return binding_id


def expire(gateway: MobileAccessGateway, binding_id: int) -> None:
    gateway.handle_timer(3600.0)


def leave(gateway: MobileAccessGateway, binding_id: int) -> None:
    gateway.detach(binding_id, 3000.0)


def lose_the_prefix(gateway: MobileAccessGateway, binding_id: int) -> None:
    """The LMA gives it to another node."""
    (entry,) = gateway.binding_update_list
    gateway.attach(attachment(MN2_MAC), profile(MN2), 3000.0)
    (message,) = gateway.messages_to_send(3000.0, UTC + 3000)
    answer = FakeLma(LMA_ADDRESS).answer(message, prefixes=entry.home_network_prefixes)
    gateway.receive_message(answer, LMA_ADDRESS, 3000.0)


@pytest.mark.requirement("PBA-13")
@pytest.mark.parametrize("end", [expire, leave, lose_the_prefix])
def test_hold_outlives_the_service(
    gateway: MobileAccessGateway, lma: FakeLma, end: Callable[[MobileAccessGateway, int], None]
) -> None:
    """The end of the service is no administrative action: no PBU, whatever the node does."""
    binding_id = silence(gateway, lma)
    end(gateway, binding_id)
    assert of_type(gateway.events(), ForwardingUnwanted)
    entry = gateway.binding_update_list.by_id(binding_id)
    assert entry is not None
    assert entry.state is RegistrationState.HELD
    gateway.attach(attachment(), profile(), 4000.0)
    gateway.attach(attachment(link="access2"), profile(), 4001.0)
    gateway.handle_timer(8000.0)
    sent = [message.data for message in gateway.messages_to_send(8000.0, UTC + 8000)]
    assert not any(MN1 in data for data in sent)


@pytest.mark.requirement("PBA-13")
def test_operator_who_clears_a_hold_lets_the_node_in_again(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = silence(gateway, lma)
    gateway.handle_timer(3600.0)
    gateway.clear(binding_id, 4000.0)
    gateway.attach(attachment(), profile(), 4001.0)
    assert lma.serve(gateway, 4001.0) == 1
    (entry,) = gateway.binding_update_list
    assert (entry.state, entry.hold) == (RegistrationState.ACTIVE, None)


@pytest.mark.requirement("PBA-13")
def test_operator_who_clears_a_silent_binding_has_it_deregistered(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.clear(silence(gateway, lma), 3000.0)
    assert lma.serve(gateway, 3000.0) == 1
    assert lma.received[-1].lifetime_s == 0
    assert len(gateway.binding_update_list) == 0


@pytest.mark.requirement("PBA-13", "PBA-14")
@pytest.mark.parametrize(
    ("status", "change", "reason"),
    [
        (0, lambda pba: with_option(pba, HANDOFF_CHANGED), "did not echo"),
        (152, lambda pba: pba, "PROXY_REG_NOT_ENABLED (152)"),
    ],
)
def test_hold_says_why(
    gateway: MobileAccessGateway, lma: FakeLma, status: int, change: Change, reason: str
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    answer_with(gateway, lma, change, status=status)
    (entry,) = gateway.binding_update_list
    assert entry.hold is not None
    assert reason in entry.hold.reason
    (told,) = of_type(gateway.events(), BindingRejected)
    assert (told.reason, told.retry_in_s) == (entry.hold.reason, None)


@pytest.mark.requirement("PBA-14", "PBA-15")
def test_refused_node_is_refused_on_all_its_interfaces(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Status 152 is about the node: one that is served elsewhere is no longer, nor asked for."""
    establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(), 10.0)
    answer_with(gateway, lma, lambda pba: pba, status=152)
    assert [entry.state for entry in gateway.binding_update_list] == [RegistrationState.HELD] * 2
    assert of_type(gateway.events(), ForwardingUnwanted)
    third = attachment(bytes.fromhex("02005e100003"))
    assert gateway.attach(third, profile(), 20.0) is RefusalReason.NODE_HELD
    assert gateway.events() == [AttachmentRefused(MN1, RefusalReason.NODE_HELD)]
    gateway.handle_timer(9000.0)
    assert gateway.messages_to_send(9000.0, UTC + 9000) == []


@pytest.mark.requirement("PBA-14")
def test_refused_node_is_let_in_when_all_its_bindings_are_cleared(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    answer_with(gateway, lma, lambda pba: pba, status=152)
    for entry in list(gateway.binding_update_list):
        gateway.clear(entry.binding_id, 10.0)
    assert gateway.attach(attachment(MN2_MAC), profile(), 20.0) is None
    assert lma.serve(gateway, 20.0) == 1


@pytest.mark.requirement("PBA-14")
def test_other_refusals_are_of_one_interface(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(), 10.0)
    answer_with(gateway, lma, lambda pba: pba, status=129)
    states = [entry.state for entry in gateway.binding_update_list]
    assert states == [RegistrationState.ACTIVE, RegistrationState.HELD]


@pytest.mark.requirement("PBA-12", "PBA-13")
@pytest.mark.parametrize(
    ("status", "empty"),
    [
        (160, MobileNodeIdentifierOption(b"")),
        (161, HandoffIndicatorOption(0)),
        (162, AccessTechnologyTypeOption(0)),
    ],
)
def test_option_that_the_lma_misses_raises_an_alarm_and_no_retransmission(
    gateway: MobileAccessGateway,
    lma: FakeLma,
    status: int,
    empty: MobileNodeIdentifierOption | HandoffIndicatorOption | AccessTechnologyTypeOption,
) -> None:
    """INT-04: such a reply echoes what it misses as empty, so that it answers nothing."""
    gateway.attach(attachment(), profile(), 0.0)
    answer_with(gateway, lma, lambda pba: with_option(pba, empty), status=status)
    (alarm,) = of_type(gateway.events(), OptionReportedMissing)
    assert (alarm.status, alarm.binding.mn_id) == (status, MN1)
    assert gateway.discarded == {"option_reported_missing": 1}
    assert gateway.peers[LMA_ADDRESS].answered.total() == 0
    gateway.handle_timer(60.0)
    assert gateway.messages_to_send(60.0, UTC + 60) == []
    assert state(gateway) is RegistrationState.HELD


@pytest.mark.requirement("PBA-12")
@pytest.mark.parametrize("status", [160, 161, 162])
def test_option_that_the_lma_misses_and_echoes_raises_the_alarm_as_well(
    gateway: MobileAccessGateway, lma: FakeLma, status: int
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    answer_with(gateway, lma, lambda pba: pba, status=status)
    assert of_type(gateway.events(), OptionReportedMissing)
    assert state(gateway) is RegistrationState.HELD


def test_late_reply_finds_nothing_in_a_held_binding(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """What fits into no message holds the binding while an earlier PBU is under way."""
    gateway.attach(attachment(), profile(), 0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    (entry,) = gateway.binding_update_list
    entry.profile = profile(b"x" * 255)  # no longer fits into its option
    gateway.handle_timer(1.0)
    assert gateway.messages_to_send(1.0, UTC + 1) == []
    assert entry.state is RegistrationState.HELD
    gateway.receive_message(lma.answer(message), LMA_ADDRESS, 1.1)
    assert entry.state is RegistrationState.HELD
