"""Time that the worker thread did not get: what it lost belongs to no packet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_STEAL_FIELD: Final = 8
_TICK_NS: Final = 10_000_000
"""/proc/stat counts in hundredths of a second."""


@dataclass(frozen=True, slots=True)
class LostTime:
    """Since boot, in nanoseconds."""

    waiting_ns: int
    """Runnable, but another thread had the core."""
    stolen_ns: int
    """The hypervisor had the core."""

    @classmethod
    def of_thread(cls, pid: int, tid: int, core: int) -> Self:
        """Read it from procfs."""
        schedstat = Path(f"/proc/{pid}/task/{tid}/schedstat").read_text()
        return cls(waiting_time_ns(schedstat), stolen_time_ns(Path("/proc/stat").read_text(), core))

    def since(self, earlier: Self) -> int:
        """Nanoseconds lost in between, for either reason."""
        return self.waiting_ns - earlier.waiting_ns + self.stolen_ns - earlier.stolen_ns


def waiting_time_ns(schedstat: str) -> int:
    """From a thread's schedstat: time on the processor, time waiting for it, slices."""
    return int(schedstat.split()[1])


def stolen_time_ns(stat: str, core: int) -> int:
    """From /proc/stat. Raises ValueError for a core that is not in it."""
    for line in stat.splitlines():
        fields = line.split()
        if fields and fields[0] == f"cpu{core}":
            return int(fields[_STEAL_FIELD]) * _TICK_NS
    raise ValueError(f"no core {core} in /proc/stat")
