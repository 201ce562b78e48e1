"""When Router Advertisements go out, asked for or not (RFC 5213 §6.9.2, RFC 4861 §6.2)."""

from ipaddress import IPv6Address
from itertools import pairwise

import pytest

from mag.protocol.events import AdvertisePrefixes
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.settings import RouterAdvertisementSettings
from protocol.conftest import UTC, attachment, establish, make_gateway, of_type, profile
from support.fake_lma import FakeLma

NODE_ADDRESS = IPv6Address("fe80::77")


@pytest.mark.requirement("RA-02", "RA-04", "HNE-06")
def test_solicitation_before_registration_is_answered_by_the_first_advertisement(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RA-04, HNE-06."""
    gateway.attach(attachment(), profile(), now=0.0)
    (entry,) = gateway.binding_update_list
    gateway.router_solicited(entry.binding_id, now=0.1)
    gateway.handle_timer(0.9)
    assert not of_type(gateway.events(), AdvertisePrefixes)
    lma.serve(gateway, 0.95)
    gateway.forwarding_ready(entry.binding_id, now=0.96)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("RA-03", "ND-04", "ND-05")
def test_solicitations_of_a_served_node_are_answered_once_within_half_a_second(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RA-03, ND-04, ND-05."""
    binding_id = establish(gateway, lma)
    for hundredth in range(10):
        gateway.router_solicited(binding_id, now=5.0 + hundredth / 100)
    gateway.handle_timer(5.6)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-06")
def test_solicitation_is_answered_at_the_address_that_it_came_from(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """ND-06, INT-17: no need to wait since the last one to all nodes, and soon enough for DAD."""
    binding_id = establish(gateway, lma)
    gateway.router_solicited(binding_id, now=0.1, source=NODE_ADDRESS)
    gateway.router_solicited(binding_id, now=0.2, source=IPv6Address("::"))
    gateway.handle_timer(0.7)
    (answer,) = of_type(gateway.events(), AdvertisePrefixes)
    assert answer.node_address == NODE_ADDRESS
    gateway.handle_timer(20.0)
    (unsolicited,) = of_type(gateway.events(), AdvertisePrefixes)
    assert unsolicited.node_address is None


@pytest.mark.requirement("ND-05")
@pytest.mark.parametrize("source", [None, IPv6Address("::")])
def test_advertisements_to_all_nodes_are_three_seconds_apart(
    gateway: MobileAccessGateway, lma: FakeLma, source: IPv6Address | None
) -> None:
    """ND-05: ten solicitations in a second, from a node that has no address yet."""
    binding_id = establish(gateway, lma)
    for tenth in range(1, 11):
        gateway.router_solicited(binding_id, now=tenth / 10, source=source)
    gateway.handle_timer(2.99)
    assert not of_type(gateway.events(), AdvertisePrefixes)
    gateway.handle_timer(3.5)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-05")
def test_changed_values_are_told_three_seconds_after_the_last_advertisement(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """ND-05: two reloads at once."""
    binding_id = establish(gateway, lma)
    gateway.advertise_again(binding_id, now=10.0)
    gateway.handle_timer(10.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1
    gateway.advertise_again(binding_id, now=10.1)
    gateway.handle_timer(12.9)
    assert not of_type(gateway.events(), AdvertisePrefixes)
    gateway.handle_timer(13.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-05")
def test_node_that_moved_waits_for_no_distance_from_an_advertisement_on_another_link(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 6275 §7.5: its packets wait for this one."""
    binding_id = establish(gateway, lma)
    gateway.attach(attachment(link="access2"), profile(), now=1.0)
    lma.serve(gateway, 1.0)
    gateway.forwarding_ready(binding_id, now=1.0)
    assert len(of_type(gateway.events(), AdvertisePrefixes)) == 1


@pytest.mark.requirement("ND-07", "ND-08")
def test_unsolicited_advertisements_begin_close_together_and_go_on_at_random(
    lma: FakeLma,
) -> None:
    """ND-07, ND-08."""
    gateway = make_gateway(
        router_advertisement=RouterAdvertisementSettings(max_interval_s=100, min_interval_s=50),
        lifetime_s=4000,
    )
    establish(gateway, lma)
    moments, now = [0.0], 0.0
    while (deadline := gateway.get_timer()) is not None and deadline < 1000:
        now = deadline
        gateway.handle_timer(now)
        moments += [now for _ in of_type(gateway.events(), AdvertisePrefixes)]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:2] == [16.0, 16.0]
    assert all(50 <= gap <= 100 for gap in gaps[2:])
    assert len(set(gaps[2:])) > 5


def test_no_advertisement_while_the_binding_is_being_ended(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.clear(binding_id, now=15.5)
    gateway.messages_to_send(15.5, UTC)
    gateway.handle_timer(16.2)
    assert not of_type(gateway.events(), AdvertisePrefixes)
