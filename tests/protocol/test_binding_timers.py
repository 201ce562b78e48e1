"""Several timers of each binding in one calendar."""

from hypothesis import given
from hypothesis import strategies as st

from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.registration import BindingTimer, RegistrationState
from mag.protocol.request import Request
from mag.wire.iana import HandoffIndicator
from protocol.conftest import attachment, profile

REGISTRATION, LIFETIME = BindingTimer.REGISTRATION, BindingTimer.LIFETIME
ENTRIES = 4


class World:
    def __init__(self) -> None:
        self.list = BindingUpdateList()
        self.timers = BindingTimers(self.list)
        self.entries = [self.entry(number) for number in range(1, ENTRIES + 1)]

    def entry(self, number: int) -> BindingUpdateListEntry:
        entry = BindingUpdateListEntry(
            binding_id=number,
            profile=profile(b"node%d" % number),
            attachment=attachment(bytes([2, 0, 0, 0, 0, number])),
            state=RegistrationState.ACTIVE,
            attached_at=0.0,
            request=Request(3600, HandoffIndicator.UNKNOWN),
            requested_prefixes=(),
        )
        self.list.add(entry)
        return entry

    def due(self, now: float) -> list[tuple[int, BindingTimer]]:
        return [(entry.binding_id, timer) for entry, timer in self.timers.pop_due(now)]


def test_timers_fire_earliest_first_and_once() -> None:
    world = World()
    one, two, *_ = world.entries
    world.timers.set(one, LIFETIME, 9.0)
    world.timers.set(two, REGISTRATION, 2.0)
    world.timers.set(one, REGISTRATION, 1.0)
    assert world.timers.next_deadline() == 1.0
    assert world.due(2.0) == [(1, REGISTRATION), (2, REGISTRATION)]
    assert world.due(2.0) == []
    assert world.timers.next_deadline() == 9.0
    assert world.timers.deadline(one, LIFETIME) == 9.0
    assert world.timers.deadline(one, REGISTRATION) is None


def test_deadline_that_moves_back_is_told_at_once_and_kept() -> None:
    """A refresh is armed as a retransmission first."""
    world = World()
    one, two, *_ = world.entries
    world.timers.set(one, REGISTRATION, 1.0)
    world.timers.set(two, REGISTRATION, 5.0)
    world.timers.set(one, REGISTRATION, 2880.0)
    assert world.timers.next_deadline() == 5.0
    assert world.due(2879.0) == [(2, REGISTRATION)]
    assert world.due(2880.0) == [(1, REGISTRATION)]


def test_timers_of_an_entry_that_has_gone_are_never_due() -> None:
    world = World()
    one, *_ = world.entries
    world.timers.set(one, REGISTRATION, 1.0)
    world.list.remove(one)
    assert world.timers.next_deadline() is None
    assert world.due(9.0) == []


def test_timer_armed_while_firing_fires_in_the_same_turn_if_due() -> None:
    world = World()
    one, two, *_ = world.entries
    world.timers.set(one, REGISTRATION, 1.0)
    fired = []
    for entry, timer in world.timers.pop_due(2.0):
        fired.append((entry.binding_id, timer))
        if entry is one and timer is REGISTRATION:
            world.timers.set(one, LIFETIME, 2.0)
            world.timers.set(two, REGISTRATION, 1.5)
            world.timers.set(two, LIFETIME, 2.5)
    assert fired == [(1, REGISTRATION), (2, REGISTRATION), (1, LIFETIME)]


Step = tuple[int, BindingTimer, float | None]


@given(
    st.lists(
        st.tuples(
            st.integers(0, ENTRIES - 1),
            st.sampled_from(BindingTimer),
            st.one_of(st.none(), st.integers(0, 30).map(float)),
        ),
        max_size=60,
    ),
    st.lists(st.integers(0, 59), max_size=5).map(set),
)
def test_timers_are_a_dictionary_of_deadlines(steps: list[Step], looks: set[int]) -> None:
    """However deadlines move, and whenever somebody looks."""
    world = World()
    model: dict[tuple[int, BindingTimer], float] = {}
    for number, (index, timer, deadline) in enumerate(steps):
        entry = world.entries[index]
        if deadline is None:
            world.timers.cancel(entry, timer)
            model.pop((entry.binding_id, timer), None)
        else:
            world.timers.set(entry, timer, deadline)
            model[entry.binding_id, timer] = deadline
        if number in looks:
            assert world.timers.next_deadline() == min(model.values(), default=None)
            fired = world.due(10.0)
            assert set(fired) == {key for key, due in model.items() if due <= 10.0}
            assert [model[key] for key in fired] == sorted(model[key] for key in fired)
            for key in fired:
                del model[key]
    left = world.due(100.0)
    assert sorted(left) == sorted(model)
    assert [model[key] for key in left] == sorted(model.values())
    assert world.timers.next_deadline() is None


def test_calendar_stays_in_proportion_to_the_bindings() -> None:
    world = World()
    one, *_ = world.entries
    for number in range(20_000):
        world.timers.set(one, REGISTRATION, 1e6 - number)
    assert world.timers._calendar.size <= 1100
    assert world.timers.next_deadline() == 1e6 - 19_999
    assert world.due(1e6) == [(1, REGISTRATION)]
