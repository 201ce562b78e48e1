"""RFC 5847: who is there, and who has lost its bindings."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.protocol.events import (
    BindingLost,
    PeerReachable,
    PeerRestarted,
    PeerUnreachable,
)
from mag.protocol.lma_peer import PeerState
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.settings import HeartbeatSettings
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import HeartbeatFlag
from mag.wire.options import HandoffIndicatorOption, RestartCounterOption
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
)
from support.fake_lma import FakeLma, only_option, read_update

OUR_COUNTER = 41
UNSOLICITED = HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED


@pytest.fixture
def gateway() -> MobileAccessGateway:
    return make_gateway(restart_counter=OUR_COUNTER)


def heartbeats(gateway: MobileAccessGateway, now: float) -> list[Heartbeat]:
    """Those that go out to the LMA now; everything else is dropped."""
    read = (
        mobility_header.decode(message.data, message.source, message.destination)
        for message in gateway.messages_to_send(now, UTC + now)
        if message.destination == LMA_ADDRESS
    )
    return [message for message in read if isinstance(message, Heartbeat)]


def hear(
    gateway: MobileAccessGateway,
    heartbeat: Heartbeat,
    now: float,
    source: IPv6Address = LMA_ADDRESS,
) -> None:
    data = mobility_header.encode(heartbeat, source, PROXY_CARE_OF_ADDRESS)
    gateway.receive_message(data, source, now)


def response(sequence: int, counter: int = 7) -> Heartbeat:
    return Heartbeat(sequence, HeartbeatFlag.RESPONSE, (RestartCounterOption(counter),))


def started(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """In service with one binding, the LMA has answered the first heartbeat."""
    gateway.begin(0.0)
    gateway.messages_to_send(0.0, UTC)
    establish(gateway, lma)
    gateway.handle_timer(60.0)
    (request,) = heartbeats(gateway, 60.0)
    hear(gateway, response(request.sequence), 60.0)
    gateway.events()


def test_request_is_answered_whether_there_are_bindings_or_not(
    gateway: MobileAccessGateway,
) -> None:
    """HB-01, HB-06."""
    hear(gateway, Heartbeat(17), 1.0)
    assert heartbeats(gateway, 1.0) == [response(17, OUR_COUNTER)]


def test_start_without_bindings_is_told_to_every_lma(gateway: MobileAccessGateway) -> None:
    """HB-08."""
    gateway.begin(0.0)
    messages = gateway.messages_to_send(0.0, UTC)
    assert {message.destination for message in messages} == {LMA_ADDRESS, OTHER_LMA_ADDRESS}
    for message in messages:
        told = mobility_header.decode(message.data, message.source, message.destination)
        assert isinstance(told, Heartbeat)
        assert told.flags == UNSOLICITED
        assert told.options == (RestartCounterOption(OUR_COUNTER),)


def test_lma_without_bindings_of_ours_is_left_alone(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """HB-02: silence before the first binding and after the last."""
    gateway.begin(0.0)
    gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(60.0)
    assert heartbeats(gateway, 60.0) == []
    binding_id = establish(gateway, lma, now=61.0)
    gateway.handle_timer(120.0)
    assert len(heartbeats(gateway, 120.0)) == 1
    gateway.detach(binding_id, now=121.0)
    lma.serve(gateway, 121.0)
    gateway.handle_timer(180.0)
    assert heartbeats(gateway, 180.0) == []


def test_sequence_numbers_rise_and_a_stale_response_does_not_count(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """HB-03."""
    started(gateway, lma)
    gateway.handle_timer(120.0)
    (second,) = heartbeats(gateway, 120.0)
    assert second.sequence == 2
    hear(gateway, response(1), 120.1)
    assert gateway.discarded == {"unmatched": 1}
    assert gateway.peers[LMA_ADDRESS].liveness.is_awaiting


def test_lma_that_falls_silent_is_unreachable_after_the_fourth_miss_and_keeps_its_bindings(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """HB-04."""
    started(gateway, lma)
    for beat in range(2, 6):
        gateway.handle_timer(60.0 * beat)
        heartbeats(gateway, 60.0 * beat)
        assert not of_type(gateway.events(), PeerUnreachable)
    gateway.handle_timer(360.0)
    events = gateway.events()
    assert of_type(events, PeerUnreachable) == [PeerUnreachable(LMA_ADDRESS, 4)]
    assert not of_type(events, BindingLost)
    (request,) = heartbeats(gateway, 360.0)
    hear(gateway, response(request.sequence), 361.0)
    assert of_type(gateway.events(), PeerReachable) == [PeerReachable(LMA_ADDRESS)]
    assert gateway.peers[LMA_ADDRESS].liveness.missed == 0


def test_lma_that_never_answered_is_not_reported_lost(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """It may not know heartbeats at all; nobody is to be woken for that."""
    gateway.begin(0.0)
    gateway.messages_to_send(0.0, UTC)
    establish(gateway, lma)
    for beat in range(1, 20):
        gateway.handle_timer(60.0 * beat)
        heartbeats(gateway, 60.0 * beat)
    assert not of_type(gateway.events(), PeerUnreachable)
    assert gateway.peers[LMA_ADDRESS].liveness.state is PeerState.UNKNOWN


@pytest.mark.requirement("MH-20")
def test_binding_error_ends_heartbeats_to_that_lma(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """HB-09, MH-20."""
    gateway.begin(0.0)
    gateway.messages_to_send(0.0, UTC)
    establish(gateway, lma)
    error = mobility_header.encode(BindingError(2), LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    gateway.receive_message(error, LMA_ADDRESS, 0.1)
    for beat in range(1, 4):
        gateway.handle_timer(60.0 * beat)
        assert heartbeats(gateway, 60.0 * beat) == []
    hear(gateway, Heartbeat(5), 200.0)
    assert len(heartbeats(gateway, 200.0)) == 1  # what it asks is answered all the same


def test_forged_binding_error_cannot_blind_us_to_an_lma_that_answers(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    started(gateway, lma)
    error = mobility_header.encode(BindingError(2), LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    gateway.receive_message(error, LMA_ADDRESS, 61.0)
    gateway.handle_timer(120.0)
    assert len(heartbeats(gateway, 120.0)) == 1


@pytest.mark.parametrize("is_told_unasked", [False, True])
def test_restarted_lma_gets_all_its_bindings_again_evenly(
    lma: FakeLma, is_told_unasked: bool
) -> None:
    """HB-07, INT-08: and those of other LMAs are left alone."""
    gateway = make_gateway(lma_settings=LmaSettings(updates_per_s=10))
    started(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=61.0)
    lma.serve(gateway, 61.0)
    other = FakeLma(OTHER_LMA_ADDRESS, IPv6Network("2001:db8:200::/48"))
    far = bytes.fromhex("020000000077")
    gateway.attach(attachment(far), profile(b"far@x", lma_address=OTHER_LMA_ADDRESS), now=62.0)
    other.serve(gateway, 62.0)
    if is_told_unasked:
        hear(gateway, Heartbeat(0, UNSOLICITED, (RestartCounterOption(8),)), 100.0)
    else:
        gateway.handle_timer(120.0)
        (request,) = heartbeats(gateway, 120.0)
        hear(gateway, response(request.sequence, counter=8), 120.0)
    now = 100.0 if is_told_unasked else 120.0
    assert of_type(gateway.events(), PeerRestarted) == [PeerRestarted(LMA_ADDRESS, 2)]
    gateway.handle_timer(now)
    (first,) = gateway.messages_to_send(now, UTC + now)
    update = read_update(first)
    assert isinstance(update, ProxyBindingUpdate)
    assert only_option(update, HandoffIndicatorOption).handoff_indicator == 5
    gateway.handle_timer(now + 0.1)
    assert [m.destination for m in gateway.messages_to_send(now + 0.1, UTC)] == [LMA_ADDRESS]


def test_same_counter_is_no_restart(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """HB-07."""
    started(gateway, lma)
    hear(gateway, Heartbeat(0, UNSOLICITED, (RestartCounterOption(7),)), 100.0)
    hear(gateway, Heartbeat(0, UNSOLICITED), 101.0)
    assert gateway.events() == []
    assert gateway.messages_to_send(101.0, UTC) == []  # an unsolicited one is not answered


def test_heartbeats_can_be_left_out_and_are_answered_all_the_same(lma: FakeLma) -> None:
    gateway = make_gateway(heartbeat=HeartbeatSettings(is_enabled=False))
    gateway.begin(0.0)
    establish(gateway, lma)
    gateway.handle_timer(600.0)
    assert heartbeats(gateway, 600.0) == []
    hear(gateway, Heartbeat(3), 601.0)
    assert len(heartbeats(gateway, 601.0)) == 1
