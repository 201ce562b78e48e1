"""What is compared with what, and how small the ratio must be."""

from collections.abc import Sequence
from typing import Final

from perf.dataplane import plain_forwarding
from perf.dataplane.measure import Comparison

COMPOSED_UP: Final = {1: 0.30, 1_000: 0.26, 100_000: 0.17}
"""Own path to VPP's own means, by bindings."""
COMPOSED_DOWN: Final = {1: 0.30, 1_000: 0.26, 100_000: 0.25}
FORWARDING: Final = 1.0
FORWARDING_FROM: Final = 1_000
"""With so many bindings or more, a gateway must cost less than a plain router."""
GROWTH: Final = {"own-up": 1.6, "own-down": 2.2}
"""Cost at 1,000,000 bindings to that at 1,000."""
GROWTH_BETWEEN: Final = (1_000, 1_000_000)
BINDINGS_PER_SECOND: Final = 120_000
OCTETS_PER_BINDING: Final = 512

CONTROL_SAME: Final = Comparison(plain_forwarding.AGAIN, plain_forwarding.NAME)
"""Its interval must contain 1."""
CONTROL_SLOWER: Final = Comparison(plain_forwarding.SABOTAGED, plain_forwarding.NAME)
"""Its interval must be above 1."""


def comparisons(arms: Sequence[str], bindings: int) -> list[Comparison]:
    """All that the arms at hand allow."""
    forwarding = FORWARDING if bindings >= FORWARDING_FROM else None
    wanted = [
        Comparison("own-up", "composed-up", COMPOSED_UP.get(bindings)),
        Comparison("own-up", "plain-route"),
        Comparison("own-up", plain_forwarding.NAME, forwarding),
        Comparison("own-down", "composed-down", COMPOSED_DOWN.get(bindings)),
        Comparison("own-down", plain_forwarding.NAME, forwarding),
        Comparison("own-down-limit", "own-down"),
        Comparison("composed-up", plain_forwarding.NAME),
        Comparison("composed-down", plain_forwarding.NAME),
        Comparison("plain-route", plain_forwarding.NAME),
        CONTROL_SAME,
        CONTROL_SLOWER,
    ]
    return [c for c in wanted if c.subject in arms and c.reference in arms]
