"""Opening a journal at the start: what it says, or why it says nothing."""

import sqlite3
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

import structlog

from mag.frozen import frozen
from mag.protocol.stored_state import StoredState
from mag.services.journal.binding_journal import BindingJournal
from mag.services.journal.file import JournalFile, JournalLock, load_copy, set_aside
from mag.services.journal.schema import JournalUnusableError
from mag.services.journal.trouble import is_of_the_machine, trouble_of

_UNUSABLE: Final = (OSError, sqlite3.Error, JournalUnusableError, ValueError, TypeError)

_log = structlog.get_logger()


class JournalInUseError(Exception):
    """Another gateway writes this journal."""


@frozen
class OpenedJournal:
    """What an earlier run left, and the file to go on with."""

    path: Path
    state: StoredState
    file: JournalFile | None
    """None if it could not be opened for writing."""
    reopen: Callable[[], JournalFile]
    lock: JournalLock | None

    def start(self) -> BindingJournal:
        """Begin to write, in the running loop."""
        ids = (binding.binding_id for binding in self.state.bindings)
        return BindingJournal(
            self.path, self.file, reopen=self.reopen, highest_id=max(ids, default=0)
        )


def open_journal(
    path: Path, proxy_care_of_address: IPv6Address, first_counter: int
) -> OpenedJournal:
    """Read the journal; what is no journal of ours is moved aside and the gateway starts empty.

    first_counter: the restart counter of a gateway that has lost its bindings, or never had any.
    Raises JournalInUseError; any other trouble is logged, and service goes on without a journal.
    """
    lock = _lock(path)
    begin = partial(_begin, path, proxy_care_of_address)
    begin_empty = partial(begin, first_counter)
    empty = StoredState(first_counter)
    try:
        file, state = _open(path, proxy_care_of_address)
    except _UNUSABLE as error:
        if not is_of_the_machine(error):
            return OpenedJournal(path, empty, *_refuse(path, error, begin_empty), lock)
        _log.error("journal_failed", path=str(path), reason=trouble_of(error).text)
        state = _read_only(path, proxy_care_of_address)
        if state is None:
            return OpenedJournal(path, empty, None, partial(_begin_anew, begin_empty, path), lock)
        return OpenedJournal(path, state, None, partial(begin, state.restart_counter), lock)
    if state is not None:
        return OpenedJournal(path, state, file, partial(begin, state.restart_counter), lock)
    file.begin(proxy_care_of_address, first_counter)
    return OpenedJournal(path, empty, file, begin_empty, lock)


def _lock(path: Path) -> JournalLock | None:
    try:
        return JournalLock(path)
    except BlockingIOError:
        raise JournalInUseError(f"journal {path} is in use by another gateway") from None
    except OSError:  # opening the file says it better
        return None


def _open(path: Path, owner: IPv6Address) -> tuple[JournalFile, StoredState | None]:
    file = JournalFile.open(path)
    try:
        return file, file.load(owner)
    except BaseException:
        file.close()
        raise


def _begin(path: Path, owner: IPv6Address, restart_counter: int) -> JournalFile:
    file = JournalFile.open(path)
    file.begin(owner, restart_counter)
    return file


def _begin_anew(begin: Callable[[], JournalFile], path: Path) -> JournalFile:
    """A file that could not be read at the start is not ours to write into."""
    if path.exists() and path.stat().st_size:
        kept_as = set_aside(path, "refused")
        _log.warning("journal_refused", reason="it could not be read", kept_as=str(kept_as))
    return begin()


def _refuse(
    path: Path, error: Exception, begin: Callable[[], JournalFile]
) -> tuple[JournalFile | None, Callable[[], JournalFile]]:
    """Aside with it, whole; the gateway starts empty and says so."""
    try:
        kept_as = set_aside(path, "refused")
        _log.error(
            "journal_refused", path=str(path), reason=trouble_of(error).text, kept_as=str(kept_as)
        )
        return begin(), begin
    except (OSError, sqlite3.Error) as trouble:
        _log.error("journal_failed", path=str(path), reason=trouble_of(trouble).text)
        return None, begin


def _read_only(path: Path, owner: IPv6Address) -> StoredState | None:
    try:
        return load_copy(path, owner)
    except _UNUSABLE as error:
        _log.error("journal_unreadable", path=str(path), reason=trouble_of(error).text)
        return None
