"""What a restart with many bindings must keep to."""

from typing import Final

from perf.control_plane.targets import Target

LONGEST_STALL_MS: Final = Target(50, is_upper=True)
"""Of the loop while it serves: what waits in sockets meanwhile must not overflow."""
RATE_KEPT: Final = Target(0.7, is_upper=False)
"""Attach rate with a journal, to that without."""
UPDATES_AS_DUE: Final = Target(1.05, is_upper=True)
"""PBUs of the first minute, to those that fell due until its end."""
