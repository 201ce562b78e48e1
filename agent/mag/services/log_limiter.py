"""Keeps floods from the log: what strangers and faulty peers cause, and storms of bindings.

The journal of systemd takes 10,000 lines of a service in 30 seconds and drops the others unread,
errors among them. What we leave out ourselves is chosen and counted.
"""

from typing import Final

from mag.protocol.rate_limit import TokenBucket
from mag.services.event_log import LogEntry

LINES_PER_S: Final = 1.0
BURST: Final = 20
LINES_OF_BINDINGS_PER_S: Final = 100.0
BURST_OF_BINDINGS: Final = 2000

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
OF_EACH_BINDING: Final = frozenset({"binding_established", "forwarding_installed", "binding_lost"})
"""Entries that every node brings about when it comes or goes."""


class LogLimiter:
    """Lets the first lines of a flood pass, then some that tell how many were not."""

    def __init__(self) -> None:
        self._buckets = {
            name: TokenBucket(per_s=LINES_PER_S, burst=BURST) for name in CAUSED_BY_OTHERS
        } | {
            name: TokenBucket(per_s=LINES_OF_BINDINGS_PER_S, burst=BURST_OF_BINDINGS)
            for name in OF_EACH_BINDING
        }
        self._suppressed = dict.fromkeys(self._buckets, 0)

    def leaves_out(self, name: str, now: float) -> bool:
        """Whether an entry of this name need not even be made; it is counted if so."""
        bucket = self._buckets.get(name)
        if bucket is None or (ready_at := bucket.ready_at) is None or ready_at <= now:
            return False
        self._suppressed[name] += 1
        return True

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
