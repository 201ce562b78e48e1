"""Nodes without service are asked again, some times, and not once they are served."""

from mag.daemon.wake_up_schedule import REPEAT_AFTER_S, REPETITIONS, Node, WakeUpSchedule

ALICE: Node = ("access1", bytes.fromhex("020000000001"))
BOB: Node = ("access1", bytes.fromhex("020000000002"))


def repetitions(schedule: WakeUpSchedule) -> list[tuple[float, Node]]:
    """Everything that is still to come, with its time."""
    found = []
    while (deadline := schedule.get_timer()) is not None:
        found += [(deadline, node) for node in schedule.pop_due(deadline)]
    return found


def test_node_that_stays_without_service_is_asked_a_bounded_number_of_times() -> None:
    schedule = WakeUpSchedule(lambda _: False)
    schedule.asked(ALICE, 10.0)
    assert repetitions(schedule) == [
        (10.0 + number * REPEAT_AFTER_S, ALICE) for number in range(1, REPETITIONS + 1)
    ]


def test_node_that_is_bound_meanwhile_is_not_asked_and_others_are() -> None:
    served = set()
    schedule = WakeUpSchedule(served.__contains__)
    schedule.asked(ALICE, 0.0)
    schedule.asked(BOB, 0.5)
    served.add(ALICE)
    assert {node for _, node in repetitions(schedule)} == {BOB}


def test_node_that_is_asked_anew_starts_from_there() -> None:
    schedule = WakeUpSchedule(lambda _: False)
    schedule.asked(ALICE, 0.0)
    assert list(schedule.pop_due(REPEAT_AFTER_S)) == [ALICE]
    schedule.asked(ALICE, 2.0)
    assert [at for at, _ in repetitions(schedule)] == [
        2.0 + number * REPEAT_AFTER_S for number in range(1, REPETITIONS + 1)
    ]


def test_forgotten_node_is_not_asked() -> None:
    schedule = WakeUpSchedule(lambda _: False)
    schedule.asked(ALICE, 0.0)
    schedule.forget(ALICE)
    schedule.forget(BOB)
    assert repetitions(schedule) == []
