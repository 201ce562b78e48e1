"""No binding is extended for a node that is not there (RFC 5213 §6.9.4, §6.13)."""

from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from mag.protocol.events import BindingLost, Event, ForwardingUnwanted, ProbeNode
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason, RegistrationState
from protocol.conftest import (
    MN1,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, read_update

LINK_LOCAL = IPv6Address("fe80::5eff:fe10:1")
TEMPORARY = IPv6Address("2001:db8:100:1:dead:beef:1:2")
LIFETIME_S = 100
REFRESH_AT = 80.0


@pytest.fixture
def gateway() -> MobileAccessGateway:
    """Nodes on access1 are asked for, five times at most."""
    return make_gateway(lifetime_s=LIFETIME_S, solicitations_by_link={"access1": 5})


def until(gateway: MobileAccessGateway, end: float) -> list[tuple[float, Event]]:
    """Run the timers up to `end`; every event and when it happened."""
    seen: list[tuple[float, Event]] = []
    while (deadline := gateway.get_timer()) is not None and deadline <= end:
        gateway.handle_timer(deadline)
        seen += [(deadline, event) for event in gateway.events()]
    return seen


def probes(seen: list[tuple[float, Event]]) -> list[float]:
    return [at for at, event in seen if isinstance(event, ProbeNode)]


@pytest.mark.requirement("DETACH-01", "DETACH-07", "ND-17")
def test_refresh_waits_until_the_node_has_answered(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.node_heard(binding_id, LINK_LOCAL, 0.5)
    gateway.handle_timer(REFRESH_AT)
    (probe,) = of_type(gateway.events(), ProbeNode)
    assert isinstance(probe, ProbeNode)
    assert (probe.node_address, probe.attempt) == (LINK_LOCAL, 1)
    assert gateway.messages_to_send(REFRESH_AT, UTC) == []
    gateway.node_heard(binding_id, LINK_LOCAL, REFRESH_AT + 0.01)
    (message,) = gateway.messages_to_send(REFRESH_AT + 0.01, UTC)
    assert read_update(message).lifetime_s == LIFETIME_S


@pytest.mark.requirement("DETACH-02", "DETACH-03", "DETACH-04", "DETACH-07", "ND-17")
def test_node_that_never_answers_is_deregistered_and_forgotten(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Three solicitations a second apart (RFC 4861 §10), then more slowly (RFC 7048 §3)."""
    establish(gateway, lma)
    seen = until(gateway, REFRESH_AT + 15.0)
    assert probes(seen) == [REFRESH_AT + wait for wait in (0.0, 1.0, 2.0, 3.0, 6.0)]
    assert state(gateway) is RegistrationState.DEREGISTERING
    (message,) = gateway.messages_to_send(REFRESH_AT + 15.0, UTC)
    assert read_update(message).lifetime_s == 0
    gateway.receive_message(lma.answer(message), lma.address, REFRESH_AT + 15.1)
    events = gateway.events()
    (lost,) = of_type(events, BindingLost)
    assert isinstance(lost, BindingLost)
    assert lost.reason is LossReason.ABSENT
    assert of_type(events, ForwardingUnwanted)
    assert len(gateway.binding_update_list) == 0


@pytest.mark.requirement("RTX-05")
def test_retransmission_waits_until_the_node_has_answered(gateway: MobileAccessGateway) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    assert len(gateway.messages_to_send(0.0, UTC)) == 1
    gateway.handle_timer(1.0)
    assert gateway.messages_to_send(1.0, UTC) == []
    (entry,) = gateway.binding_update_list
    gateway.node_heard(entry.binding_id, LINK_LOCAL, 1.003)
    assert len(gateway.messages_to_send(1.003, UTC)) == 1


@pytest.mark.requirement("RTX-05", "DETACH-03")
def test_node_that_left_while_the_lma_was_silent_is_asked_for_no_more_lifetime(
    gateway: MobileAccessGateway,
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    gateway.messages_to_send(0.0, UTC)
    lifetimes = []
    while (deadline := gateway.get_timer()) is not None:
        gateway.handle_timer(deadline)
        messages = gateway.messages_to_send(deadline, UTC + deadline)
        lifetimes += [read_update(message).lifetime_s for message in messages]
        gateway.events()
    assert lifetimes == [0]
    assert deadline is None


@pytest.mark.requirement("RTX-05")
def test_sign_of_life_just_before_saves_the_question(gateway: MobileAccessGateway) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    gateway.messages_to_send(0.0, UTC)
    (entry,) = gateway.binding_update_list
    gateway.node_heard(entry.binding_id, LINK_LOCAL, 0.9)
    gateway.handle_timer(1.0)
    assert len(gateway.messages_to_send(1.0, UTC)) == 1
    assert not of_type(gateway.events(), ProbeNode)


def test_late_answer_of_a_sleeping_node_keeps_its_service(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    until(gateway, REFRESH_AT + 14.0)
    gateway.node_heard(binding_id, LINK_LOCAL, REFRESH_AT + 14.0)
    assert lma.serve(gateway, REFRESH_AT + 14.0) == 1
    assert state(gateway) is RegistrationState.ACTIVE
    assert not probes(until(gateway, REFRESH_AT + 20.0))


@pytest.mark.requirement("DETACH-02")
def test_node_that_cannot_be_asked_is_not_extended_and_not_given_up_before_its_time(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """The packet path is away: nothing can be told, so the lifetime decides."""
    binding_id = establish(gateway, lma)
    reasons = []
    while (deadline := gateway.get_timer()) is not None and deadline <= LIFETIME_S + 1:
        gateway.handle_timer(deadline)
        for event in gateway.events():
            if isinstance(event, ProbeNode):
                gateway.probe_not_sent(binding_id)
            if isinstance(event, BindingLost):
                reasons.append((deadline, event.reason))
        assert gateway.messages_to_send(deadline, UTC) == []
    assert reasons == [(LIFETIME_S, LossReason.EXPIRED)]


def test_node_without_service_that_cannot_be_asked_is_given_up(
    gateway: MobileAccessGateway,
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    gateway.messages_to_send(0.0, UTC)
    (entry,) = gateway.binding_update_list
    for _ in range(20):
        deadline = gateway.get_timer()
        if deadline is None:
            break
        gateway.handle_timer(deadline)
        gateway.probe_not_sent(entry.binding_id)
        gateway.messages_to_send(deadline, UTC)
    assert len(gateway.binding_update_list) == 0


@pytest.mark.requirement("DETACH-09")
def test_nobody_is_asked_on_links_whose_access_network_tells(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma, where={"link": "access2"})
    gateway.handle_timer(REFRESH_AT)
    assert not of_type(gateway.events(), ProbeNode)
    assert len(gateway.messages_to_send(REFRESH_AT, UTC)) == 1


@pytest.mark.requirement("RTX-05")
def test_acceptance_while_the_node_is_asked_for_ends_the_question(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(1.0)
    gateway.receive_message(lma.answer(message), lma.address, 1.2)
    gateway.events()
    assert not probes(until(gateway, 70.0))
    assert state(gateway) is RegistrationState.ACTIVE


@pytest.mark.requirement("DETACH-01")
def test_bindings_of_a_restarted_lma_are_extended_for_nodes_that_are_there(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    (entry,) = gateway.binding_update_list
    gateway._register_again(gateway.peers[entry.lma_address], 50.0)
    assert probes(until(gateway, 50.0)) == [50.0]
    gateway.node_heard(binding_id, None, 50.01)
    assert len(gateway.messages_to_send(50.01, UTC)) == 1


def test_link_local_address_is_preferred_over_one_that_may_be_temporary(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma, mn_id=MN1)
    (entry,) = gateway.binding_update_list
    for heard, kept in (
        (IPv6Address("::"), None),
        (TEMPORARY, TEMPORARY),
        (LINK_LOCAL, LINK_LOCAL),
        (TEMPORARY, LINK_LOCAL),
        (IPv6Address("ff02::16"), LINK_LOCAL),
    ):
        gateway.node_heard(binding_id, heard, 1.0)
        assert entry.node_address == kept


@pytest.mark.requirement("ND-18")
def test_word_of_the_access_network_is_no_answer(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 4861 §7.3.3: it may take reachability away, not confirm it."""
    establish(gateway, lma)
    assert probes(until(gateway, REFRESH_AT)) == [REFRESH_AT]
    gateway.attach(attachment(), profile(), REFRESH_AT + 0.1)
    assert gateway.messages_to_send(REFRESH_AT + 0.1, UTC) == []
    assert probes(until(gateway, REFRESH_AT + 1.0)) == [REFRESH_AT + 1.0]


@pytest.mark.requirement("DETACH-09")
def test_way_of_telling_can_change_while_the_gateway_runs(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    lmas = {address: peer.settings for address, peer in gateway.peers.items()}
    gateway.reconfigure(replace(gateway.settings, solicitations_by_link={}), lmas, 1.0)
    gateway.handle_timer(REFRESH_AT)
    assert len(gateway.messages_to_send(REFRESH_AT, UTC)) == 1
