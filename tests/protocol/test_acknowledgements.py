"""RFC 5213 §6.9.1.2: which replies count, and what the others leave untouched."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from mag.protocol.events import (
    BindingErrorReceived,
    ForwardingUnwanted,
    MessageDiscarded,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.binding_error import BindingError
from mag.wire.iana import BindingAcknowledgementFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    TimestampOption,
    UnknownOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    UTC,
    Change,
    answer_with,
    attachment,
    establish,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, read_update, with_option, without_option


def not_ours(pba: ProxyBindingAcknowledgement) -> ProxyBindingAcknowledgement:
    """Nothing but the number speaks for its being an answer to us."""
    return with_option(
        with_option(pba, TimestampOption(1)), MobileNodeLinkLayerIdentifierOption(MN2_MAC)
    )


@pytest.mark.requirement(
    "PBA-01", "PBA-02", "PBA-06", "PBA-08", "PBA-11", "ATT-23", "TS-08", "TS-11", "SEQ-09"
)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pba: replace(pba, flags=BindingAcknowledgementFlag(0)), "not_proxy"),
        (lambda pba: replace(pba, sequence=pba.sequence ^ 1), "unmatched"),
        (
            lambda pba: without_option(not_ours(pba), MobileNodeIdentifierOption),
            "missing_mn_identifier",
        ),
        (
            lambda pba: with_option(not_ours(pba), MobileNodeIdentifierOption(b"x@y")),
            "no_binding",
        ),
        (lambda pba: with_option(pba, TimestampOption(1)), "timestamp_mismatched"),
        (lambda pba: without_option(pba, TimestampOption), "timestamp_mismatched"),
    ],
    ids=["P flag", "sequence", "no MN-ID", "other MN-ID", "other timestamp", "no timestamp"],
)
def test_reply_that_does_not_answer_is_discarded_and_the_timer_goes_on(
    gateway: MobileAccessGateway, lma: FakeLma, change: Change, reason: str
) -> None:
    """PBA-02, PBA-08, PBA-11, TS-08, SEQ-09."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, change)
    assert MessageDiscarded(reason, LMA_ADDRESS) in gateway.events()
    assert gateway.discarded == {reason: 1}
    assert state(gateway) is RegistrationState.REGISTERING
    assert gateway.get_timer() == pytest.approx(1.0)


@pytest.mark.requirement("PBA-01", "PBA-12", "PBA-13")
@pytest.mark.parametrize(
    "change",
    [
        lambda pba: with_option(pba, HandoffIndicatorOption(2)),
        lambda pba: with_option(pba, AccessTechnologyTypeOption(1)),
        lambda pba: with_option(pba, MobileNodeLinkLayerIdentifierOption(MN2_MAC)),
        lambda pba: without_option(pba, HandoffIndicatorOption),
        lambda pba: without_option(pba, AccessTechnologyTypeOption),
        lambda pba: without_option(pba, MobileNodeLinkLayerIdentifierOption),
        lambda pba: with_option(pba, MobileNodeIdentifierOption(MN2)),
        lambda pba: with_option(pba, MobileNodeIdentifierOption(MN1 + b"\0\0")),
        lambda pba: without_option(pba, MobileNodeIdentifierOption),
    ],
    ids=["HI", "ATT", "LL-id", "no HI", "no ATT", "no LL-id", "MN-ID", "padded", "no MN-ID"],
)
def test_reply_that_does_not_echo_silences_us_until_an_operator_acts(
    gateway: MobileAccessGateway, lma: FakeLma, change: Change
) -> None:
    """PBA-12, PBA-13."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, change)
    assert gateway.discarded == {"echo_mismatched": 1}
    assert state(gateway) is RegistrationState.HELD
    assert gateway.get_timer() is None
    gateway.attach(attachment(), profile(), now=60.0)
    assert gateway.messages_to_send(60.0, UTC) == []
    (entry,) = gateway.binding_update_list
    gateway.clear(entry.binding_id, now=61.0)
    gateway.attach(attachment(), profile(), now=62.0)
    assert lma.serve(gateway, 62.0) == 1
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("PBA-13")
def test_echo_mismatch_of_a_refresh_lets_the_binding_run_out_in_silence(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-13: what was accepted before holds until its lifetime ends."""
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    answer_with(gateway, lma, lambda pba: with_option(pba, HandoffIndicatorOption(2)))
    assert state(gateway) is RegistrationState.SILENT
    gateway.handle_timer(3599.0)
    assert gateway.messages_to_send(3599.0, UTC) == []
    gateway.events()
    gateway.handle_timer(3600.0)
    (ended,) = of_type(gateway.events(), ForwardingUnwanted)
    assert ended.binding.mn_id == MN1
    assert state(gateway) is RegistrationState.HELD


@pytest.mark.requirement("PBA-39", "PBA-40")
def test_unknown_options_and_any_order_are_accepted(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-39, PBA-40."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(
        gateway,
        lma,
        lambda pba: replace(pba, options=(UnknownOption(200, b"?"), *reversed(pba.options))),
    )
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("PBA-09", "PBA-36")
def test_reply_to_an_earlier_transmission_completes_the_request(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """INT-27, PBA-09: its lifetime counts from the transmission it answers."""
    gateway.attach(attachment(), profile(), now=0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(1.0)
    (second,) = gateway.messages_to_send(1.0, UTC + 1)
    gateway.receive_message(lma.answer(first), LMA_ADDRESS, 1.5)
    (entry,) = gateway.binding_update_list
    assert entry.state is RegistrationState.ACTIVE
    assert entry.expires_at == pytest.approx(3600.0)
    gateway.receive_message(lma.answer(second), LMA_ADDRESS, 1.6)
    assert gateway.discarded == {"late": 1}


@pytest.mark.requirement("PBA-10")
def test_reply_from_another_lma_does_not_count(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """PBA-10: the right identifier and number from the wrong peer."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    impostor = FakeLma(OTHER_LMA_ADDRESS)
    gateway.receive_message(impostor.answer(message), OTHER_LMA_ADDRESS, 0.1)
    assert gateway.discarded == {"no_binding": 1}


def test_message_from_no_lma_of_ours_is_discarded_unread(gateway: MobileAccessGateway) -> None:
    stranger = IPv6Address("2001:db8::bad")
    gateway.receive_message(b"\xff", stranger, 0.0)
    assert gateway.events() == [MessageDiscarded("unknown_peer", stranger)]


@pytest.mark.requirement("MH-01", "PBA-05")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data[:4] + bytes([data[4] ^ 1]) + data[5:], "bad_checksum"),
        (lambda data: data[:9], "truncated"),
    ],
    ids=["checksum", "cut off"],
)
def test_spoiled_message_is_counted_and_the_next_one_is_read(
    gateway: MobileAccessGateway, lma: FakeLma, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    """MH-01."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    good = lma.answer(message)
    gateway.receive_message(spoil(good), LMA_ADDRESS, 0.1)
    assert gateway.discarded == {reason: 1}
    gateway.receive_message(good, LMA_ADDRESS, 0.2)
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("MH-03", "MH-04", "MH-06", "MH-07")
def test_unknown_message_type_is_answered_with_a_limited_number_of_binding_errors(
    gateway: MobileAccessGateway,
) -> None:
    """MH-03, MH-04, MH-06, MH-07."""
    unknown = bytearray(mobility_header.encode(BindingError(2), LMA_ADDRESS, PROXY_CARE_OF_ADDRESS))
    unknown[2] = 99
    unknown[4:6] = bytes(2)
    unknown[4:6] = mobility_header.checksum(
        bytes(unknown), LMA_ADDRESS, PROXY_CARE_OF_ADDRESS
    ).to_bytes(2)
    for _ in range(100):
        gateway.receive_message(bytes(unknown), LMA_ADDRESS, 5.0)
    answers = gateway.messages_to_send(5.0, UTC)
    assert len(answers) == 10
    error = mobility_header.decode(answers[0].data, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
    assert error == BindingError(2, IPv6Address("::"))
    assert answers[0].destination == LMA_ADDRESS
    gateway.receive_message(bytes(unknown), LMA_ADDRESS, 5.5)
    assert len(gateway.messages_to_send(5.5, UTC)) == 1


def test_binding_error_of_the_lma_is_told_and_changes_nothing(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    error = mobility_header.encode(BindingError(2), LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    gateway.receive_message(error, LMA_ADDRESS, 1.0)
    assert gateway.events() == [BindingErrorReceived(LMA_ADDRESS, 2)]
    assert state(gateway) is RegistrationState.ACTIVE


def test_update_sent_to_us_is_no_business_of_a_gateway(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    reflected = mobility_header.encode(read_update(message), LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    gateway.receive_message(reflected, LMA_ADDRESS, 0.1)
    assert gateway.discarded == {"unexpected_type": 1}
