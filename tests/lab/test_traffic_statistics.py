"""Arithmetic of the traffic summary."""

from hypothesis import given
from hypothesis import strategies as st

from mag.lab.traffic.traffic_statistics import (
    Arrival,
    Period,
    direction_statistics,
    together,
)

MS = 1_000_000


def every_ms(count: int) -> list[int]:
    """Probes sent one a millisecond."""
    return [sequence * MS for sequence in range(count)]


def arrived(*sequences: int, delay_ns: int = 0) -> list[Arrival]:
    """Arrivals one a millisecond after the time each was sent."""
    return [Arrival(sequence, sequence * MS + delay_ns) for sequence in sequences]


def test_everything_that_arrives_in_order_counts_once() -> None:
    found = direction_statistics(every_ms(5), arrived(0, 1, 2, 3, 4))
    assert (found.sent, found.received, found.lost) == (5, 5, 0)
    assert (found.duplicates, found.reordered) == (0, 0)
    assert found.longest_gap_ms == 1.0


def test_lost_probes_are_known_by_when_they_were_sent() -> None:
    found = direction_statistics(every_ms(6), arrived(0, 1, 4, 5))
    assert found.lost_sent_at_ns == (2 * MS, 3 * MS)
    assert found.longest_gap_ms == 3.0


def test_second_copy_is_a_duplicate_and_no_second_arrival() -> None:
    found = direction_statistics(every_ms(3), arrived(0, 1, 1, 2))
    assert (found.received, found.duplicates, found.reordered) == (3, 1, 0)


def test_probe_behind_a_later_one_is_reordered() -> None:
    found = direction_statistics(
        every_ms(3), [Arrival(0, 0), Arrival(2, 2 * MS), Arrival(1, 3 * MS)]
    )
    assert (found.received, found.lost, found.reordered) == (3, 0, 1)


def test_sequence_number_that_was_never_sent_counts_for_nothing() -> None:
    found = direction_statistics(every_ms(2), arrived(0, 1, 7))
    assert (found.received, found.duplicates) == (2, 0)


def test_no_arrival_at_all_loses_everything_and_has_no_gap() -> None:
    found = direction_statistics(every_ms(3), [])
    assert (found.received, found.lost, found.longest_gap_ms) == (0, 3, 0.0)


def test_pause_of_the_sender_is_told_apart_from_a_gap_of_the_network() -> None:
    sent = [0, MS, 50 * MS]
    found = direction_statistics(sent, [Arrival(i, at) for i, at in enumerate(sent)])
    assert found.longest_sender_pause_ms == 49.0
    assert found.longest_gap_ms == 49.0


def test_losses_are_counted_inside_and_outside_of_periods() -> None:
    found = direction_statistics(every_ms(20), arrived(*range(4), *range(9, 15), *range(16, 20)))
    handover = Period(3 * MS, 9 * MS)
    assert found.lost_during(handover) == 5
    assert found.lost_outside([handover]) == 1
    assert found.lost_outside([handover, Period(15 * MS, 15 * MS)]) == 0


def test_longest_gap_of_a_period_is_not_that_of_another() -> None:
    found = direction_statistics(every_ms(40), arrived(*range(10), *range(15, 30), 39))
    first = found.longest_gap_during(Period(8 * MS, 12 * MS))
    assert first is not None
    assert first.length_ms == 6.0
    assert found.longest_gap_ms == 10.0


def test_period_in_which_nothing_arrived_any_more_has_no_gap() -> None:
    found = direction_statistics(every_ms(5), arrived(0, 1))
    assert found.longest_gap_during(Period(3 * MS, 4 * MS)) is None


@given(
    count=st.integers(0, 50),
    order=st.lists(st.integers(0, 60), max_size=120),
)
def test_sent_is_received_and_lost_whatever_arrives(count: int, order: list[int]) -> None:
    arrivals = [Arrival(sequence, at * MS) for at, sequence in enumerate(order)]
    found = direction_statistics(every_ms(count), arrivals)
    assert found.received + found.lost == found.sent == count
    ours = [sequence for sequence in order if sequence < count]
    assert found.received + found.duplicates == len(ours)
    assert found.reordered <= found.received


def test_flows_together_lose_what_each_lost_and_have_no_gap_that_none_had() -> None:
    one = direction_statistics(every_ms(4), arrived(0, 1, 3))
    other = direction_statistics(every_ms(4), arrived(0, 1, 2, 3, delay_ns=500 * MS))
    found = together([one, other])
    assert (found.sent, found.received, found.lost) == (8, 7, 1)
    assert found.lost_sent_at_ns == (2 * MS,)
    assert found.longest_gap_ms == 2.0
