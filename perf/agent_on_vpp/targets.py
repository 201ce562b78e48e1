"""What must be reached by the agent on VPP."""

from typing import Final

from perf.control_plane.targets import Target

STORM_PER_S: Final = Target(5_000, is_upper=False)
LATENCY_P99_MS: Final = Target(100, is_upper=True)
"""At half that rate."""
UNSERVED: Final = Target(0, is_upper=True)
RESTORED_WITHIN_S: Final = Target(1.5, is_upper=True)
