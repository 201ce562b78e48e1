"""The journal: changes coalesce until its thread has time for them, and nobody waits for a disk.

What is noted is kept by binding, so that a slow disk costs as much memory as there are bindings and
no more. A write that fails is tried again, with all that has come since, for as long as it takes.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

import structlog

from mag.protocol.ordering import OrderingMarks
from mag.protocol.rate_limit import TokenBucket
from mag.protocol.stored_binding import StoredBinding
from mag.protocol.stored_state import StateChange
from mag.services.journal.base import JournalStatus
from mag.services.journal.file import JournalFile, octets_of
from mag.services.journal.trouble import Trouble, trouble_of

WRITES_PER_S: Final = 100.0
"""At most, on average; each is one transaction with all that has been noted."""
BURST_OF_WRITES: Final = 50
PATIENCE_S: Final = 0.25
"""Longest time that anything waits for the disk."""
FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 30.0
CLOSE_S: Final = 5.0

_log = structlog.get_logger()


@dataclass(slots=True)
class _Pending:
    """A StateChange that grows."""

    bindings: dict[int, StoredBinding | None] = field(default_factory=dict)
    marks: OrderingMarks | None = None
    lma_restart_counters: dict[IPv6Address, int] = field(default_factory=dict)

    def merge(self, change: "StateChange | _Pending") -> None:
        """Add what came later."""
        self.bindings.update(change.bindings)
        self.marks = change.marks or self.marks
        self.lma_restart_counters.update(change.lma_restart_counters)

    def as_change(self) -> StateChange:
        return StateChange(self.bindings, self.marks, self.lma_restart_counters)


class BindingJournal:
    """Implements Journal; made in the running loop."""

    def __init__(
        self,
        path: Path,
        file: JournalFile | None,
        *,
        reopen: Callable[[], JournalFile],
        highest_id: int = 0,
        patience_s: float = PATIENCE_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        """path: of the file, for who asks. file: open and begun; None if that failed, `reopen` is
        then tried until it succeeds.

        highest_id: the highest binding id in it.
        """
        self.failures: Counter[str] = Counter()
        self.writes = 0
        self.rows = 0
        """Bindings written or deleted."""
        self._path = path
        self._file = file
        self._reopen = reopen
        self._highest_id = highest_id
        self._patience_s = patience_s
        self._first_retry_s = first_retry_s
        self._loop = asyncio.get_running_loop()
        # The thread's and the loop's, under the lock.
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._pending: _Pending | None = None
        self._noted = 0
        # The loop's.
        self._confirmed = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._give_up: asyncio.TimerHandle | None = None
        self._trouble = ""
        """Why nothing waits for the disk at the moment."""
        self._oldest_noted_at: float | None = None
        """Of what is not confirmed; monotonic seconds."""
        self._last_written_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def note(self, change: StateChange) -> None:
        """Have this written soon."""
        if not change:
            return
        with self._lock:
            if self._pending is None:
                self._pending = _Pending()
            self._pending.merge(change)
            self._noted += 1
        if self._oldest_noted_at is None:
            self._oldest_noted_at = self._loop.time()
        if not self._news.is_set():
            self._news.set()

    def status(self) -> JournalStatus:
        """How it is now."""
        oldest = self._oldest_noted_at
        return JournalStatus(
            path=str(self._path),
            trouble=self._trouble,
            behind_s=0.0 if oldest is None else self._loop.time() - oldest,
            last_written_at=self._last_written_at,
            octets=octets_of(self._path),
            transactions=self.writes,
            rows=self.rows,
        )

    def when_written(self, callback: Callable[[], None]) -> None:
        """Call back, in order, when everything noted so far is written or is not waited for."""
        if self._confirmed == self._noted or self._trouble:
            callback()
            return
        self._waiting.append((self._noted, callback))
        if self._give_up is None:
            self._give_up = self._loop.call_later(self._patience_s, self._lose_patience)

    async def written(self) -> None:
        """Wait for the same."""
        done = self._loop.create_future()
        self.when_written(lambda: None if done.done() else done.set_result(None))
        await done

    async def close(self) -> None:
        """Write what is left, in bounded time, and let go of the file."""
        self._closing.set()
        self._news.set()
        await asyncio.to_thread(self._thread.join, CLOSE_S)
        if self._thread.is_alive():
            _log.error("journal_incomplete", reason=f"not written within {CLOSE_S:g} s")
        self._release(len(self._waiting))

    # In the loop

    def _settled(self, ticket: int, taken_at: float, trouble: Trouble | None) -> None:
        if trouble is not None:
            self.failures[trouble.kind] += 1
            self._give_in(trouble.text)
            return
        self._confirmed = ticket
        self._last_written_at = time.time()
        self._oldest_noted_at = None if ticket == self._noted else taken_at
        # All that is older than this is written: nothing has been waiting too long any more.
        if self._trouble and self._loop.time() - taken_at < self._patience_s:
            _log.info("journal_restored")
            self._trouble = ""
        self._release(sum(noted <= ticket for noted, _ in self._waiting))

    def _lose_patience(self) -> None:
        self._give_up = None
        self.failures["late"] += 1
        self._give_in(f"no write was done within {self._patience_s:g} s")

    def _give_in(self, trouble: str) -> None:
        """Service goes on; what a crash would now cost is said, once for each reason."""
        if trouble != self._trouble:
            self._trouble = trouble
            _log.error("journal_failed", reason=trouble, waiting=self._noted - self._confirmed)
        self._release(len(self._waiting))

    def _release(self, count: int) -> None:
        released = [self._waiting.popleft()[1] for _ in range(count)]
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None
        if self._waiting:
            self._give_up = self._loop.call_later(self._patience_s, self._lose_patience)
        for callback in released:
            callback()

    # In the thread

    def _run(self) -> None:
        pace = TokenBucket(per_s=WRITES_PER_S, burst=BURST_OF_WRITES)
        retry_s = self._first_retry_s
        while True:
            self._news.wait()
            self._news.clear()
            while not pace.take(time.monotonic()) and not self._closing.is_set():
                time.sleep(1 / WRITES_PER_S)
            with self._lock:
                taken, self._pending, ticket = self._pending, None, self._noted
            taken_at = time.monotonic()
            error = None if taken is None else self._try_to_write(taken)
            if taken is not None:
                self._tell(ticket, taken_at, error)
            if taken is not None and error is not None:
                self._put_back(taken)
                self._closing.wait(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            else:
                retry_s = self._first_retry_s
            if self._closing.is_set() and (error is not None or self._pending is None):
                break
        if self._file is not None:
            with contextlib.suppress(sqlite3.Error):
                self._file.close()

    def _try_to_write(self, pending: _Pending) -> Trouble | None:
        try:
            if self._file is None:
                self._file = self._reopen()
            self._file.write(pending.as_change())
        except (sqlite3.Error, OSError) as error:
            return trouble_of(error)
        self.writes += 1
        self.rows += len(pending.bindings)
        self._highest_id = max(self._highest_id, max(pending.bindings, default=0))
        return None

    def _put_back(self, taken: _Pending) -> None:
        with self._lock:
            if self._pending is not None:
                taken.merge(self._pending)
            taken.bindings = {
                key: binding
                for key, binding in taken.bindings.items()
                if binding is not None or key <= self._highest_id  # came and went: never written
            }
            self._pending = taken
        self._news.set()

    def _tell(self, ticket: int, taken_at: float, trouble: Trouble | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before us
            self._loop.call_soon_threadsafe(self._settled, ticket, taken_at, trouble)
