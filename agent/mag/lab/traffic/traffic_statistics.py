"""What happened to numbered probes on their way: pure arithmetic over times in nanoseconds."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from mag.frozen import frozen

_NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000


@frozen
class Arrival:
    """One probe as it arrived."""

    sequence: int
    received_ns: int


@frozen
class Period:
    """From `start_ns` to `end_ns`, both included; since 1970."""

    start_ns: int
    end_ns: int

    @property
    def length_ms(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / _NS_PER_MS

    def holds(self, moment_ns: int) -> bool:
        """Whether a moment lies within."""
        return self.start_ns <= moment_ns <= self.end_ns

    def overlaps(self, other: "Period") -> bool:
        """Whether the two share a moment."""
        return self.start_ns <= other.end_ns and other.start_ns <= self.end_ns


@frozen
class DirectionStatistics:
    """One direction of the probe traffic."""

    sent: int
    received: int
    """Different probes that arrived; copies are not counted here."""
    duplicates: int
    reordered: int
    """Arrivals behind a probe that was sent later."""
    lost_sent_at_ns: tuple[int, ...]
    """When each probe that never arrived was sent."""
    gaps: tuple[Period, ...]
    """Between each arrival and the next."""
    longest_sender_pause_ms: float
    """Between two probes that the sender sent: what no network is to blame for."""

    @property
    def lost(self) -> int:
        """Probes that never arrived."""
        return len(self.lost_sent_at_ns)

    @property
    def longest_gap_ms(self) -> float:
        """Longest time between two arrivals; 0 with fewer than two."""
        return max((gap.length_ms for gap in self.gaps), default=0.0)

    def longest_gap_during(self, period: Period) -> Period | None:
        """The longest gap that overlaps the period, None if nothing arrived around it."""
        overlapping = (gap for gap in self.gaps if gap.overlaps(period))
        return max(overlapping, key=lambda gap: gap.length_ms, default=None)

    def lost_during(self, period: Period) -> int:
        """Probes sent within the period that never arrived."""
        return sum(1 for sent_at_ns in self.lost_sent_at_ns if period.holds(sent_at_ns))

    def lost_outside(self, periods: Sequence[Period]) -> int:
        """Probes sent outside all of the periods that never arrived."""
        return sum(
            1
            for sent_at_ns in self.lost_sent_at_ns
            if not any(period.holds(sent_at_ns) for period in periods)
        )


def direction_statistics(
    sent_at_ns: Sequence[int], arrivals: Iterable[Arrival]
) -> DirectionStatistics:
    """Compare what was sent with what arrived.

    sent_at_ns: when probe 0, 1, 2 ... was sent. arrivals: in the order of arrival; sequence
    numbers that were never sent are not ours and count for nothing.
    """
    seen: set[int] = set()
    received_ns: list[int] = []
    highest, duplicates, reordered = -1, 0, 0
    for arrival in arrivals:
        if not 0 <= arrival.sequence < len(sent_at_ns):
            continue
        if arrival.sequence in seen:
            duplicates += 1
            continue
        seen.add(arrival.sequence)
        reordered += arrival.sequence < highest
        highest = max(highest, arrival.sequence)
        received_ns.append(arrival.received_ns)
    lost = tuple(at for sequence, at in enumerate(sent_at_ns) if sequence not in seen)
    pauses = (later - earlier for earlier, later in pairwise(sent_at_ns))
    return DirectionStatistics(
        sent=len(sent_at_ns),
        received=len(seen),
        duplicates=duplicates,
        reordered=reordered,
        lost_sent_at_ns=lost,
        gaps=tuple(Period(earlier, later) for earlier, later in pairwise(received_ns)),
        longest_sender_pause_ms=max(pauses, default=0) / _NS_PER_MS,
    )


def together(directions: Sequence[DirectionStatistics]) -> DirectionStatistics:
    """Several flows at the same time as one; gaps and pauses stay those of single flows."""
    return DirectionStatistics(
        sent=sum(each.sent for each in directions),
        received=sum(each.received for each in directions),
        duplicates=sum(each.duplicates for each in directions),
        reordered=sum(each.reordered for each in directions),
        lost_sent_at_ns=tuple(at for each in directions for at in each.lost_sent_at_ns),
        gaps=tuple(gap for each in directions for gap in each.gaps),
        longest_sender_pause_ms=max(each.longest_sender_pause_ms for each in directions),
    )
