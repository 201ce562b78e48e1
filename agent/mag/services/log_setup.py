"""Structured logs: a console renderer on a terminal, JSON lines on a pipe."""

import logging
import sys
from typing import Literal

import structlog


def configure_logging(level: str, output: Literal["auto", "console", "json"]) -> None:
    """level: debug, info, warning or error. Log lines go to standard error, times are UTC."""
    is_console = output == "console" or (output == "auto" and sys.stderr.isatty())
    # The console renderer draws tracebacks itself; JSON has to be given them as text.
    rendering: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if is_console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
