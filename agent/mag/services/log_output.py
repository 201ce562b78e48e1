"""Where log lines go: those of one turn of the event loop are written together.

A storm of attachments is thousands of lines a second; a system call for each would be dearer than
making them.
"""

import asyncio
import threading
from typing import Any, Final, TextIO

_AT_ONCE: Final = 256
"""Lines that are kept at most: a long turn is told of while it lasts."""


class LogOutput:
    """A structlog logger, and its factory: everybody writes through the same one.

    Errors are written at once, with what came before; so is all that no loop runs for.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, *_: Any) -> "LogOutput":
        """As structlog asks for a logger."""
        return self

    def write_soon(self, line: str) -> None:
        """Write at the end of this turn of the loop, if there is one."""
        with self._lock:
            self._lines.append(line)
            count = len(self._lines)
        if count == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # no loop: nobody would do it later
                self.flush()
        elif count >= _AT_ONCE:
            self.flush()

    def write_now(self, line: str) -> None:
        """Write before anything else can go wrong."""
        with self._lock:
            self._lines.append(line)
        self.flush()

    def flush(self) -> None:
        """Write what is there."""
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()

    debug = info = warning = msg = write_soon
    error = critical = exception = fatal = write_now
