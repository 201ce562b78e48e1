"""Prefixes that end are taken back, three times, and never after they were given again."""

from ipaddress import IPv6Network

import pytest

from mag.protocol.events import AdvertisePrefixes, BindingLost, ForwardingWanted, WithdrawPrefixes
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from protocol.conftest import UTC, establish, of_type
from support.fake_lma import FakeLma

NEW = IPv6Network("2001:db8:100:77::/64")


def withdrawn(
    gateway: MobileAccessGateway, end: float
) -> list[tuple[float, tuple[IPv6Network, ...], bool]]:
    """Run the timers up to `end`: when what was withdrawn, and whether the router with it."""
    found = [(0.0, e.prefixes, e.ends_service) for e in _withdrawals(gateway)]
    while (deadline := gateway.get_timer()) is not None and deadline <= end:
        gateway.handle_timer(deadline)
        found += [(deadline, e.prefixes, e.ends_service) for e in _withdrawals(gateway)]
    return found


def _withdrawals(gateway: MobileAccessGateway) -> list[WithdrawPrefixes]:
    return [event for event in gateway.events() if isinstance(event, WithdrawPrefixes)]


def renumber(
    gateway: MobileAccessGateway, lma: FakeLma, prefixes: tuple[IPv6Network, ...], now: float
) -> None:
    """The node's binding is refreshed, and the LMA grants other prefixes."""
    (entry,) = gateway.binding_update_list
    gateway._machine.timer_due(entry, now)
    (message,) = gateway.messages_to_send(now, UTC + now)
    gateway.receive_message(lma.answer(message, prefixes=prefixes), lma.address, now)


@pytest.mark.requirement("RENUM-01", "RENUM-02", "RENUM-03", "ND-16")
def test_prefix_that_ends_in_mid_session_is_withdrawn_three_times_and_the_new_one_told(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    (entry,) = gateway.binding_update_list
    old = entry.home_network_prefixes
    renumber(gateway, lma, (NEW,), 100.0)
    events = gateway.events()
    (first,) = of_type(events, WithdrawPrefixes)
    assert isinstance(first, WithdrawPrefixes)
    assert (first.prefixes, first.ends_service) == (old, False)
    (wanted,) = of_type(events, ForwardingWanted)
    assert isinstance(wanted, ForwardingWanted)
    assert wanted.binding.home_network_prefixes == (NEW,)
    gateway.forwarding_ready(binding_id, 100.01)
    (told,) = of_type(gateway.events(), AdvertisePrefixes)
    assert isinstance(told, AdvertisePrefixes)
    assert told.binding.home_network_prefixes == (NEW,)
    assert withdrawn(gateway, 130.0) == [(103.0, old, False), (106.0, old, False)]


@pytest.mark.requirement("RENUM-01")
def test_prefix_that_comes_back_is_withdrawn_no_more(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    (entry,) = gateway.binding_update_list
    old = entry.home_network_prefixes
    renumber(gateway, lma, (NEW,), 100.0)
    gateway.forwarding_ready(binding_id, 100.01)
    renumber(gateway, lma, old, 101.0)
    gateway.forwarding_ready(binding_id, 101.01)
    gateway.events()
    assert withdrawn(gateway, 130.0) == [(104.0, (NEW,), False), (107.0, (NEW,), False)]


@pytest.mark.requirement("ND-13", "DEREG-10")
def test_end_of_service_is_told_three_times_although_the_binding_is_gone(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    (entry,) = gateway.binding_update_list
    prefixes = entry.home_network_prefixes
    gateway.clear(binding_id, 0.0)
    lma.serve(gateway, 0.0)
    assert withdrawn(gateway, 30.0) == [(at, prefixes, True) for at in (0.0, 3.0, 6.0)]
    assert len(gateway.binding_update_list) == 0


def test_node_that_has_service_again_is_told_nothing_more_of_its_end(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.clear(binding_id, 0.0)
    lma.serve(gateway, 0.0)
    assert of_type(gateway.events(), BindingLost)
    establish(gateway, lma, 1.0)
    assert withdrawn(gateway, 30.0) == []


@pytest.mark.requirement("RENUM-01")
def test_node_that_has_service_again_with_another_prefix_loses_the_old_one_only(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    (entry,) = gateway.binding_update_list
    old = entry.home_network_prefixes
    gateway.clear(binding_id, 0.0)
    lma.serve(gateway, 0.0)
    establish(gateway, lma, 1.0, home_network_prefixes=(NEW,))
    assert withdrawn(gateway, 30.0) == [(3.0, old, False), (6.0, old, False)]


def test_node_that_has_left_is_told_nothing(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    binding_id = establish(gateway, lma)
    renumber(gateway, lma, (NEW,), 1.0)
    gateway.events()
    gateway.detach(binding_id, 1.5)
    lma.serve(gateway, 1.5)
    assert withdrawn(gateway, 30.0) == []


@pytest.mark.requirement("ND-13")
def test_gateway_that_stops_says_all_that_is_left_at_once(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.clear(binding_id, 0.0)
    lma.serve(gateway, 0.0)
    gateway.finish(0.1)
    assert len(_withdrawals(gateway)) == 3
    assert gateway.get_timer() is None or not withdrawn(gateway, 30.0)


@pytest.mark.requirement("ND-13", "DEREG-10")
@pytest.mark.parametrize("has_left", [False, True], ids=["there", "left"])
def test_node_whose_deregistration_still_waits_when_the_gateway_stops_is_told_too(
    gateway: MobileAccessGateway, lma: FakeLma, has_left: bool
) -> None:
    """Its router goes all the same; the binding stays, for the next start to end."""
    binding_id = establish(gateway, lma)
    gateway.peers[lma.address].updates.hold(100.0)
    if has_left:
        gateway.detach(binding_id, 0.0)
    for _ in range(2):
        gateway.clear(binding_id, 0.0)
    gateway.events()
    gateway.finish(0.1)
    told = _withdrawals(gateway)
    assert len(told) == (0 if has_left else 3)
    assert all(each.ends_service for each in told)
    stored = gateway.changes_to_store(0.1, UTC).bindings[binding_id]
    assert stored is not None
    assert stored.state is RegistrationState.DEREGISTERING
