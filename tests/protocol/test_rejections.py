"""RFC 5213 §6.9.1.2: what a refusal of the LMA means for the node and for the next request."""

from ipaddress import IPv6Network

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    BindingRejected,
    ForwardingUnwanted,
    ForwardingWanted,
    TunnelUnwanted,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire.options import (
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    TimestampOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    UTC,
    answer_with,
    attachment,
    establish,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, only_option, read_update, with_option


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
