"""The thread behind the journal: coalescing, order, and a disk that fails or dawdles."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

from structlog.testing import capture_logs

from mag.protocol.stored_binding import StoredBinding
from mag.protocol.stored_state import StateChange
from mag.services.journal.binding_journal import BindingJournal
from mag.services.journal.file import JournalFile
from services.journal.conftest import OWNER, binding
from support.waiting import eventually


class Disk:
    """A journal file whose disk the test can hold up or break."""

    def __init__(self, path: Path) -> None:
        self.file = JournalFile.open(path)
        self.file.begin(OWNER, 1)
        self.path = path
        self.batches: list[dict[int, StoredBinding | None]] = []
        self.turns = threading.Event()
        self.turns.set()
        self.trouble: Exception | None = None

    def write(self, change: StateChange) -> None:
        self.turns.wait(10)
        if self.trouble is not None:
            raise self.trouble
        self.batches.append(dict(change.bindings))
        self.file.write(change)

    def execute(self, pragma: str) -> None:
        """Have the file itself misbehave from now on."""
        self.file._connection.execute(pragma)

    def close(self) -> None:
        self.file.close()

    def bindings(self) -> dict[int, StoredBinding]:
        """What another process would find."""
        connection = JournalFile.open(self.path)
        state = connection.load(OWNER)
        connection.close()
        assert state is not None
        return {each.binding_id: each for each in state.bindings}


def journal_on(disk: Disk, **changes: float) -> BindingJournal:
    def reopen() -> JournalFile:
        raise AssertionError("the file is open")

    return BindingJournal(disk.path, disk, reopen=reopen, **changes)  # type: ignore[arg-type]


async def test_nothing_is_told_written_before_it_is(path: Path) -> None:
    disk = Disk(path)
    disk.turns.clear()
    journal = journal_on(disk, patience_s=60)
    told: list[int] = []
    for number in range(1, 4):
        journal.note(StateChange({number: binding(number)}))
        journal.when_written(lambda number=number: told.append(number))  # type: ignore[misc]
    assert told == []
    disk.turns.set()
    await journal.written()
    assert told == [1, 2, 3]
    assert set(disk.bindings()) == {1, 2, 3}
    journal.when_written(lambda: told.append(4))
    assert told[-1] == 4
    await journal.close()


async def test_slow_disk_sees_the_last_of_many_changes(path: Path) -> None:
    """Memory grows with bindings, not with what happens to them."""
    disk = Disk(path)
    disk.turns.clear()
    journal = journal_on(disk, patience_s=60)
    for lifetime_s in range(4, 4004, 4):
        journal.note(StateChange({1: binding(1, lifetime_s=lifetime_s), 2: binding(2)}))
    disk.turns.set()
    await journal.written()
    assert sum(len(batch) for batch in disk.batches) <= 4
    assert disk.bindings()[1].lifetime_s == 4000
    await journal.close()


async def test_service_waits_for_no_dawdling_disk(path: Path) -> None:
    disk = Disk(path)
    disk.turns.clear()
    journal = journal_on(disk, patience_s=0.01)
    with capture_logs() as logs:
        journal.note(StateChange({1: binding()}))
        await journal.written()
        journal.note(StateChange({2: binding(2)}))
        await journal.written()
        assert disk.batches == []
        disk.turns.set()
        await eventually(lambda: len(logs) == 2)
    assert [log["event"] for log in logs] == ["journal_failed", "journal_restored"]
    assert journal.failures == {"late": 1}
    assert set(disk.bindings()) == {1, 2}
    await journal.close()


async def test_disk_that_keeps_up_again_is_waited_for_again(path: Path) -> None:
    """In the midst of a storm, too: something new has come by the end of every write."""
    disk = Disk(path)
    disk.turns.clear()
    journal = journal_on(disk, patience_s=0.05)
    loop, write, numbers = asyncio.get_running_loop(), disk.write, iter(range(2, 1000))
    is_storm = True

    async def note_another() -> None:
        if is_storm:
            journal.note(StateChange({next(numbers): binding(1)}))

    def write_while_more_comes(change: StateChange) -> None:
        write(change)
        asyncio.run_coroutine_threadsafe(note_another(), loop).result()

    disk.write = write_while_more_comes  # type: ignore[method-assign]
    journal.note(StateChange({1: binding(1)}))
    await journal.written()
    assert journal.status().trouble
    disk.turns.set()
    await eventually(lambda: not journal.status().trouble)
    assert journal.status().behind_s > 0
    is_storm = False
    await journal.written()
    await journal.close()


async def test_full_disk_is_said_once_and_what_was_missed_is_written_later(path: Path) -> None:
    disk = Disk(path)
    journal = journal_on(disk, patience_s=60, first_retry_s=0.001)
    journal.note(StateChange({1: binding(1)}))
    await journal.written()
    disk.execute("PRAGMA max_page_count = 1")
    with capture_logs() as logs:
        journal.note(StateChange({number: binding(number) for number in range(100, 300)}))
        journal.note(StateChange({2: binding(2), 1: None}))
        await journal.written()
        await eventually(lambda: journal.failures["disk_full"] >= 3)
        status = journal.status()
        assert "full" in status.trouble
        assert status.behind_s > 0
        journal.note(StateChange(dict.fromkeys(range(100, 300))))
        journal.note(StateChange({3: binding(3), 2: None}))
        disk.execute("PRAGMA max_page_count = 1000000")
        await eventually(lambda: logs and logs[-1]["event"] == "journal_restored")
    assert [log["event"] for log in logs] == ["journal_failed", "journal_restored"]
    assert "full" in logs[0]["reason"]
    assert (journal.status().trouble, journal.status().behind_s) == ("", 0)
    assert set(disk.bindings()) == {3}
    await journal.close()


async def test_status_tells_size_age_and_what_was_written(path: Path) -> None:
    disk = Disk(path)
    journal = journal_on(disk, patience_s=60)
    before = journal.status()
    assert (before.last_written_at, before.behind_s, before.rows) == (None, 0, 0)
    begun = time.time()
    journal.note(StateChange({1: binding(1), 2: binding(2)}))
    await journal.written()
    journal.note(StateChange({1: None}))
    await journal.written()
    status = journal.status()
    assert (status.path, status.trouble, status.behind_s) == (str(path), "", 0)
    assert (status.transactions, status.rows) == (2, 3)
    assert status.last_written_at is not None
    assert begun <= status.last_written_at <= time.time()
    assert status.octets == sum(each.stat().st_size for each in path.parent.iterdir())
    assert journal.failures == {}
    await journal.close()


async def test_write_protected_file_is_counted_as_that(path: Path) -> None:
    disk = Disk(path)
    disk.execute("PRAGMA query_only = ON")
    journal = journal_on(disk, patience_s=60, first_retry_s=0.001)
    journal.note(StateChange({1: binding(1)}))
    await journal.written()
    await eventually(lambda: journal.failures["read_only"] >= 2)
    assert "readonly" in journal.status().trouble
    disk.execute("PRAGMA query_only = OFF")
    await eventually(lambda: not journal.status().trouble)
    await journal.close()


async def test_what_came_and_went_while_the_disk_was_full_is_not_remembered(path: Path) -> None:
    """However long that lasts."""
    disk = Disk(path)
    disk.trouble = sqlite3.OperationalError("database or disk is full")
    journal = journal_on(disk, first_retry_s=0.001)
    for number in range(1, 200):
        journal.note(StateChange({number: binding(number)}))
        journal.note(StateChange({number: None}))
        await journal.written()
    await eventually(lambda: journal.failures["other"] >= 3)
    disk.trouble = None
    await eventually(lambda: disk.batches)
    assert len(disk.batches[0]) <= 1
    await journal.close()


async def test_file_that_could_not_be_opened_is_tried_again(path: Path) -> None:
    attempts = []

    def reopen() -> JournalFile:
        attempts.append(1)
        if len(attempts) < 3:
            raise PermissionError(13, "Permission denied")
        file = JournalFile.open(path)
        file.begin(OWNER, 1)
        return file

    journal = BindingJournal(path, None, reopen=reopen, first_retry_s=0.001)
    journal.note(StateChange({1: binding()}))
    await journal.written()
    await eventually(lambda: len(attempts) == 3 and journal.writes == 1)
    assert journal.failures == {"cannot_open": 2}
    await journal.close()


async def test_close_writes_what_is_left(path: Path) -> None:
    disk = Disk(path)
    journal = journal_on(disk)
    journal.note(StateChange({1: binding()}))
    await journal.close()
    await journal.close()
    assert set(disk.bindings()) == {1}


async def test_storm_is_a_bounded_number_of_writes(path: Path) -> None:
    """Many rows in few transactions, and the loop never waits."""
    disk = Disk(path)
    journal = journal_on(disk, patience_s=60)
    for number in range(1, 3001):
        journal.note(StateChange({number: binding(number)}))
        if number % 10 == 0:
            await asyncio.sleep(0)
    await journal.written()
    assert len(disk.bindings()) == 3000
    assert journal.writes < 200
    await journal.close()
