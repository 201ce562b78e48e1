"""What may be wrong with a disk or a file, in a word and in the system's own text."""

import errno
import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

DISK_FULL: Final = "disk_full"
READ_ONLY: Final = "read_only"
CANNOT_OPEN: Final = "cannot_open"
BUSY: Final = "busy"
INPUT_OUTPUT: Final = "input_output"
OTHER: Final = "other"

_PRIMARY_CODE: Final = 0xFF
_OF_SQLITE: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: CANNOT_OPEN,
    sqlite3.SQLITE_PERM: CANNOT_OPEN,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_IOERR: INPUT_OUTPUT,
    sqlite3.SQLITE_NOMEM: OTHER,
}
"""Primary result codes that say nothing against the file itself."""
_OF_THE_SYSTEM: Final[Mapping[int | None, str]] = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: CANNOT_OPEN,
    errno.EPERM: CANNOT_OPEN,
    errno.ENOENT: CANNOT_OPEN,
    errno.ENOTDIR: CANNOT_OPEN,
    errno.EIO: INPUT_OUTPUT,
}


class Trouble(NamedTuple):
    """Why something could not be written or read."""

    kind: str
    """One of the words above."""
    text: str


def trouble_of(error: Exception) -> Trouble:
    """Of an error of sqlite3 or of the system."""
    if isinstance(error, sqlite3.Error):
        return Trouble(_OF_SQLITE.get(_code(error), OTHER), str(error))
    if isinstance(error, OSError):
        return Trouble(_OF_THE_SYSTEM.get(error.errno, OTHER), error.strerror or str(error))
    return Trouble(OTHER, str(error))


def is_of_the_machine(error: Exception) -> bool:
    """Whether the file itself may well be a journal of ours."""
    if isinstance(error, sqlite3.Error):
        return _code(error) in _OF_SQLITE
    return isinstance(error, OSError)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
