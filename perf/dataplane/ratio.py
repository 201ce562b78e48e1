"""The ratio of two costs from slices measured in pairs, with its interval."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WIDEST_INTERVAL: Final = 0.05
"""A wider one decides nothing; of the ratio itself where that is above 1."""
LEAST_PAIRS: Final = 10
"""Fewer decide nothing either: the interval of a single pair has no width."""
_RESAMPLES: Final = 2000
_TAIL: Final = 0.025
_SEED: Final = 5213


class Verdict(StrEnum):
    """Of a ratio against its target."""

    MET = "met"
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Cost of a subject in units of a reference's."""

    median: float
    """Of the pairs' ratios."""
    low: float
    """Lower end of the 95 % bootstrap interval of the median."""
    high: float
    of_minima: float
    """Cheapest slice to cheapest slice: noise only ever adds."""
    pairs: int

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.high - self.low

    @property
    def is_decisive(self) -> bool:
        """Whether there are pairs enough and the interval is narrow."""
        widest = WIDEST_INTERVAL * max(1.0, self.median)
        return self.pairs >= LEAST_PAIRS and self.width <= widest

    def verdict(self, target: float) -> Verdict:
        """Whether the ratio is at most the target."""
        if not self.is_decisive or self.low <= target < self.high:
            return Verdict.INCONCLUSIVE
        return Verdict.MET if self.high <= target else Verdict.MISSED


def paired_ratio(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """Of (subject, reference) costs measured one soon after the other.

    Raises ValueError without any pair.
    """
    if not pairs:
        raise ValueError("no pair of slices was good enough to compare")
    ratios = [subject / reference for subject, reference in pairs]
    low, high = _bootstrap_interval(ratios)
    cheapest = min(subject for subject, _ in pairs) / min(reference for _, reference in pairs)
    return Ratio(statistics.median(ratios), low, high, cheapest, len(ratios))


def _bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    # A fixed seed: the same slices give the same interval when they are read again.
    choice = random.Random(_SEED)  # noqa: S311
    medians = sorted(
        statistics.median(choice.choices(values, k=len(values))) for _ in range(_RESAMPLES)
    )
    return medians[int(_TAIL * _RESAMPLES)], medians[int((1 - _TAIL) * _RESAMPLES) - 1]
