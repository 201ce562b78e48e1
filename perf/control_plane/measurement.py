"""One measured number with its samples."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perf.control_plane.targets import Target
from perf.dataplane.ratio import Verdict


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured, its samples, and what is asked of their median."""

    name: str
    """Stable snake_case key."""
    unit: str
    samples: Sequence[float]
    """Not empty."""
    target: Target | None = None
    verdict_of_samples: Verdict | None = None
    """Where the samples' spread has a say, too; else the median alone decides."""

    @property
    def median(self) -> float:
        """Of the samples."""
        return statistics.median(self.samples)

    @property
    def verdict(self) -> Verdict | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.verdict_of_samples or self.target.verdict(self.median)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time of this process: what others on the machine take does not count."""
    begun = time.process_time()
    work()
    return time.process_time() - begun
