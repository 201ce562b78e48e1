"""Keeps what strangers and faulty peers can cause from flooding the log."""

from typing import Final

from mag.protocol.rate_limit import TokenBucket
from mag.services.event_log import LogEntry

LINES_PER_S: Final = 1.0
BURST: Final = 20

CAUSED_BY_OTHERS: Final = frozenset(
    {
        "message_discarded",
        "binding_error_received",
        "attachment_detected",
        "attachment_refused",
        "node_moved",
        "binding_rejected",
    }
)
"""Entries that a message or a frame brings about, however senseless it is."""


class LogLimiter:
    """Lets the first lines of a flood pass, then one a second that tells how many were not."""

    def __init__(self) -> None:
        self._buckets = {
            name: TokenBucket(per_s=LINES_PER_S, burst=BURST) for name in CAUSED_BY_OTHERS
        }
        self._suppressed = dict.fromkeys(CAUSED_BY_OTHERS, 0)

    def admit(self, entry: LogEntry, now: float) -> LogEntry | None:
        """The entry as it is to be logged, None if it is not. `now`: monotonic seconds."""
        bucket = self._buckets.get(entry.name)
        if bucket is None:
            return entry
        if not bucket.take(now):
            self._suppressed[entry.name] += 1
            return None
        suppressed = self._suppressed[entry.name]
        self._suppressed[entry.name] = 0
        if not suppressed:
            return entry
        return LogEntry(entry.name, entry.level, entry.facts | {"suppressed": suppressed})
