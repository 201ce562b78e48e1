"""Looks after the clock that timestamps are made with (RFC 5213 §5.5)."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from mag.config.model import ClockPolicy, ProtocolSection
from mag.services.event_log import Level, LogEntry
from mag.services.system_clock import ClockReading

LOOK_EVERY_S: Final = 10.0


class ClockError(Exception):
    """The clock is not what the configuration requires; the text says what it is."""


class ClockState(StrEnum):
    """Whether our clock is that of the domain."""

    IN_STEP = "in_step"
    OUT_OF_STEP = "out_of_step"
    UNKNOWN = "unknown"
    """The kernel does not tell us."""


class ClockWatch:
    """Looks at the clock now and then, says when it changes, and has the core know."""

    def __init__(
        self,
        read: Callable[[], ClockReading],
        protocol: ProtocolSection,
        *,
        every_s: float = LOOK_EVERY_S,
        note: Callable[[LogEntry], None],
        tell: Callable[[bool], None],
    ) -> None:
        """tell: called with whether timestamps may be trusted, each time that this is looked at."""
        self._read = read
        self._protocol = protocol
        self._every_s = every_s
        self._note = note
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self.reading = ClockReading(None, reason="not looked at yet")
        self.state = ClockState.UNKNOWN
        self._told: ClockState | None = None

    def demand(self) -> None:
        """Raise ClockError where a clock in step is required, and it is not."""
        self._take_reading()
        is_required = self._matters and self._protocol.clock is ClockPolicy.REQUIRE
        if is_required and self.state is not ClockState.IN_STEP:
            raise ClockError(f"protocol.clock is `require`, and {self._words()}")

    def open(self) -> None:
        """Look now, and from now on."""
        self.look()
        self._again()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reconfigure(self, protocol: ProtocolSection) -> None:
        """Go by these settings from now on."""
        self._protocol = protocol
        if self._timer is not None:
            self.look()

    def look(self) -> None:
        """Read the clock, and say so if its state has changed."""
        self._take_reading()
        if self._matters and self.state is not self._told:
            is_first = self._told is None
            self._told = self.state
            if not (is_first and self.state is ClockState.IN_STEP):
                self._note(self._entry())
        self._tell(not self._matters or self.state is not ClockState.OUT_OF_STEP)

    def _take_reading(self) -> None:
        self.reading = reading = self._read()
        if reading.is_synchronized is None:
            self.state = ClockState.UNKNOWN
        elif reading.is_synchronized and self._is_near_enough(reading):
            self.state = ClockState.IN_STEP
        else:
            self.state = ClockState.OUT_OF_STEP

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look_again)

    def _look_again(self) -> None:
        self.look()
        self._again()

    @property
    def _matters(self) -> bool:
        is_used = self._protocol.timestamp_based_approach_in_use
        return is_used and self._protocol.clock is not ClockPolicy.IGNORE

    def _is_near_enough(self, reading: ClockReading) -> bool:
        return reading.estimated_error_s <= self._protocol.max_clock_error_s

    def _words(self) -> str:
        reading = self.reading
        if reading.is_synchronized is None:
            return f"nothing is known of the clock: {reading.reason}"
        if not reading.is_synchronized:
            return "the clock follows no common source (adjtimex: not synchronized)"
        return (
            f"the clock may be off by {reading.estimated_error_s:.3g} s, more than "
            f"max_clock_error_s"
        )

    def _entry(self) -> LogEntry:
        if self.state is ClockState.IN_STEP:
            facts = {"estimated_error_s": self.reading.estimated_error_s}
            return LogEntry("clock_in_step", Level.INFO, facts)
        name = f"clock_{self.state.value}"
        return LogEntry(name, Level.WARNING, {"reason": self._words()})
