"""Backups of a journal: taken while a gateway writes it, looked at, and put in its place again."""

import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from mag.frozen import frozen
from mag.protocol.ordering import SEQUENCE_BITS
from mag.protocol.stored_state import StoredState
from mag.services.journal.file import JournalFile, JournalLock, octets_of, set_aside
from mag.services.journal.schema import JournalUnusableError, migrate

SEQUENCES_SKIPPED: Final = 4096
"""Of each session, by a journal that is put in place again: what may have been used since the
backup was taken, and few enough to be taken for the numbers after (RFC 6275 §9.5.1)."""
_FILE_MODE: Final = 0o600
_PATIENCE_S: Final = 5.0


@frozen
class Contents:
    """What is in a journal."""

    path: str
    octets: int
    changed_at: float
    """Seconds since 1970: when the file was written last."""
    proxy_care_of_address: IPv6Address
    restart_counter: int
    bindings: Mapping[str, int]
    """By state."""
    expired: int
    """Of them, by now."""


def look_into(path: Path, utc: float) -> Contents:
    """What a journal or a backup has, whether or not a gateway writes it.

    Raises OSError or JournalUnusableError; changes nothing.
    """
    with closing(sqlite3.connect(":memory:")) as memory:
        _copy(path, memory)
        try:
            migrate(memory)
            found = JournalFile(memory).read()
        except (sqlite3.DatabaseError, JournalUnusableError, ValueError, TypeError) as error:
            raise JournalUnusableError(f"{path}: {error}") from None
    if found is None:
        raise JournalUnusableError(f"{path}: it is empty")
    owner, state = found
    return Contents(
        path=str(path),
        octets=octets_of(path),
        changed_at=_changed_at(path),
        proxy_care_of_address=owner,
        restart_counter=state.restart_counter,
        bindings=dict(Counter(binding.state.value for binding in state.bindings)),
        expired=_expired(state, utc),
    )


def back_up(journal: Path, copy: Path, utc: float) -> Contents:
    """Copy a journal as it is at one moment into one new file. Raises as `look_into`.

    FileExistsError: there is something under the name of the copy.
    """
    if copy.exists():
        raise FileExistsError(f"{copy} is there already")
    part = _new_file(copy)
    try:
        with closing(sqlite3.connect(part)) as target:
            _copy(journal, target)
            target.execute("PRAGMA journal_mode = DELETE")
        look_into(part, utc)  # what is no journal is no backup
        part.rename(copy)
    finally:
        part.unlink(missing_ok=True)
    return look_into(copy, utc)


def put_back(copy: Path, journal: Path, utc: float) -> tuple[Contents, Path | None]:
    """Have the next start go on with a backup; returns it and where the former journal is kept.

    Since it was taken nodes may have left or moved and numbers have been used. So each binding is
    due to be extended at once: its node is asked for, then its LMA. Numbers of sessions go on far
    beyond the last one; timestamps are beyond it by themselves.
    Raises as `look_into`, and BlockingIOError while a gateway has the journal.
    """
    look_into(copy, utc)
    lock = JournalLock(journal)
    part = _new_file(journal)
    try:
        with closing(sqlite3.connect(part)) as target:
            _copy(copy, target)
            target.execute("PRAGMA journal_mode = DELETE")
            with target:
                target.execute(
                    "UPDATE bindings SET refresh_at = min(refresh_at, ?),"
                    " last_sequence = (last_sequence + ?) % ?",
                    (utc, SEQUENCES_SKIPPED, 1 << SEQUENCE_BITS),
                )
        former = set_aside(journal, "replaced") if journal.exists() else None
        part.rename(journal)
    finally:
        part.unlink(missing_ok=True)
        lock.release()
    return look_into(journal, utc), former


def _copy(source: Path, target: sqlite3.Connection) -> None:
    """All of it, as of one moment: what a gateway writes meanwhile is left out."""
    source.stat()  # names the file that is not there
    # Whoever writes it has a log beside it; without one SQLite need not leave anything there.
    how = "mode=ro" if Path(f"{source}-wal").exists() else "immutable=1"
    uri = f"{source.absolute().as_uri()}?{how}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S)) as connection:
            connection.backup(target)
    except sqlite3.Error as error:
        raise JournalUnusableError(f"{source}: {error}") from None


def _new_file(beside: Path) -> Path:
    """Readable by nobody else before anything is in it."""
    path = beside.with_name(f"{beside.name}.part")
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))
    return path


def _changed_at(path: Path) -> float:
    times = [path.stat().st_mtime]
    with suppress(FileNotFoundError):
        times.append(Path(f"{path}-wal").stat().st_mtime)
    return max(times)


def _expired(state: StoredState, utc: float) -> int:
    return sum(
        bool(binding.home_network_prefixes) and binding.expires_at <= utc
        for binding in state.bindings
    )
