from hypothesis import given
from hypothesis import strategies as st

from mag.protocol.timer_queue import TimerQueue


def test_timers_fire_earliest_first_and_once() -> None:
    queue: TimerQueue[str] = TimerQueue()
    queue.set("b", 2.0)
    queue.set("a", 1.0)
    queue.set("c", 3.0)
    assert queue.next_deadline() == 1.0
    assert list(queue.pop_due(2.0)) == ["a", "b"]
    assert list(queue.pop_due(2.0)) == []
    assert queue.next_deadline() == 3.0


def test_moved_timer_fires_at_its_last_deadline_only() -> None:
    queue: TimerQueue[str] = TimerQueue()
    queue.set("a", 1.0)
    queue.set("a", 5.0)
    assert list(queue.pop_due(4.0)) == []
    assert list(queue.pop_due(5.0)) == ["a"]


def test_cancelled_timer_never_fires() -> None:
    queue: TimerQueue[str] = TimerQueue()
    queue.set("a", 1.0)
    queue.cancel("a")
    queue.cancel("never set")
    assert queue.next_deadline() is None
    assert list(queue.pop_due(9.0)) == []


def test_timer_armed_while_firing_fires_in_the_same_turn_if_due() -> None:
    queue: TimerQueue[str] = TimerQueue()
    queue.set("a", 1.0)
    fired = []
    for key in queue.pop_due(2.0):
        fired.append(key)
        if key == "a":
            queue.set("b", 2.0)
            queue.set("c", 2.5)
    assert fired == ["a", "b"]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.one_of(st.none(), st.floats(0, 100))), max_size=200)
)
def test_queue_is_a_dictionary_of_deadlines(steps: list[tuple[int, float | None]]) -> None:
    queue: TimerQueue[int] = TimerQueue()
    model: dict[int, float] = {}
    for key, deadline in steps:
        if deadline is None:
            queue.cancel(key)
            model.pop(key, None)
        else:
            queue.set(key, deadline)
            model[key] = deadline
    assert len(queue) == len(model)
    assert queue.next_deadline() == (min(model.values()) if model else None)
    fired = list(queue.pop_due(100.0))
    assert sorted(fired) == sorted(model)
    assert [model[key] for key in fired] == sorted(model.values())


def test_heap_stays_in_proportion_when_timers_are_moved_for_ever() -> None:
    """A binding refreshed for years must not leave a trail of dead deadlines."""
    queue: TimerQueue[int] = TimerQueue()
    for step in range(50_000):
        queue.set(step % 10, float(step))
    assert len(queue._heap) < 5_000
    assert queue.next_deadline() == 49_990.0
