"""Backups: whole while a gateway writes, refused where they are none, and put back with care."""

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mag.protocol.ordering import OrderingMarks
from mag.protocol.stored_state import StateChange
from mag.services.journal.copies import SEQUENCES_SKIPPED, back_up, look_into, put_back
from mag.services.journal.file import JournalFile, JournalLock
from mag.services.journal.opening import open_journal
from mag.services.journal.schema import JournalUnusableError
from services.journal.conftest import OWNER, binding

NOW = 1.7e9 + 100.0
MARKS = OrderingMarks(7, 1000)


@pytest.fixture
def file(path: Path) -> JournalFile:
    """As a gateway has it: open, and not all of it in the file proper."""
    file = JournalFile.open(path)
    file.begin(OWNER, 5)
    changes = {1: binding(1), 2: binding(2, expires_at=NOW - 1), 3: binding(3, last_sequence=None)}
    file.write(StateChange(changes, MARKS))
    return file


def test_backup_is_one_whole_file_while_a_gateway_writes(
    file: JournalFile, path: Path, tmp_path: Path
) -> None:
    file.write(StateChange({4: binding(4)}))
    copy = tmp_path / "backup.db"
    contents = back_up(path, copy, NOW)
    assert (contents.bindings, contents.expired) == ({"active": 4}, 1)
    assert contents.proxy_care_of_address == OWNER
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.db", "mag"]
    file.write(StateChange({5: binding(5)}))
    file.close()
    assert look_into(copy, NOW).bindings == {"active": 4}
    assert look_into(path, NOW).bindings == {"active": 5}


def test_looking_changes_nothing(file: JournalFile, path: Path) -> None:
    file.close()
    before = path.read_bytes()
    contents = look_into(path, NOW)
    assert (contents.path, contents.octets) == (str(path), len(before))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_backup_never_replaces_anything(file: JournalFile, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"
    copy.write_text("mine")
    with pytest.raises(FileExistsError, match="there already"):
        back_up(path, copy, NOW)
    assert copy.read_text() == "mine"


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        pytest.param(b"", "empty", id="nothing in it"),
        pytest.param(b"lmas: {}\n" * 99, "not a database", id="something else"),
        pytest.param(None, "something else", id="another program's"),
    ],
)
def test_what_is_no_journal_is_neither_copied_nor_put_back(
    file: JournalFile, path: Path, tmp_path: Path, octets: bytes | None, words: str
) -> None:
    file.close()
    before = path.read_bytes()
    bad = tmp_path / "bad.db"
    if octets is None:
        with sqlite3.connect(bad) as connection:
            connection.execute("CREATE TABLE songs (name TEXT)")
        connection.close()
    else:
        bad.write_bytes(octets)
    with pytest.raises(JournalUnusableError, match=words):
        back_up(bad, tmp_path / "copy.db", NOW)
    with pytest.raises(JournalUnusableError, match=words):
        put_back(bad, path, NOW)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bad.db", "mag"]


def test_backup_that_is_put_back_is_verified_and_reuses_no_number(
    file: JournalFile, path: Path, tmp_path: Path
) -> None:
    """Since it was taken nodes may have moved and numbers been used."""
    copy = tmp_path / "backup.db"
    back_up(path, copy, NOW)
    file.write(StateChange(dict.fromkeys((1, 2, 3)) | {9: binding(9)}))
    file.close()
    later = NOW + 1000
    contents, former = put_back(copy, path, later)
    assert contents.bindings == {"active": 3}
    assert former is not None
    assert ".replaced-" in former.name
    assert look_into(former, later).bindings == {"active": 1}
    opened = open_journal(path, OWNER, 77)
    assert opened.file is not None
    opened.file.close()
    first, second, third = sorted(opened.state.bindings, key=lambda each: each.binding_id)
    assert (first.refresh_at, second.refresh_at, third.refresh_at) == (later, later, later)
    assert first == replace(
        binding(1), refresh_at=later, last_sequence=(65535 + SEQUENCES_SKIPPED) % 2**16
    )
    assert third.last_sequence is None
    assert (opened.state.restart_counter, opened.state.marks) == (5, MARKS)
    assert look_into(copy, later).bindings == {"active": 3}


def test_backup_is_put_where_there_is_no_journal_any_more(
    file: JournalFile, path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "backup.db"
    back_up(path, copy, NOW)
    file.close()
    path.unlink()
    assert put_back(copy, path, NOW)[1] is None
    assert look_into(path, NOW).bindings == {"active": 3}


def test_journal_in_use_is_left_alone(file: JournalFile, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup.db"
    back_up(path, copy, NOW)
    lock = JournalLock(path)
    with pytest.raises(BlockingIOError):
        put_back(copy, path, NOW)
    lock.release()
    file.close()
    assert put_back(copy, path, NOW)[1] is not None
