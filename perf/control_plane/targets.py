"""What must be reached, and how a measured number is held against it."""

from dataclasses import dataclass
from typing import Final

from perf.dataplane.ratio import Verdict


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that the median must keep."""

    value: float
    is_upper: bool
    """At most `value`; else at least."""

    def verdict(self, median: float) -> Verdict:
        """Met or missed."""
        is_met = median <= self.value if self.is_upper else median >= self.value
        return Verdict.MET if is_met else Verdict.MISSED

    def __str__(self) -> str:
        return f"{'≤' if self.is_upper else '≥'} {self.value:,.6g}"


TIMES_FASTER_THAN_SCAPY: Final = 50
ATTACHES_PER_S: Final = Target(10_000, is_upper=False)
OCTETS_PER_BINDING: Final = Target(2048, is_upper=True)
KERNEL_BINDINGS_PER_S: Final = Target(20_000, is_upper=False)
