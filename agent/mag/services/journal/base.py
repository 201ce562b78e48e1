"""What the gateway asks of a journal, and the one that keeps nothing."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from mag.protocol.stored_state import StateChange


class Journal(Protocol):
    """Takes changes without making anybody wait, and tells when they have outlasted us."""

    failures: Counter[str]
    """Writes that failed, and waits that were given up, by reason."""

    def note(self, change: StateChange) -> None:
        """Have this written soon; a later change of the same thing replaces it until then."""

    def when_written(self, callback: Callable[[], None]) -> None:
        """Call back when everything noted so far is written: at once if it is.

        Also when the journal cannot be written, or takes too long: service comes first.
        """

    async def written(self) -> None:
        """Wait for the same."""

    async def close(self) -> None:
        """Write what is left, in bounded time, and let go of the file."""


class NoJournal:
    """For a gateway that forgets: the next start begins without bindings."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()

    def note(self, change: StateChange) -> None:
        """Forget it."""

    def when_written(self, callback: Callable[[], None]) -> None:
        """There is nothing to wait for."""
        callback()

    async def written(self) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        """There is nothing to close."""
