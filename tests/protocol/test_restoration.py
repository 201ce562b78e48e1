"""A gateway that starts again: what it goes on with, and what it says to whom."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from mag.protocol.attachment import HandoffHint
from mag.protocol.events import (
    AdvertisePrefixes,
    BindingLost,
    ForwardingInstalled,
    ForwardingResumed,
    ForwardingWanted,
    PeerRestarted,
    TunnelWanted,
)
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import SEQUENCE_BLOCK, SESSION_BLOCK, OrderingMarks
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.restoration import RememberedBinding, RestoredCounts
from mag.protocol.stored_binding import StoredBinding
from mag.wire import mobility_header
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import HandoffIndicator, HeartbeatFlag
from mag.wire.options import (
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    RestartCounterOption,
    TimestampOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN1_MAC,
    OTHER_LMA_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
)
from support.fake_lma import FakeLma, only_option, read_update

LIFETIME_S = 3600
MAX_BACKOFF_S = 32.0


class Store:
    """Keeps what a gateway says must outlast it, as a journal does."""

    def __init__(self) -> None:
        self.bindings: dict[int, StoredBinding] = {}
        self.marks: OrderingMarks | None = None
        self.lma_restart_counters: dict[IPv6Address, int] = {}

    def take(self, gateway: MobileAccessGateway, now: float) -> None:
        change = gateway.changes_to_store(now, UTC + now)
        for key, binding in change.bindings.items():
            if binding is None:
                self.bindings.pop(key, None)
            else:
                self.bindings[key] = binding
        self.marks = change.marks or self.marks
        self.lma_restart_counters |= change.lma_restart_counters

    def start_again(
        self,
        *,
        away_s: float = 1.0,
        unwanted: Iterable[int] = (),
        lma_address: IPv6Address | None = None,
        lma_settings: LmaSettings | None = None,
        **changes: object,
    ) -> tuple[MobileAccessGateway, RestoredCounts]:
        """A new process: its monotonic clock begins at 0, `away_s` after the old one's 0."""
        gateway = make_gateway(marks=self.marks, lma_settings=lma_settings, **changes)
        remembered = [
            RememberedBinding(
                binding,
                None
                if binding.binding_id in set(unwanted)
                else profile(binding.mn_id, lma_address=lma_address or binding.lma_address),
            )
            for binding in self.bindings.values()
        ]
        restoration = gateway.restore(remembered, self.lma_restart_counters, 0.0, UTC + away_s)
        assert len(list(restoration)) >= len(remembered)
        return gateway, restoration.counts


@pytest.fixture
def store() -> Store:
    return Store()


def served(store: Store, gateway: MobileAccessGateway, lma: FakeLma, count: int = 1) -> None:
    for number in range(count):
        mn_id = b"mn%d@example.net" % number
        establish(gateway, lma, mn_id=mn_id, where={"mac": bytes([2, 0, 0, 0, 1, number])})
    store.take(gateway, 0.0)


def drain(gateway: MobileAccessGateway, now: float, utc: float) -> list[bytes]:
    gateway.handle_timer(now)
    return [message.data for message in gateway.messages_to_send(now, utc)]


def test_served_binding_goes_on_without_a_word_to_the_lma(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma)
    (before,) = gateway.binding_update_list
    again, counts = store.start_again(away_s=5.0)
    assert counts == RestoredCounts(served=1)
    events = again.events()
    assert [type(event) for event in events] == [TunnelWanted, ForwardingWanted]
    assert drain(again, 0.0, UTC + 5) == []
    (entry,) = again.binding_update_list
    assert entry.binding_id == before.binding_id
    assert entry.home_network_prefixes == before.home_network_prefixes
    assert entry.expires_at == pytest.approx(before.expires_at - 5.0)
    assert entry.refresh_at == pytest.approx(before.refresh_at - 5.0)
    assert again.peers[LMA_ADDRESS].serving_bindings == 1
    assert not again.changes_to_store(0.0, UTC)


def test_bindings_are_restored_one_with_each_step_and_those_that_end_first_before_others(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """However many there are, whoever goes through the steps can stop and go on."""
    served(store, gateway, lma, count=4)
    early = store.bindings[3]
    store.bindings[3] = replace(early, expires_at=UTC + 1.0)
    again = make_gateway(marks=store.marks)
    remembered = [
        RememberedBinding(binding, profile(binding.mn_id)) for binding in store.bindings.values()
    ]
    steps = iter(again.restore(remembered, {}, 0.0, UTC + 2.0))
    next(steps)
    assert [event.binding.binding_id for event in of_type(again.events(), BindingLost)] == [3]
    assert len(again.binding_update_list) == 0
    next(steps)
    assert len(again.binding_update_list) == 1
    assert again.events() == []
    list(steps)
    assert len(of_type(again.events(), ForwardingWanted)) == 3


def test_refresh_of_a_proven_session_says_so(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """HI=5, and the prefixes of the session."""
    served(store, gateway, lma)
    again, _ = store.start_again(away_s=1.0)
    (entry,) = again.binding_update_list
    again.handle_timer(entry.refresh_at)
    (message,) = again.messages_to_send(entry.refresh_at, UTC + 3000)
    update = read_update(message)
    assert only_option(update, HandoffIndicatorOption).handoff_indicator == (
        HandoffIndicator.NOT_CHANGED
    )
    prefixes = tuple(option.prefix for option in update.all(HomeNetworkPrefixOption))
    assert prefixes == entry.home_network_prefixes


def test_node_that_knows_its_prefixes_is_told_again_without_haste(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """No storm of Router Advertisements, and no set-up time that never was."""
    served(store, gateway, lma)
    again, _ = store.start_again()
    again.events()
    (entry,) = again.binding_update_list
    again.forwarding_ready(entry.binding_id, 0.1)
    assert [type(event) for event in again.events()] == [ForwardingResumed]
    again.handle_timer(0.1 + again.settings.router_advertisement.min_interval_s)
    assert of_type(again.events(), AdvertisePrefixes)


def test_node_that_moves_after_the_start_is_told_at_once(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Its MAC shows up on another link: that is a move as any other."""
    establish(gateway, lma)
    store.take(gateway, 0.0)
    again, _ = store.start_again()
    (entry,) = again.binding_update_list
    again.attach(attachment(link="access2"), profile(), 0.2)
    again.events()
    again.forwarding_ready(entry.binding_id, 0.3)
    assert of_type(again.events(), ForwardingInstalled, AdvertisePrefixes)
    assert entry.attachment.access_interface == "access2"


@pytest.mark.requirement("SEQ-04")
def test_no_number_is_used_twice(store: Store, gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """Killed with every number of the block used, started with a clock that has not moved."""
    used_numbers, used_ticks = set(), set()
    for round_ in range(3):
        for number in range(SEQUENCE_BLOCK // 64):
            mn_id = b"mn%d-%d@example.net" % (round_, number)
            mac = bytes([2, 0, 0, 1, round_, number])
            gateway.attach(attachment(mac), profile(mn_id), 0.0)
        for message in gateway.messages_to_send(0.0, UTC):
            update = read_update(message)
            ticks = only_option(update, TimestampOption).ticks
            assert update.sequence not in used_numbers
            assert ticks not in used_ticks
            assert not used_ticks or ticks > max(used_ticks)
            used_numbers.add(update.sequence)
            used_ticks.add(ticks)
        store.take(gateway, 0.0)
        store.bindings.clear()
        gateway, _ = store.start_again(away_s=0.0)


def test_marks_move_a_block_at_a_time(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """A PBU costs a write only when it is the first of a block."""
    moved = 0
    for number in range(50):
        establish(
            gateway, lma, mn_id=b"mn%d" % number, where={"mac": bytes([2, 0, 0, 0, 2, number])}
        )
        moved += gateway.changes_to_store(0.0, UTC).marks is not None
    assert moved == 1


@pytest.mark.requirement("SEQ-04")
@pytest.mark.parametrize("killed_after", range(1, 2 * SESSION_BLOCK + 2))
def test_session_goes_on_beyond_all_its_numbers(
    store: Store, lma: FakeLma, killed_after: int
) -> None:
    """Without timestamps the session's number orders its PBUs, across a restart too."""
    gateway = make_gateway(timestamp_based_approach_in_use=False)
    gateway.attach(attachment(), profile(), 0.0)
    now, last = 0.0, 0
    for _ in range(killed_after):
        gateway.handle_timer(now)
        (message,) = gateway.messages_to_send(now, UTC + now)
        last = read_update(message).sequence
        store.take(gateway, now)
        now += MAX_BACKOFF_S
    again, _ = store.start_again(away_s=now, timestamp_based_approach_in_use=False)
    again.handle_timer(0.0)
    (message,) = again.messages_to_send(0.0, UTC + now)
    step = (read_update(message).sequence - last) % 2**16
    assert 1 <= step <= SESSION_BLOCK


def test_numbers_of_a_session_are_reserved_a_block_at_a_time(store: Store) -> None:
    """A PBU costs a write only when it is the first of a block."""
    gateway = make_gateway(timestamp_based_approach_in_use=False)
    gateway.attach(attachment(), profile(), 0.0)
    stored = []
    for number in range(3 * SESSION_BLOCK):
        now = number * MAX_BACKOFF_S
        gateway.handle_timer(now)
        assert len(gateway.messages_to_send(now, UTC + now)) == 1
        stored += gateway.changes_to_store(now, UTC + now).bindings.values()
    assert len(stored) == 3


@pytest.mark.requirement("BUL-13")
def test_expired_while_away_is_handled_first_and_lost(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma, count=3)
    store.bindings[3] = replace(store.bindings[3], expires_at=UTC - 1)
    again, counts = store.start_again()
    assert counts == RestoredCounts(served=2, expired=1)
    first, *rest = again.events()
    assert isinstance(first, BindingLost)
    assert (first.binding.binding_id, first.reason) == (3, LossReason.EXPIRED)
    assert len(of_type(rest, ForwardingWanted)) == 2
    assert again.changes_to_store(0.0, UTC).bindings == {3: None}


def test_overdue_refreshes_are_spread_and_none_is_late(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Away for most of the lifetime: every refresh is overdue, some end very soon."""
    served(store, gateway, lma, count=200)
    for key in range(1, 11):
        store.bindings[key] = replace(store.bindings[key], expires_at=UTC + 3000.2)
    pace = LmaSettings(updates_per_s=200)
    again, _ = store.start_again(away_s=3000.0, lma_settings=pace)
    due = {}
    now = 0.0
    while len(due) < 200:
        now = again.get_timer() or now
        again.handle_timer(now)
        for message in again.messages_to_send(now, UTC + 3000 + now):
            update = read_update(message)
            due[update.sequence] = now
            again.receive_message(lma.answer(message), lma.address, now)
    times = sorted(due.values())
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(199 / pace.updates_per_s)
    assert sum(moment <= 0.1 for moment in times) >= 10
    assert max(sum(a <= b < a + 0.1 for b in times) for a in times) <= 21


@pytest.mark.parametrize("hint", [HandoffHint.UNKNOWN, HandoffHint.BETWEEN_GATEWAYS])
def test_registration_without_an_answer_starts_again(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma, hint: HandoffHint
) -> None:
    gateway.attach(attachment(hint=hint), profile(), 0.0)
    gateway.messages_to_send(0.0, UTC)  # the answer never reaches this process
    store.take(gateway, 0.0)
    again, counts = store.start_again()
    assert counts == RestoredCounts(registering=1)
    again.handle_timer(0.0)
    assert lma.serve(again, 0.0) == 1
    claimed = only_option(lma.received[-1], HandoffIndicatorOption).handoff_indicator
    assert claimed == {HandoffHint.UNKNOWN: 4, HandoffHint.BETWEEN_GATEWAYS: 3}[hint]
    (entry,) = again.binding_update_list
    assert entry.state is RegistrationState.ACTIVE


def test_deregistration_goes_on_and_serves_until_it_is_answered(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.detach(binding_id, 1.0)
    gateway.messages_to_send(1.0, UTC + 1)
    store.take(gateway, 1.0)
    again, counts = store.start_again(away_s=2.0)
    assert counts == RestoredCounts(ended=1)
    assert of_type(again.events(), ForwardingWanted)
    (message,) = again.messages_to_send(0.0, UTC + 2)
    assert read_update(message).lifetime_s == 0
    again.receive_message(lma.answer(message), lma.address, 0.1)
    assert len(again.binding_update_list) == 0
    (lost,) = of_type(again.events(), BindingLost)
    assert lost.reason is LossReason.DETACHED  # type: ignore[attr-defined]


@pytest.mark.requirement("PBA-13")
def test_hold_is_still_the_operators_to_lift(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, status=152), lma.address, 0.1)
    store.take(gateway, 0.1)
    again, counts = store.start_again()
    assert counts == RestoredCounts(held=1)
    again.attach(attachment(), profile(), 1.0)
    assert drain(again, 1000.0, UTC) == []
    (entry,) = again.binding_update_list
    assert (entry.state, entry.last_status) == (RegistrationState.HELD, 152)
    assert entry.hold is not None


def test_what_is_no_longer_allowed_is_ended_with_the_lma(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma, count=2)
    again, counts = store.start_again(unwanted=[1])
    assert counts == RestoredCounts(served=1, ended=1)
    (message,) = again.messages_to_send(0.0, UTC)
    assert read_update(message).lifetime_s == 0


def test_node_of_another_lma_is_registered_there_after_it_has_left_the_first(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma)
    again, counts = store.start_again(lma_address=OTHER_LMA_ADDRESS)
    assert counts == RestoredCounts(ended=1)
    (message,) = again.messages_to_send(0.0, UTC)
    assert (message.destination, read_update(message).lifetime_s) == (LMA_ADDRESS, 0)
    again.receive_message(lma.answer(message), lma.address, 0.1)
    assert FakeLma(OTHER_LMA_ADDRESS).serve(again, 0.2) == 1


def test_binding_with_an_lma_that_is_no_longer_configured_is_forgotten(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma)
    elsewhere = IPv6Address("2001:db8:0:b::99")
    store.bindings[1] = replace(store.bindings[1], lma_address=elsewhere)
    again, counts = store.start_again()
    assert counts == RestoredCounts(ended=1)
    assert len(again.binding_update_list) == 0
    assert again.changes_to_store(0.0, UTC).bindings == {1: None}


@pytest.mark.requirement("BUL-13")
def test_clock_that_was_set_back_prolongs_no_lifetime(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma)
    again, _ = store.start_again(away_s=-86400.0)
    (entry,) = again.binding_update_list
    assert entry.expires_at == LIFETIME_S


def test_new_binding_gets_an_id_of_its_own(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    served(store, gateway, lma, count=2)
    again, _ = store.start_again()
    again.attach(attachment(MN1_MAC), profile(MN1), 0.0)
    assert sorted(entry.binding_id for entry in again.binding_update_list) == [1, 2, 3]


def test_lma_that_lost_its_bindings_while_we_were_away_is_found_out(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    def said(counter: int) -> bytes:
        flags = HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED
        heartbeat = Heartbeat(0, flags, (RestartCounterOption(counter),))
        ours = gateway.settings.proxy_care_of_address
        return mobility_header.encode(heartbeat, LMA_ADDRESS, ours)

    served(store, gateway, lma)
    gateway.receive_message(said(7), LMA_ADDRESS, 0.0)
    store.take(gateway, 0.0)
    again, _ = store.start_again()
    again.receive_message(said(7), LMA_ADDRESS, 1.0)
    assert not of_type(again.events(), PeerRestarted)
    again.receive_message(said(8), LMA_ADDRESS, 2.0)
    assert of_type(again.events(), PeerRestarted)


def leaving(store: Store, gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """The gateway stopped before it could take the binding back; the node has heard goodbye."""
    served(store, gateway, lma)
    gateway.peers[LMA_ADDRESS].updates.hold(100.0)
    gateway.clear(1, 0.0)
    gateway.finish(0.0)
    store.take(gateway, 0.0)


@pytest.mark.requirement("DEREG-10")
def test_node_that_heard_goodbye_and_is_there_again_is_told_of_its_router_at_once(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Its binding goes on under the same prefixes, and the node does not know it yet."""
    leaving(store, gateway, lma)
    again, counts = store.start_again()
    assert counts == RestoredCounts(ended=1)
    again.forwarding_ready(1, 0.1)
    (entry,) = again.binding_update_list
    again.attach(entry.attachment, entry.profile, 0.2)
    assert not of_type(again.events(), AdvertisePrefixes)
    lma.serve(again, 0.3, UTC + 1.0)
    (told,) = of_type(again.events(), AdvertisePrefixes)
    assert isinstance(told, AdvertisePrefixes)
    assert told.binding.binding_id == 1


def test_node_that_heard_goodbye_is_told_nothing_while_its_binding_is_ended(
    store: Store, gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    leaving(store, gateway, lma)
    again, _ = store.start_again()
    again.peers[LMA_ADDRESS].updates.hold(1000.0)
    again.forwarding_ready(1, 0.1)
    again.events()
    while (deadline := again.get_timer()) is not None and deadline < 900.0:
        again.handle_timer(deadline)
    assert not of_type(again.events(), AdvertisePrefixes)
