"""Deadlines in order for the nearest second, in lists by the second behind it."""

import random
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mag.protocol.wake_calendar import WakeCalendar


class World:
    """Deadlines that only grow out of date by being set anew, as those of entries do."""

    def __init__(self) -> None:
        self.deadlines: dict[int, float] = {}
        self.calendar = WakeCalendar(lambda binding_id: self.deadlines.get(binding_id, inf))

    def set(self, binding_id: int, deadline: float) -> None:
        self.deadlines[binding_id] = deadline
        self.calendar.add(deadline, binding_id)

    def pop(self) -> tuple[float, int] | None:
        while (first := self.calendar.first()) is not None:
            self.calendar.drop_first()
            deadline, binding_id = first
            if self.deadlines.get(binding_id) == deadline:
                del self.deadlines[binding_id]
                return first
        return None


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 12), st.booleans()), max_size=80))
def test_whatever_is_set_comes_in_order_and_once(steps: list[tuple[int, float, bool]]) -> None:
    world = World()
    for binding_id, deadline, is_followed_by_a_look in steps:
        world.set(binding_id, deadline)
        if is_followed_by_a_look:
            earliest = min(world.deadlines.values())
            first = world.pop()
            assert first is not None
            assert first[0] == earliest
    left = sorted(world.deadlines.values())
    popped = [world.pop() for _ in left]
    assert [each[0] for each in popped if each is not None] == left
    assert world.pop() is None
    assert world.calendar.size == 0


def test_many_that_wake_before_a_lone_one_are_not_all_kept_in_order() -> None:
    """The lone one is looked at first, so that everything before it would be near."""
    world = World()
    world.set(0, 1000.5)
    assert world.calendar.first() == (1000.5, 0)
    rng = random.Random(1)
    for binding_id in range(1, 20_000):
        world.set(binding_id, rng.uniform(0, 1000))
    assert len(world.calendar._near) < 1100
    deadlines = [world.pop() for _ in range(20_000)]
    assert deadlines == sorted(each for each in deadlines if each is not None)
    assert deadlines[-1] == (1000.5, 0)


def test_many_that_wake_in_one_second_do() -> None:
    world = World()
    for binding_id in range(5000):
        world.set(binding_id, 7 + binding_id / 5000)
        assert world.calendar.first() == (7.0, 0)
    assert [world.pop() for _ in range(5000)] == [
        (7 + number / 5000, number) for number in range(5000)
    ]
