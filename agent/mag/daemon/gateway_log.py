"""What happens in one gateway, for its log and for whoever watches."""

import time
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address

from mag.config.model import LogSection
from mag.protocol.events import Event
from mag.services.event_log import (
    Level,
    LogEntry,
    MobileNodeIdentifierForm,
    describe,
    is_at_least,
    level_of,
    name_of,
    obscured,
    silent_events,
)
from mag.services.event_stream import EventStream
from mag.services.log_limiter import LogLimiter
from mag.services.log_setup import EntryWriter


class GatewayLog:
    """Takes entries and events; what nobody would see is not even put into words."""

    def __init__(
        self,
        settings: LogSection,
        *,
        lma_names: Mapping[IPv6Address, str],
        now: Callable[[], float],
        write_entry: EntryWriter,
    ) -> None:
        """lma_names: as they are when something is told. now: monotonic seconds."""
        self.write_entry = write_entry
        self.stream = EventStream()
        self._lma_names = lma_names
        self._now = now
        self._limiter = LogLimiter()
        self.reconfigure(settings)

    def reconfigure(self, settings: LogSection) -> None:
        """Write what these settings say, in the form that they say."""
        self._levels = frozenset(level for level in Level if is_at_least(level, settings.level))
        self._silent = silent_events(settings.level)
        self._mn_id_form = MobileNodeIdentifierForm(settings.mn_id)

    def is_of_interest(self, level: Level) -> bool:
        """Whether anybody would see an entry; most of those about every message nobody does."""
        return self.stream.is_watched or level in self._levels

    def tell_of(self, event: Event) -> None:
        """Something happened in the core."""
        if self.stream.is_watched or self._is_logged(event):
            self.note(describe(event, self._lma_names))

    def _is_logged(self, event: Event) -> bool:
        kind = type(event)
        return (
            kind not in self._silent
            and level_of(event) in self._levels
            and not self._limiter.leaves_out(name_of(kind), self._now())
        )

    def note(self, entry: LogEntry) -> None:
        """Write to the log and tell whoever watches."""
        if self.stream.is_watched:
            self.stream.publish({"at": time.time(), "event": entry.name, **entry.facts})
        if entry.level not in self._levels:
            return
        if (admitted := self._limiter.admit(entry, self._now())) is not None:
            self.write_entry(obscured(admitted, self._mn_id_form))
