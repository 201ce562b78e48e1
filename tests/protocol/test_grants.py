"""RFC 5213 §6.9.1.2, RFC 6275 §11.7.3: what an acceptance may give, and what it may not take."""

from dataclasses import replace
from ipaddress import IPv6Network

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    BindingEstablished,
    BindingLost,
    BindingRejected,
    ForwardingUnwanted,
    ForwardingWanted,
    ProxyBindingUpdateSent,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason, RegistrationState
from mag.wire.options import (
    BindingRefreshAdviceOption,
    HomeNetworkPrefixOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    UTC,
    answer_with,
    attachment,
    establish,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, without_option


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
    (holder,) = gateway.binding_update_list.holders_of(taken[0])
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


@pytest.mark.requirement("PBA-25")
@pytest.mark.parametrize("status", [1, 2, 3, 4, 6, 127])
def test_every_status_below_128_accepts(
    gateway: MobileAccessGateway, lma: FakeLma, status: int
) -> None:
    """INT-11."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(gateway, lma, lambda pba: pba, status=status)
    events = gateway.events()
    assert of_type(events, BindingEstablished)
    assert of_type(events, ForwardingWanted)


@pytest.mark.requirement("PBA-38")
def test_refresh_advice_beyond_the_lifetime_changes_nothing(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 6275 §6.2.4: advice brings a refresh forward, never back."""
    gateway.attach(attachment(), profile(), now=0.0)
    answer_with(
        gateway,
        lma,
        lambda pba: replace(pba, options=(*pba.options, BindingRefreshAdviceOption(36000))),
    )
    assert gateway.get_timer() == pytest.approx(2880.0)
