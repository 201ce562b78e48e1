"""The token bucket of each LMA: all PBUs to it, in order, without loss (INT-08)."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag.protocol.attachment import HandoffHint
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.update_lane import URGENT_IN_A_ROW, UpdateLane
from mag.wire.options import MobileNodeIdentifierOption, TimestampOption
from protocol.conftest import (
    LMA_ADDRESS,
    OTHER_LMA_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    profile,
    settings,
)
from support.fake_lma import FakeLma, only_option, read_update

pytestmark = pytest.mark.requirement("RTX-11")

SLOW = LmaSettings(updates_per_s=10, update_burst=2)
LIFETIME_S = 3600


def name(number: int) -> bytes:
    return b"node%d@example.net" % number


def attach(gateway: MobileAccessGateway, *numbers: int, now: float = 0.0, **who: object) -> None:
    for number in numbers:
        where = attachment(mac=bytes([2, 0, 0, 0, 2, number]))
        gateway.attach(where, profile(name(number), **who), now)


def named(messages: list[OutgoingMessage]) -> list[bytes]:
    """Whose PBUs these are."""
    options = (only_option(read_update(each), MobileNodeIdentifierOption) for each in messages)
    return [option.identifier for option in options]


def run(gateway: MobileAccessGateway, until: float) -> Iterator[tuple[float, OutgoingMessage]]:
    """What leaves and when, with time passing from one deadline to the next."""
    while (now := gateway.get_timer()) is not None and now <= until:
        gateway.handle_timer(now)
        for message in gateway.messages_to_send(now, UTC + now):
            yield now, message
        gateway.events()


def serve(gateway: MobileAccessGateway, lma: FakeLma, until: float) -> None:
    """The LMA answers everything at once."""
    for now, message in run(gateway, until):
        gateway.receive_message(lma.answer(message), lma.address, now)


@pytest.fixture
def slow() -> MobileAccessGateway:
    return make_gateway(lma_settings=SLOW)


@pytest.fixture
def lma() -> FakeLma:
    return FakeLma(LMA_ADDRESS)


def test_burst_goes_at_once_and_the_rest_in_order_at_the_pace(slow: MobileAccessGateway) -> None:
    attach(slow, *range(5))
    assert named(slow.messages_to_send(0.0, UTC)) == [name(0), name(1)]
    assert len(slow.peers[LMA_ADDRESS].updates) == 3
    assert slow.get_timer() == pytest.approx(0.1)
    later = list(run(slow, 0.35))
    assert named([message for _, message in later]) == [name(2), name(3), name(4)]
    assert [now for now, _ in later] == pytest.approx([0.1, 0.2, 0.3])
    assert len(slow.peers[LMA_ADDRESS].updates) == 0
    assert slow.get_timer() == 1.0  # the first retransmission


def test_timestamp_and_retransmission_count_from_when_it_leaves(slow: MobileAccessGateway) -> None:
    """§6.9.4: however long it has waited."""
    attach(slow, 0, 1, 2)
    slow.messages_to_send(0.0, UTC)
    (third,) = (message for _, message in run(slow, 0.15))
    ticks = only_option(read_update(third), TimestampOption).ticks
    assert ticks / 65536 == pytest.approx(UTC + 0.1)
    times = [now for now, message in run(slow, 1.2) if named([message]) == [name(2)]]
    assert times == pytest.approx([1.1])


def test_retransmissions_count_as_well(slow: MobileAccessGateway) -> None:
    attach(slow, *range(10))
    times = [0.0 for _ in slow.messages_to_send(0.0, UTC)]
    times += [now for now, _ in run(slow, 20.0)]
    assert len(times) > 40
    for index, start in enumerate(times):
        for count, end in enumerate(times[index:], start=1):
            assert count <= 2 + 10 * (end - start) + 1e-3


def test_other_lma_does_not_wait(slow: MobileAccessGateway) -> None:
    attach(slow, *range(5))
    attach(slow, 9, lma_address=OTHER_LMA_ADDRESS)
    assert name(9) in named(slow.messages_to_send(0.0, UTC))


def test_newcomer_overtakes_a_mass_refresh(lma: FakeLma) -> None:
    gateway = make_gateway()
    for number in range(50):
        establish(gateway, lma, mn_id=name(number), where={"mac": bytes([2, 0, 0, 0, 2, number])})
    gateway.reconfigure(settings(), {LMA_ADDRESS: SLOW, OTHER_LMA_ADDRESS: SLOW}, 10.0)
    gateway.handle_timer(0.8 * LIFETIME_S)
    due = 0.8 * LIFETIME_S
    assert len(gateway.messages_to_send(due, UTC + due)) == 2
    assert len(gateway.peers[LMA_ADDRESS].updates) == 48
    attach(gateway, 77, now=due)
    (leaver,) = gateway.binding_update_list.by_mn_id(name(40))
    gateway.detach(leaver.binding_id, due)
    first, second, third = (message for _, message in run(gateway, due + 0.35))
    assert named([first, second]) == [name(77), name(40)]
    assert [read_update(each).lifetime_s for each in (first, second)] == [LIFETIME_S, 0]
    assert named([third]) == [name(2)]  # and the refreshes go on in their order
    assert len(gateway.peers[LMA_ADDRESS].updates) == 46


def test_refreshes_go_on_while_newcomers_storm(lma: FakeLma) -> None:
    """Those who have service do not lose it to those who come."""
    gateway = make_gateway(lma_settings=LmaSettings(updates_per_s=10, update_burst=1))
    for number in range(2):
        establish(
            gateway,
            lma,
            now=number * 0.2,
            mn_id=name(number),
            where={"mac": bytes([2, 0, 0, 0, 2, number])},
        )
    due = 0.8 * LIFETIME_S + 1.0
    attach(gateway, *range(100, 120), now=due)
    gateway.handle_timer(due)
    left = named([message for _, message in run(gateway, due + 0.95)])
    assert [left.index(name(number)) + 1 for number in range(2)] == [
        URGENT_IN_A_ROW + 1,
        2 * (URGENT_IN_A_ROW + 1),
    ]


def test_what_waits_is_sent_once_and_as_it_is_by_then(slow: MobileAccessGateway) -> None:
    """A node that leaves while its registration waits is de-registered, with one PBU."""
    attach(slow, *range(4))
    slow.messages_to_send(0.0, UTC)
    (entry,) = slow.binding_update_list.by_mn_id(name(3))
    slow.detach(entry.binding_id, 0.05)
    messages = [message for _, message in run(slow, 0.95)]
    assert named(messages) == [name(2), name(3)]
    assert read_update(messages[1]).lifetime_s == 0


def test_binding_that_goes_while_it_waits_leaves_nothing_behind(lma: FakeLma) -> None:
    gateway = make_gateway(lma_settings=LmaSettings(updates_per_s=1, update_burst=1))
    binding_id = establish(gateway, lma)
    gateway.peers[LMA_ADDRESS].updates.hold(2 * LIFETIME_S)
    attach(gateway, *range(3), now=1.0)
    gateway.detach(binding_id, 1.0)
    assert len(gateway.peers[LMA_ADDRESS].updates) == 4
    gateway.handle_timer(LIFETIME_S + 1.0)
    assert gateway.binding_update_list.by_id(binding_id) is None
    assert len(gateway.peers[LMA_ADDRESS].updates) == 3
    assert named(gateway.messages_to_send(2 * LIFETIME_S, UTC)) == [name(0)]


@pytest.mark.requirement("DEREG-02")
def test_operator_who_clears_twice_does_not_keep_it_from_the_lma(lma: FakeLma) -> None:
    """The binding goes when the LMA has been told, however long that had to wait."""
    gateway = make_gateway(lma_settings=LmaSettings(updates_per_s=1, update_burst=1))
    binding_id = establish(gateway, lma)
    attach(gateway, 0, now=1.0)
    assert gateway.messages_to_send(1.0, UTC)
    for _ in range(2):
        gateway.clear(binding_id, 1.0)
    assert gateway.messages_to_send(1.0, UTC) == []
    (message,) = gateway.messages_to_send(2.0, UTC)
    assert read_update(message).lifetime_s == 0
    gateway.clear(binding_id, 2.0)  # the LMA does not answer: the operator gives up
    assert gateway.binding_update_list.by_id(binding_id) is None


def test_another_pace_holds_at_once_for_those_that_wait(slow: MobileAccessGateway) -> None:
    attach(slow, *range(12))
    slow.messages_to_send(0.0, UTC)
    pace = LmaSettings(updates_per_s=100, update_burst=1)
    slow.reconfigure(settings(), {LMA_ADDRESS: pace, OTHER_LMA_ADDRESS: pace}, 0.0)
    times = [now for now, _ in run(slow, 0.5)]
    assert times == pytest.approx([number / 100 for number in range(1, 11)])


def test_storm_of_handoffs_takes_no_more_than_its_share(slow: MobileAccessGateway) -> None:
    """The limit of the session holds beside that of the LMA."""
    times = []
    for tenth in range(40):
        now = tenth / 10
        slow.handle_timer(now)
        for number in range(5):
            where = attachment(bytes([2, 0, 0, 0, 2, number]), hint=HandoffHint.BETWEEN_GATEWAYS)
            slow.attach(where, profile(name(number)), now)
        times += [(now, who) for who in named(slow.messages_to_send(now, UTC + now))]
    assert len(times) == 41
    assert {who for _, who in times} == {name(number) for number in range(5)}


@given(
    st.integers(1, 50),
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 20), st.booleans()), max_size=40),
)
def test_lane_gives_each_once_and_never_faster_than_its_pace(
    per_s: int, burst: int, arrivals: list[tuple[float, int, bool]]
) -> None:
    lane = UpdateLane(LmaSettings(updates_per_s=per_s, update_burst=burst))
    now, waiting, times = 1000.0, set[int](), list[float]()

    def take() -> None:
        for binding_id in lane.take(now):
            waiting.remove(binding_id)
            times.append(now)
        assert len(lane) == len(waiting)

    for wait, binding_id, is_urgent in arrivals:
        now += wait
        lane.remove(binding_id)
        lane.add(binding_id, is_urgent=is_urgent)
        waiting.add(binding_id)
        take()
    while (deadline := lane.get_timer()) is not None:
        before = len(lane)
        now = max(now, deadline)
        take()
        assert len(lane) < before
    for index, start in enumerate(times):
        for count, end in enumerate(times[index:], start=1):
            assert count <= burst + per_s * (end - start) + 0.01
