"""RFC 5213 §6.9.1.2: which replies count, and what the others leave untouched."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    BindingErrorReceived,
    BindingEstablished,
    BindingLost,
    BindingRejected,
    ForwardingUnwanted,
    ForwardingWanted,
    MessageDiscarded,
    ProxyBindingUpdateSent,
    TunnelUnwanted,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason, RegistrationState
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.binding_error import BindingError
from mag.wire.iana import BindingAcknowledgementFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
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
    attachment,
    establish,
    of_type,
    profile,
)
from support.fake_lma import FakeLma, only_option, read_update, with_option, without_option

Change = Callable[[ProxyBindingAcknowledgement], ProxyBindingAcknowledgement]


def answer_with(
    gateway: MobileAccessGateway, lma: FakeLma, change: Change, status: int = 0
) -> None:
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, status=status, change=change), lma.address, 0.1)


def state(gateway: MobileAccessGateway) -> RegistrationState:
    (entry,) = gateway.binding_update_list
    return entry.state


@pytest.mark.requirement(
    "PBA-01", "PBA-02", "PBA-06", "PBA-08", "PBA-11", "ATT-23", "TS-08", "TS-11", "SEQ-09"
)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pba: replace(pba, flags=BindingAcknowledgementFlag(0)), "not_proxy"),
        (lambda pba: replace(pba, sequence=pba.sequence ^ 1), "unmatched"),
        (lambda pba: without_option(pba, MobileNodeIdentifierOption), "missing_mn_identifier"),
        (lambda pba: with_option(pba, MobileNodeIdentifierOption(b"x@y")), "no_binding"),
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
    ],
    ids=["HI", "ATT", "LL-id", "no HI", "no ATT", "no LL-id"],
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
    (lost,) = of_type(gateway.events(), BindingLost)
    assert lost.reason is LossReason.EXPIRED


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


# Rejections


@pytest.mark.requirement("PBA-22", "PBA-23", "RA-05")
def test_every_rejecting_status_denies_service(lma: FakeLma, gateway: MobileAccessGateway) -> None:
    """PBA-22, PBA-23, RA-05: no forwarding, no advertisement, for every code from 128 on."""
    for status in range(128, 256):
        mac = bytes([2, 0, 0, 0, 1, status])
        gateway.attach(attachment(mac), profile(b"node%d" % status), now=0.0)
        (message,) = gateway.messages_to_send(0.0, UTC)
        gateway.receive_message(lma.answer(message, status=status), LMA_ADDRESS, 0.1)
        events = gateway.events()
        (rejected,) = of_type(events, BindingRejected)
        assert rejected.status == status
        assert not of_type(events, ForwardingWanted, AdvertisePrefixes)
        assert rejected.binding.state in (RegistrationState.REJECTED, RegistrationState.HELD)
        assert (rejected.retry_in_s is None) == (rejected.binding.state is RegistrationState.HELD)


@pytest.mark.requirement("PBA-22", "PBA-23", "ND-13")
def test_rejected_refresh_takes_the_service_away(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-22, PBA-23, ND-13: the node, still there, is told."""
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    answer_with(gateway, lma, lambda pba: pba, status=128)
    events = gateway.events()
    kinds = (WithdrawPrefixes, ForwardingUnwanted, TunnelUnwanted)
    assert [type(event) for event in of_type(events, *kinds)] == list(kinds)
    assert state(gateway) is RegistrationState.REJECTED


def test_node_asks_for_its_old_prefix_after_a_passing_rejection(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """The next try is a registration, not a refresh, and keeps the node's addresses alive."""
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    answer_with(gateway, lma, lambda pba: pba, status=128)
    deadline = gateway.get_timer()
    assert deadline is not None
    gateway.handle_timer(deadline)
    (message,) = gateway.messages_to_send(deadline, UTC + deadline)
    update = read_update(message)
    assert only_option(update, HandoffIndicatorOption).handoff_indicator == 4
    assert only_option(update, HomeNetworkPrefixOption).prefix == lma.assigned[MN1][0]


@pytest.mark.requirement("PBA-20", "PBA-21")
@pytest.mark.parametrize("status", [155, 159])
def test_refused_prefixes_are_not_asked_for_again(
    gateway: MobileAccessGateway, lma: FakeLma, status: int
) -> None:
    """PBA-20, PBA-21, INT-25."""
    prefix = IPv6Network("2001:db8:77::/64")
    gateway.attach(attachment(), profile(home_network_prefixes=(prefix,)), now=0.0)
    answer_with(gateway, lma, lambda pba: pba, status=status)
    gateway.handle_timer(0.1)
    (message,) = gateway.messages_to_send(0.1, UTC + 0.1)
    asked = only_option(read_update(message), HomeNetworkPrefixOption).prefix
    assert asked == IPv6Network("::/0")


def test_prefixes_that_a_refresh_is_refused_for_are_given_up(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """INT-25: the set the LMA no longer knows is not asked for again."""
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    answer_with(gateway, lma, lambda pba: pba, status=159)
    gateway.handle_timer(2880.0)
    (message,) = gateway.messages_to_send(2880.0, UTC + 2880)
    asked = only_option(read_update(message), HomeNetworkPrefixOption).prefix
    assert asked == IPv6Network("::/0")


@pytest.mark.requirement("PBA-16", "PBA-17", "PBA-19", "TS-09")
def test_timestamp_lower_than_accepted_is_tried_again_with_a_newer_one(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-16, PBA-17, TS-09: the reply counts although it brings the LMA's clock."""
    gateway.attach(attachment(), profile(), now=0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    reply = lma.answer(
        first, status=157, change=lambda pba: with_option(pba, TimestampOption(2**60))
    )
    gateway.receive_message(reply, LMA_ADDRESS, 0.1)
    gateway.handle_timer(0.1)
    (second,) = gateway.messages_to_send(0.1, UTC + 0.1)
    ticks = [only_option(read_update(m), TimestampOption).ticks for m in (first, second)]
    assert ticks[0] < ticks[1] < 2**60  # PBA-19: our clock is not set from theirs


@pytest.mark.requirement("PBA-16")
def test_retry_after_rejections_backs_off(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """PBA-16: even the code that is answered at once is answered at once only once."""
    gateway.attach(attachment(), profile(), now=0.0)
    now, waits = 0.0, []
    for _ in range(7):
        (message,) = gateway.messages_to_send(now, UTC + now)
        gateway.receive_message(lma.answer(message, status=157), LMA_ADDRESS, now)
        deadline = gateway.get_timer()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        gateway.handle_timer(now)
    assert waits == pytest.approx([0, 4, 8, 16, 32, 32, 32])


@pytest.mark.requirement("PBA-14", "PBA-15")
def test_proxy_registration_not_enabled_is_final_until_cleared(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-14, PBA-15: no PBU, not even on a Router Solicitation."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, lambda pba: pba, status=152)
    (entry,) = gateway.binding_update_list
    gateway.attach(attachment(), profile(), now=10.0)
    gateway.router_solicited(entry.binding_id, now=10.0)
    assert gateway.get_timer() is None
    assert gateway.messages_to_send(3600.0, UTC) == []


@pytest.mark.requirement("PBA-13", "PBA-14")
def test_hold_outlives_the_nodes_absence(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """Leaving and coming back is no administrative action."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, lambda pba: pba, status=152)
    (entry,) = gateway.binding_update_list
    gateway.detach(entry.binding_id, now=10.0)
    gateway.attach(attachment(link="access2"), profile(), now=20.0)
    assert gateway.messages_to_send(20.0, UTC) == []
    gateway.clear(entry.binding_id, now=30.0)
    gateway.attach(attachment(link="access2"), profile(), now=31.0)
    assert lma.serve(gateway, 31.0) == 1


# Grants


@pytest.mark.requirement("PBA-29", "PBA-36", "PBA-37")
def test_shorter_grant_counts_from_the_moment_of_sending(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-29, PBA-36, PBA-37."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, lifetime_s=60), LMA_ADDRESS, 2.0)
    (entry,) = gateway.binding_update_list
    assert (entry.lifetime_s, entry.expires_at) == (60, 60.0)
    assert gateway.get_timer() == pytest.approx(48.0)


def test_longer_grant_is_cut_to_what_was_asked(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """INT-19."""
    gateway.attach(attachment(), profile(lifetime_s=40), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, lifetime_s=4000), LMA_ADDRESS, 0.1)
    (entry,) = gateway.binding_update_list
    assert entry.lifetime_s == 40


@pytest.mark.requirement("PBA-38")
def test_refresh_advice_brings_the_refresh_forward(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-38."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(
        gateway,
        lma,
        lambda pba: replace(pba, options=(*pba.options, BindingRefreshAdviceOption(1800))),
    )
    assert gateway.get_timer() == pytest.approx(1800.0)


@pytest.mark.parametrize(
    ("lifetime_s", "prefixes"),
    [
        (0, None),
        (3600, (IPv6Network("::/0"),)),
        (3600, (IPv6Network("fe80::/64"),)),
        (3600, (IPv6Network("ff0e::/64"),)),
        (3600, (IPv6Network("2001:db8:1::/64"), IPv6Network("::1/128"))),
        (3600, tuple(IPv6Network("2001:db8::/48").subnets(new_prefix=54))[:33]),
    ],
    ids=["no lifetime", "no prefix", "link-local", "multicast", "one of two", "too many"],
)
def test_acceptance_that_grants_nothing_usable_is_no_registration(
    gateway: MobileAccessGateway,
    lma: FakeLma,
    lifetime_s: int,
    prefixes: tuple[IPv6Network, ...] | None,
) -> None:
    """INT-19."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    reply = lma.answer(message, lifetime_s=lifetime_s, prefixes=prefixes)
    gateway.receive_message(reply, LMA_ADDRESS, 0.1)
    events = gateway.events()
    (rejected,) = of_type(events, BindingRejected)
    assert rejected.status is None
    assert rejected.retry_in_s is not None
    assert not of_type(events, ForwardingWanted, BindingEstablished)


def test_acceptance_without_a_prefix_option_is_no_registration(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, lambda pba: without_option(pba, HomeNetworkPrefixOption))
    assert state(gateway) is RegistrationState.REJECTED


def test_prefix_of_another_lma_is_not_taken_over(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """A node keeps its prefix whatever another LMA hands out."""
    establish(gateway, lma)
    taken = lma.assigned[MN1]
    gateway.attach(attachment(MN2_MAC), profile(MN2, lma_address=OTHER_LMA_ADDRESS), now=1.0)
    (message,) = gateway.messages_to_send(1.0, UTC + 1)
    thief = FakeLma(OTHER_LMA_ADDRESS)
    gateway.receive_message(thief.answer(message, prefixes=taken), OTHER_LMA_ADDRESS, 1.0)
    (rejected,) = of_type(gateway.events(), BindingRejected)
    assert rejected.binding.mn_id == MN2
    holder = gateway.binding_update_list.by_prefix(taken[0])
    assert holder is not None
    assert holder.mn_id == MN1


@pytest.mark.parametrize("length", [56, 64, 80])
def test_part_or_whole_of_a_held_prefix_is_not_taken_over_either(
    gateway: MobileAccessGateway, lma: FakeLma, length: int
) -> None:
    """The longest match would take the traffic, whatever the lengths."""
    establish(gateway, lma)
    (held,) = lma.assigned[MN1]
    overlapping = IPv6Network((held.network_address, length), strict=False)
    gateway.attach(attachment(MN2_MAC), profile(MN2, lma_address=OTHER_LMA_ADDRESS), now=1.0)
    (message,) = gateway.messages_to_send(1.0, UTC + 1)
    thief = FakeLma(OTHER_LMA_ADDRESS)
    reply = thief.answer(message, prefixes=(overlapping,))
    gateway.receive_message(reply, OTHER_LMA_ADDRESS, 1.0)
    assert of_type(gateway.events(), BindingRejected)
    assert [entry.is_serving for entry in gateway.binding_update_list] == [True, False]


def test_prefix_that_its_lma_gives_to_another_node_ends_the_first_binding(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """The LMA is the authority on its own prefixes; two nodes never share one."""
    establish(gateway, lma)
    taken = lma.assigned[MN1]
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=1.0)
    (message,) = gateway.messages_to_send(1.0, UTC + 1)
    gateway.receive_message(lma.answer(message, prefixes=taken), LMA_ADDRESS, 1.0)
    events = gateway.events()
    (lost,) = of_type(events, BindingLost)
    assert (lost.binding.mn_id, lost.reason) == (MN1, LossReason.SUPERSEDED)
    assert [type(event) for event in of_type(events, ForwardingUnwanted, ForwardingWanted)] == [
        ForwardingUnwanted,
        ForwardingWanted,
    ]
    assert not gateway.binding_update_list.by_mn_id(MN1)


@pytest.mark.requirement("RENUM-03", "PBA-29")
def test_refresh_that_changes_the_prefixes_redirects_forwarding(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RENUM-03, PBA-29."""
    binding_id = establish(gateway, lma)
    gateway.handle_timer(2880.0)
    (message,) = gateway.messages_to_send(2880.0, UTC + 2880)
    renumbered = (IPv6Network("2001:db8:99::/64"),)
    gateway.events()
    gateway.receive_message(lma.answer(message, prefixes=renumbered), LMA_ADDRESS, 2880.0)
    gateway.handle_timer(3500.0)  # an advertisement of the old prefixes would be due by now
    events = gateway.events()
    (wanted,) = of_type(events, ForwardingWanted)
    assert wanted.binding.home_network_prefixes == renumbered
    assert not of_type(events, AdvertisePrefixes)
    gateway.forwarding_ready(binding_id, 3500.1)
    (advertised,) = of_type(gateway.events(), AdvertisePrefixes)
    assert advertised.binding.home_network_prefixes == renumbered


def test_update_sent_events_tell_retransmissions(gateway: MobileAccessGateway) -> None:
    gateway.attach(attachment(), profile(), now=0.0)
    gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(1.0)
    gateway.messages_to_send(1.0, UTC + 1)
    attempts = [event.attempt for event in of_type(gateway.events(), ProxyBindingUpdateSent)]
    assert attempts == [1, 2]
    peer = gateway.peers[LMA_ADDRESS]
    assert (peer.sent.total(), peer.retransmitted.total()) == (1, 1)
