"""Structured logs: a console renderer on a terminal, JSON lines on a pipe."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import structlog

from mag.services.event_log import Level, LogEntry
from mag.services.log_output import LogOutput

EntryWriter = Callable[[LogEntry], None]
"""Writes one entry, whatever its level."""

_JSON: Final = json.JSONEncoder(default=repr)
"""Made once: structlog's own renderer makes one for each line."""

_log = structlog.get_logger()


def configure_logging(level: str, output: Literal["auto", "console", "json"]) -> EntryWriter:
    """Have structlog write to standard error, in UTC; what writes entries there, too.

    level: debug, info, warning or error.
    """
    is_console = output == "console" or (output == "auto" and sys.stderr.isatty())
    sink = LogOutput(sys.stderr)
    # The console renderer draws tracebacks itself; JSON has to be given them as text.
    rendering: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if is_console
        else [structlog.processors.format_exc_info, _as_json]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=sink,
        cache_logger_on_first_use=False,
    )
    return write_by_structlog if is_console else JsonLines(sink)


def write_by_structlog(entry: LogEntry) -> None:
    """As structlog is configured at that moment."""
    getattr(_log, entry.level.value)(entry.name, **entry.facts)


class JsonLines:
    """Entries as the lines that structlog makes of them, in a third of the time.

    Each attachment is two entries, and structlog took as long for them as the protocol for a PBU.
    """

    def __init__(self, output: LogOutput) -> None:
        self._output = output
        self._second = 0
        self._second_as_text = ""

    def __call__(self, entry: LogEntry) -> None:
        """Write the entry."""
        line = _JSON.encode(
            {
                **entry.facts,
                "event": entry.name,
                "level": entry.level.value,
                "timestamp": self._timestamp(time.time()),
            }
        )
        if entry.level is Level.ERROR:
            self._output.write_now(line)
        else:
            self._output.write_soon(line)

    def _timestamp(self, utc: float) -> str:
        second = int(utc)
        if second != self._second:
            self._second = second
            self._second_as_text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
        return f"{self._second_as_text}.{int(1e6 * (utc - second)):06d}Z"


def _as_json(_: object, __: str, line: structlog.typing.EventDict) -> str:
    return _JSON.encode(line)
