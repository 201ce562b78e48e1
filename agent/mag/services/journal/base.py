"""What the gateway asks of a journal, and the one that keeps nothing."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from mag.frozen import frozen
from mag.protocol.stored_state import StateChange


@frozen
class JournalStatus:
    """How far a restart could go on now."""

    path: str
    trouble: str
    """Why changes are not written at the moment; empty: they are."""
    behind_s: float
    """For how long the oldest change that is not written has waited; 0: there is none."""
    last_written_at: float | None
    """Seconds since 1970; None: nothing since the start."""
    octets: int
    """Of the file and its log."""
    transactions: int
    rows: int
    """Bindings written or deleted, likewise since the start."""


class Journal(Protocol):
    """Takes changes without making anybody wait, and tells when they have outlasted us."""

    failures: Counter[str]
    """Writes that failed, by reason, and waits that were given up (`late`)."""

    def status(self) -> JournalStatus | None:
        """How it is; None: nothing is kept."""

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

    def status(self) -> None:
        """Nothing is kept."""

    def note(self, change: StateChange) -> None:
        """Forget it."""

    def when_written(self, callback: Callable[[], None]) -> None:
        """There is nothing to wait for."""
        callback()

    async def written(self) -> None:
        """There is nothing to wait for."""

    async def close(self) -> None:
        """There is nothing to close."""
