"""RFC 5213 §5.5: ordering by sequence numbers of sessions instead of timestamps."""

from dataclasses import replace

import pytest

from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import is_greater_sequence
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.registration import RegistrationState
from mag.wire.iana import BindingStatus
from mag.wire.options import (
    HandoffIndicatorOption,
    MobileNodeIdentifierOption,
    TimestampOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    profile,
    state,
)
from support.fake_lma import FakeLma, read_update, with_option

OUT_OF_WINDOW = BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW


@pytest.fixture
def gateway() -> MobileAccessGateway:
    return make_gateway(timestamp_based_approach_in_use=False)


def next_message(gateway: MobileAccessGateway, now: float = 0.0) -> OutgoingMessage:
    gateway.handle_timer(now)
    (message,) = gateway.messages_to_send(now, UTC + now)
    return message


def sequence_of(message: OutgoingMessage) -> int:
    return read_update(message).sequence


def refuse(
    gateway: MobileAccessGateway,
    lma: FakeLma,
    message: OutgoingMessage,
    last: int,
    now: float = 0.1,
) -> None:
    """Have the LMA say that `last` is the number it accepted last."""
    answer = lma.answer(
        message, status=OUT_OF_WINDOW, change=lambda pba: replace(pba, sequence=last)
    )
    gateway.receive_message(answer, LMA_ADDRESS, now)


@pytest.mark.requirement("SEQ-01", "SEQ-02", "ATT-19", "ATT-20", "PBU-11")
@pytest.mark.parametrize("is_by_timestamp", [True, False])
def test_variable_decides_whether_there_is_a_timestamp(lma: FakeLma, is_by_timestamp: bool) -> None:
    gateway = make_gateway(timestamp_based_approach_in_use=is_by_timestamp)
    establish(gateway, lma)
    (update,) = lma.received
    assert bool(update.all(TimestampOption)) is is_by_timestamp
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("SEQ-02")
def test_timestamp_in_a_reply_is_not_looked_at(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    answer = lma.answer(
        next_message(gateway), change=lambda pba: with_option(pba, TimestampOption(1))
    )
    gateway.receive_message(answer, LMA_ADDRESS, 0.1)
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("SEQ-03", "ATT-22")
@pytest.mark.parametrize("is_by_timestamp", [True, False])
def test_sessions_count_by_themselves_only_without_timestamps(is_by_timestamp: bool) -> None:
    """RFC 5213 §6.9.1.1(6): two sessions of one node and one of another take turns."""
    gateway = make_gateway(timestamp_based_approach_in_use=is_by_timestamp)
    gateway.attach(attachment(), profile(), now=0.0)
    gateway.attach(attachment(MN2_MAC), profile(), now=0.0)
    gateway.attach(attachment(bytes.fromhex("02005e100003")), profile(MN2), now=0.0)
    first = [sequence_of(message) for message in gateway.messages_to_send(0.0, UTC)]
    gateway.handle_timer(1.0)
    second = [sequence_of(message) for message in gateway.messages_to_send(1.0, UTC + 1)]
    step = 3 if is_by_timestamp else 1
    assert second == [(number + step) & 0xFFFF for number in first]


@pytest.mark.requirement("RTX-09", "SEQ-01")
def test_each_retransmission_has_the_next_number(gateway: MobileAccessGateway) -> None:
    """RFC 5213 §6.9.4(4)."""
    gateway.attach(attachment(), profile(), now=0.0)
    numbers = [sequence_of(next_message(gateway, now)) for now in (0.0, 1.0, 3.0, 7.0)]
    assert numbers == [(numbers[0] + i) & 0xFFFF for i in range(4)]


@pytest.mark.requirement("SEQ-03", "BUL-03")
def test_session_goes_on_counting_in_its_later_requests(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.handle_timer(2880.0)
    lma.serve(gateway, 2880.0)
    gateway.detach(binding_id, 2900.0)
    (entry,) = gateway.binding_update_list
    lma.serve(gateway, 2900.0)
    numbers = [update.sequence for update in lma.received]
    assert numbers == [(numbers[0] + i) & 0xFFFF for i in range(3)]
    assert entry.last_sequence == numbers[-1]


@pytest.mark.requirement("SEQ-04", "SEQ-05", "SEQ-07")
@pytest.mark.parametrize("last", [0, 0x1234, 0xFFFF])
def test_number_that_the_lma_tells_is_gone_on_from(
    gateway: MobileAccessGateway, lma: FakeLma, last: int
) -> None:
    """RFC 6275 §11.7.3: how a gateway learns the last number of a session it takes over."""
    gateway.attach(attachment(), profile(), now=0.0)
    (entry,) = gateway.binding_update_list
    message = next_message(gateway)
    entry.last_sequence = last  # the guess was not beyond it
    refuse(gateway, lma, message, last)
    again = next_message(gateway, 0.1)
    assert sequence_of(again) == (last + 1) & 0xFFFF
    gateway.receive_message(lma.answer(again), LMA_ADDRESS, 0.2)
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("SEQ-07", "RTX-09")
def test_number_that_ours_is_beyond_already_is_not_gone_back_to(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """A reply to an earlier transmission: what follows is still greater than all sent before."""
    gateway.attach(attachment(), profile(), now=0.0)
    first = next_message(gateway)
    second = next_message(gateway, 1.0)
    refuse(gateway, lma, first, sequence_of(first), now=1.1)
    third = next_message(gateway, 1.1)
    assert sequence_of(third) == (sequence_of(second) + 1) & 0xFFFF


@pytest.mark.requirement("SEQ-07")
def test_served_node_keeps_its_service_while_the_number_is_corrected(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    refuse(gateway, lma, next_message(gateway, 2880.0), 7, now=2880.1)
    (entry,) = gateway.binding_update_list
    assert entry.is_serving
    lma.serve(gateway, 2880.1)
    assert (entry.state, lma.received[-1].sequence) == (RegistrationState.ACTIVE, 8)


@pytest.mark.requirement("SEQ-07", "DEREG-06")
def test_deregistration_is_sent_once_more_with_the_right_number(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Otherwise the LMA would keep the session for its whole lifetime."""
    gateway.detach(establish(gateway, lma), 10.0)
    refuse(gateway, lma, next_message(gateway, 10.0), 7, now=10.1)
    again = next_message(gateway, 10.1)
    assert (sequence_of(again), read_update(again).lifetime_s) == (8, 0)
    gateway.handle_timer(11.1)
    assert len(gateway.binding_update_list) == 0


@pytest.mark.requirement("SEQ-07", "RTX-11")
def test_lma_that_is_never_content_is_asked_at_the_pace_of_retransmissions(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    now, times = 0.0, []
    while now < 60.0:
        message = next_message(gateway, now)
        times.append(now)
        refuse(gateway, lma, message, sequence_of(message) + 100 & 0xFFFF, now)
        if messages := gateway.messages_to_send(now, UTC + now):
            times.append(now)
            refuse(gateway, lma, messages[0], sequence_of(messages[0]) + 100 & 0xFFFF, now)
        deadline = gateway.get_timer()
        assert deadline is not None
        now = deadline
    assert times == pytest.approx([0, 0, 1, 3, 7, 15, 31])


@pytest.mark.requirement("SEQ-09", "PBA-10", "PBA-11")
@pytest.mark.parametrize(
    ("defect", "reason"),
    [("peer", "no_binding"), ("node", "no_binding"), ("echo", "unmatched"), ("none", "unmatched")],
)
def test_out_of_window_that_answers_nothing_changes_nothing(
    gateway: MobileAccessGateway, lma: FakeLma, defect: str, reason: str
) -> None:
    """INT-05: matched by LMA, MN-Identifier, echoes and an outstanding request."""
    gateway.attach(attachment(), profile(), now=0.0)
    message = next_message(gateway)
    (entry,) = gateway.binding_update_list
    if defect == "none":
        gateway.receive_message(lma.answer(message), LMA_ADDRESS, 0.05)
        gateway.events()
    before = entry.last_sequence, entry.state
    sender = FakeLma(OTHER_LMA_ADDRESS if defect == "peer" else LMA_ADDRESS)
    spoilt = {
        "node": MobileNodeIdentifierOption(MN2),
        "echo": HandoffIndicatorOption(2),
    }.get(defect)
    answer = sender.answer(
        message,
        status=OUT_OF_WINDOW,
        change=lambda pba: replace(
            with_option(pba, spoilt) if spoilt else pba, sequence=pba.sequence + 999 & 0xFFFF
        ),
    )
    gateway.receive_message(answer, sender.address, 0.1)
    assert (entry.last_sequence, entry.state) == before
    assert gateway.discarded == {reason: 1}


@pytest.mark.requirement("SEQ-07")
def test_out_of_window_means_nothing_while_timestamps_order(lma: FakeLma) -> None:
    """INT-05: accepted in sequence mode only."""
    gateway = make_gateway()
    gateway.attach(attachment(), profile(), now=0.0)
    message = next_message(gateway)
    refuse(gateway, lma, message, sequence_of(message) + 999 & 0xFFFF)
    assert gateway.discarded == {"unmatched": 1}
    assert gateway.messages_to_send(0.1, UTC) == []


@pytest.mark.requirement("SEQ-06", "BUL-14")
def test_numbers_up_to_32768_behind_the_last_are_not_greater() -> None:
    """RFC 6275 §9.5.1: its own case, the last accepted number being 15."""
    not_greater = [number for number in range(0x10000) if not is_greater_sequence(number, 15)]
    assert not_greater == [*range(16), *range(32783, 65536)]
