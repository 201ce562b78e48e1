"""What the command tells its caller; `mag run` adds those of mag.daemon.run.ExitCode."""

from typing import Final

FAILED: Final = 1
"""The gateway refused, or is not there."""
INVALID: Final = 1
"""The configuration file has faults."""
CANNOT_READ: Final = 2
"""The configuration file cannot be read."""
