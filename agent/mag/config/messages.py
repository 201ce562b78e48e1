"""What an operator is told of a configuration file that will not do."""

from dataclasses import dataclass
from pathlib import Path

from mag.frozen import frozen

Location = tuple[str | int, ...]
"""Where something stands in the configuration: keys and list positions from the root."""


def dotted(location: Location) -> str:
    """The location as messages show it: `access_links.eth1.attach_triggers[0]`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")


@frozen
class Fault:
    """One thing wrong with the values, wherever they came from."""

    location: Location
    what: str


@dataclass(frozen=True, slots=True, order=True)
class ConfigMessage:
    """One fault of one file; its text is `file:line:column: path: what`."""

    source: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    path: str
    """Dotted location; empty for faults of the file as a whole."""
    what: str

    def __str__(self) -> str:
        """The line an operator reads and an editor can jump to."""
        path = f"{self.path}: " if self.path else ""
        return f"{self.source}:{self.line}:{self.column}: {path}{self.what}"


class ConfigError(Exception):
    """The file was read and is no valid configuration."""

    def __init__(self, messages: list[ConfigMessage]) -> None:
        """messages: every fault found; kept sorted by line and column."""
        self.messages = sorted(messages)
        super().__init__("\n".join(map(str, self.messages)))


class ConfigUnreadable(Exception):
    """The file could not be read at all."""

    def __init__(self, path: Path, reason: str) -> None:
        """reason: in the operating system's words, or ours."""
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")
