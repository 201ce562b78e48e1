"""The SQLite file behind the journal: opened or refused, read as a whole, written in batches."""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import IPv6Address
from itertools import chain
from pathlib import Path
from typing import Final, Self

from mag.protocol.ordering import OrderingMarks
from mag.protocol.registration import RegistrationState
from mag.protocol.stored_binding import StoredBinding
from mag.protocol.stored_state import StateChange, StoredState
from mag.services.journal.rows import COLUMNS, Row, binding_of, row_of
from mag.services.journal.schema import STEPS, JournalUnusableError, migrate

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_BESIDE: Final = ("", "-wal", "-shm")
"""What an SQLite file consists of."""
_BUSY_S: Final = 0.2
"""A reader that copies the file may hold us up for so long at a time."""
_WAL_PAGES: Final = 4096
"""Pages of 4 KiB in the log before they go into the file proper."""

_ROW: Final = f"({', '.join('?' * len(COLUMNS))})"
_PUT: Final = {
    count: f"INSERT OR REPLACE INTO bindings ({', '.join(COLUMNS)})"  # noqa: S608 - our own names
    f" VALUES {', '.join([_ROW] * count)}"
    for count in (256, 64, 16, 4, 1)
}
"""Statements for so many rows. Each row on its own would hand the interpreter to the event loop
and take it back, which costs a loop that is busy more than the row itself."""
_ALL: Final = f"SELECT {', '.join(COLUMNS)} FROM bindings ORDER BY expires_at"  # noqa: S608 - our own names
"""Those that end first are looked at first."""


class JournalFile:
    """One open file; used by one thread at a time. Methods raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path, steps: Sequence[str] = STEPS) -> Self:
        """Open the file, made anew if there is none, readable by nobody else: it holds personal
        data. Raises OSError, sqlite3.Error or JournalUnusableError."""
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            os.fchmod(descriptor, _FILE_MODE)
        finally:
            os.close(descriptor)
        connection = _connect(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A commit survives us at once, and loss of power from the next checkpoint on.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            migrate(connection, steps)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def begin(self, proxy_care_of_address: IPv6Address, restart_counter: int) -> None:
        """Say whose the journal is, and how often its gateway has lost its bindings."""
        self._connection.execute(
            "INSERT INTO gateway (only_row, proxy_care_of_address, restart_counter)"
            " VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE"
            " SET proxy_care_of_address = ?1, restart_counter = ?2",
            (str(proxy_care_of_address), restart_counter),
        )

    def load(self, proxy_care_of_address: IPv6Address) -> StoredState | None:
        """Everything, or nothing: None if it was never begun. Raises JournalUnusableError."""
        if (found := self.read()) is None:
            return None
        owner, state = found
        if owner != proxy_care_of_address:
            raise JournalUnusableError(
                f"it is the journal of {owner}, and this gateway is {proxy_care_of_address}"
            )
        return state

    def read(self) -> tuple[IPv6Address, StoredState] | None:
        """The same, with the Proxy-CoA of the gateway that it is of."""
        ((verdict,), *_) = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise JournalUnusableError(f"it is damaged: {verdict.splitlines()[-1]}")
        gateway = self._connection.execute(
            "SELECT proxy_care_of_address, restart_counter, next_sequence, next_timestamp_ticks"
            " FROM gateway"
        ).fetchone()
        if gateway is None:
            return None
        owner, restart_counter, sequence, ticks = gateway
        bindings = tuple(map(binding_of, self._connection.execute(_ALL)))
        _check(bindings)
        return IPv6Address(owner), StoredState(
            restart_counter=int(restart_counter),
            bindings=bindings,
            marks=None if sequence is None else OrderingMarks(int(sequence), int(ticks)),
            lma_restart_counters={
                IPv6Address(address): int(counter)
                for address, counter in self._connection.execute("SELECT * FROM lmas")
            },
        )

    def write(self, change: StateChange) -> None:
        """All of it or nothing."""
        gone = [(key,) for key, binding in change.bindings.items() if binding is None]
        there = [row_of(binding) for binding in change.bindings.values() if binding is not None]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM bindings WHERE binding_id = ?", gone)
            for statement, rows in _in_portions(there):
                connection.execute(statement, tuple(chain.from_iterable(rows)))
            if change.marks is not None:
                connection.execute(
                    "UPDATE gateway SET next_sequence = ?, next_timestamp_ticks = ?",
                    (change.marks.sequence, change.marks.timestamp_ticks),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO lmas VALUES (?, ?)",
                [(str(lma), counter) for lma, counter in change.lma_restart_counters.items()],
            )

    def close(self) -> None:
        """Everything into the one file, and let go of it."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back already
                self._connection.execute("ROLLBACK")
            raise


class JournalLock:
    """Held by the one gateway that writes a journal, for as long as it lives."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, BlockingIOError among them if another gateway has it."""
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(f"{path}.lock", flags, _FILE_MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let another have it."""
        os.close(self._descriptor)


def octets_of(path: Path) -> int:
    """Size of the file with what lies beside it; 0 where there is none."""
    octets = 0
    for suffix in _BESIDE:
        with contextlib.suppress(OSError):
            octets += Path(f"{path}{suffix}").stat().st_size
    return octets


def set_aside(path: Path, why: str) -> Path:
    """Move the file aside, whole, for somebody to look at; returns its new path.

    why: one word, which becomes part of the name.
    """
    aside = path.with_name(f"{path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    for suffix in reversed(_BESIDE):  # the file itself last: until then it is all still there
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def load_copy(path: Path, proxy_care_of_address: IPv6Address) -> StoredState | None:
    """Read a journal where nothing can be written. Raises as JournalFile.open and load."""
    with tempfile.TemporaryDirectory(prefix="mag-journal-") as folder:
        copy = Path(folder, path.name)
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        if not copy.exists():
            return None
        file = JournalFile.open(copy)
        try:
            return file.load(proxy_care_of_address)
        finally:
            file.close()


def _in_portions(rows: Sequence[Row]) -> Iterator[tuple[str, Sequence[Row]]]:
    """All rows, with the statement for as many as come with it."""
    begin = 0
    for count, statement in _PUT.items():
        while len(rows) - begin >= count:
            yield statement, rows[begin : begin + count]
            begin += count


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=16
    )


def _check(bindings: Sequence[StoredBinding]) -> None:
    """What could not have been written by a gateway is no journal."""
    prefixes = [prefix for each in bindings for prefix in each.home_network_prefixes]
    if len(set(prefixes)) != len(prefixes):
        raise JournalUnusableError("two bindings hold one home network prefix")
    interfaces = {
        (each.mn_id, each.attachment.mn_link_layer_id or each.attachment.access_interface)
        for each in bindings
    }
    if len(interfaces) != len(bindings):
        raise JournalUnusableError("a node has two bindings of one interface")
    if any(each.state is RegistrationState.GONE for each in bindings):
        raise JournalUnusableError("it holds a binding that is gone")
