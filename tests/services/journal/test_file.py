"""The file: what is written comes back, what is no journal of ours is never half-loaded."""

import shutil
import sqlite3
import stat
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mag.protocol.hold import Hold
from mag.protocol.ordering import OrderingMarks
from mag.protocol.registration import RegistrationState
from mag.protocol.stored_state import StateChange, StoredState
from mag.services.journal.file import JournalFile
from mag.services.journal.opening import JournalInUseError, OpenedJournal, open_journal
from mag.services.journal.schema import STEPS
from services.journal.conftest import LMA, OWNER, binding

FIRST_COUNTER = 1_700_000_000


def opened(path: Path, owner: IPv6Address = OWNER, counter: int = FIRST_COUNTER) -> OpenedJournal:
    return open_journal(path, owner, counter)


def let_go(journal: OpenedJournal) -> None:
    if journal.file is not None:
        journal.file.close()
    if journal.lock is not None:
        journal.lock.release()


def written(path: Path, *bindings: int) -> None:
    journal = opened(path)
    assert journal.file is not None
    journal.file.write(StateChange({number: binding(number) for number in bindings}))
    let_go(journal)


def test_what_is_written_comes_back(path: Path) -> None:
    kept = {
        1: binding(1),
        2: binding(
            2, state=RegistrationState.REGISTERING, home_network_prefixes=(), last_status=None
        ),
        3: binding(
            3,
            state=RegistrationState.HELD,
            home_network_prefixes=(),
            hold=Hold("the LMA prohibits it", 129, is_of_node=True),
        ),
        2**63 - 1: binding(2**63 - 1 & 0xFFFF, binding_id=2**63 - 1, last_sequence=None),
    }
    marks = OrderingMarks(65535, 2**47)
    journal = opened(path)
    assert journal.state == StoredState(FIRST_COUNTER)
    assert journal.file is not None
    journal.file.write(StateChange(kept, marks, {LMA: 2**32 - 1}))
    journal.file.write(StateChange({2: None, 7: None}))
    let_go(journal)
    again = opened(path, counter=FIRST_COUNTER + 99)
    let_go(again)
    # The restart counter stays: no binding has been lost (RFC 5847 §3.2).
    assert again.state == StoredState(
        FIRST_COUNTER, (kept[1], kept[3], kept[2**63 - 1]), marks, {LMA: 2**32 - 1}
    )


def test_nobody_else_can_read_it(path: Path) -> None:
    """It holds identities and addresses of people."""
    journal = opened(path)
    assert journal.file is not None
    journal.file.write(StateChange({1: binding()}))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    let_go(journal)
    assert set(modes.values()) == {0o600}
    assert "journal.db-wal" in modes


def corrupt(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    for page in range(4096, len(octets), 4096):
        octets[page : page + 512] = bytes(512)
    path.write_bytes(octets)


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 500), "not a database"),
        (corrupt, "it is damaged"),
        (lambda path: change(path, "PRAGMA application_id = 7"), "something else"),
        (lambda path: change(path, f"PRAGMA user_version = {len(STEPS) + 1}"), "a newer gateway"),
        (
            lambda path: change(path, "UPDATE bindings SET state = 'flying' WHERE binding_id = 2"),
            "flying",
        ),
        (
            lambda path: change(
                path, "UPDATE bindings SET home_network_prefixes = 'x' WHERE binding_id = 2"
            ),
            "x",
        ),
        (
            lambda path: change(path, "UPDATE bindings SET state = 'gone' WHERE binding_id = 2"),
            "gone",
        ),
        (
            lambda path: change(
                path,
                "UPDATE bindings SET home_network_prefixes ="
                " (SELECT home_network_prefixes FROM bindings WHERE binding_id = 1)",
            ),
            "one home network prefix",
        ),
        (lambda path: change(path, "DROP TABLE bindings"), "no such table"),
        (
            lambda path: change(path, "UPDATE gateway SET proxy_care_of_address = '2001:db8::99'"),
            "journal of 2001:db8::99",
        ),
    ],
    ids=[
        "no database",
        "damaged",
        "foreign",
        "newer",
        "unknown state",
        "no prefix",
        "gone binding",
        "prefix twice",
        "table missing",
        "another gateway's",
    ],
)
def test_what_is_no_journal_of_ours_is_put_aside_whole(
    path: Path, spoil: object, words: str
) -> None:
    """And the gateway starts empty, says so, and has a journal again."""
    written(path, 1, 2)
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes()
    with capture_logs() as logs:
        journal = opened(path, counter=FIRST_COUNTER + 5)
    assert journal.state == StoredState(FIRST_COUNTER + 5)
    (log,) = logs
    assert log["event"] == "journal_refused"
    assert words in log["reason"]
    aside = Path(log["kept_as"])
    assert aside.name.startswith("journal.db.refused-")
    assert aside.read_bytes() == before
    assert journal.file is not None
    journal.file.write(StateChange({1: binding()}))
    let_go(journal)
    again = opened(path)
    let_go(again)
    assert len(again.state.bindings) == 1


def test_older_journal_goes_through_every_step(path: Path) -> None:
    """The mechanism, with a second version that adds a column and fills it."""
    written(path, 1, 2)
    to_second = (
        "ALTER TABLE bindings ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';"
        "UPDATE bindings SET colour = 'red' WHERE binding_id = 2"
    )
    to_third = "CREATE TABLE extra (what TEXT)"
    for steps in ([*STEPS, to_second], [*STEPS, to_second, to_third]):
        JournalFile.open(path, steps).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT colour FROM bindings").fetchall() == [("grey",), ("red",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 2,)
    connection.close()


def test_journal_of_the_first_version_is_gone_on_with(path: Path) -> None:
    """Written by a gateway of commit 65135af that was killed while three nodes pinged."""
    path.parent.mkdir()
    shutil.copy(Path(__file__).with_name("version1.db"), path)
    with capture_logs() as logs:
        journal = opened(path, IPv6Address("2001:db8:c0::11"))
    assert journal.file is not None
    assert logs == []
    state = journal.state
    assert (state.restart_counter, state.marks) == (
        1795692854,
        OrderingMarks(35173, 117682527049234),
    )
    assert [
        (each.binding_id, each.mn_id, *map(str, each.home_network_prefixes))
        for each in state.bindings
    ] == [
        (1, b"mn3@lab.example", "2001:db8:300::/64"),
        (2, b"mn1@lab.example", "2001:db8:100::/64"),
        (3, b"mn2@lab.example", "2001:db8:100:1::/64"),
    ]
    first = state.bindings[0]
    assert (first.state, first.lifetime_s, first.last_sequence) == (
        RegistrationState.ACTIVE,
        40,
        31077,
    )
    assert first.node_address == IPv6Address("fe80::ff:fe00:103")
    # Which router the node knows is not told: it is the one of all links.
    assert first.gateway_link_local_address is None
    router = IPv6Address("fe80::1")
    journal.file.write(StateChange({1: replace(first, gateway_link_local_address=router)}))
    let_go(journal)
    again = opened(path, IPv6Address("2001:db8:c0::11"))
    let_go(again)
    by_id = {each.binding_id: each for each in again.state.bindings}
    assert by_id[1].gateway_link_local_address == router
    assert by_id[2] == state.bindings[1]


def test_migration_that_fails_changes_nothing(path: Path) -> None:
    written(path, 1)
    with pytest.raises(sqlite3.Error):
        JournalFile.open(path, [*STEPS, "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)"])
    journal = opened(path)
    let_go(journal)
    assert len(journal.state.bindings) == 1


def test_copy_of_a_killed_gateways_files_is_whole(path: Path, tmp_path: Path) -> None:
    """As after kill -9: the log beside the file is not yet in it."""
    journal = opened(path)
    assert journal.file is not None
    journal.file.write(StateChange({number: binding(number) for number in range(1, 101)}))
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    let_go(journal)
    again = opened(copy)
    let_go(again)
    assert len(again.state.bindings) == 100


def test_second_gateway_on_the_journal_is_refused(path: Path) -> None:
    journal = opened(path)
    with pytest.raises(JournalInUseError, match="in use by another gateway"):
        opened(path)
    let_go(journal)


def test_folder_that_cannot_be_made_is_said_and_the_gateway_starts_empty(tmp_path: Path) -> None:
    (tmp_path / "mag").write_text("a file where the folder should be")
    with capture_logs() as logs:
        journal = opened(tmp_path / "mag" / "journal.db")
    assert journal.file is None
    assert journal.state == StoredState(FIRST_COUNTER)
    assert "journal_failed" in [log["event"] for log in logs]


def test_prefixes_keep_their_order(path: Path) -> None:
    """A refresh names them as they were granted."""
    prefixes = tuple(IPv6Network((0x20010DB8 << 96 | n << 64, 64)) for n in (9, 3, 5))
    kept = replace(binding(), home_network_prefixes=prefixes)
    journal = opened(path)
    assert journal.file is not None
    journal.file.write(StateChange({1: kept}))
    let_go(journal)
    again = opened(path)
    let_go(again)
    assert again.state.bindings == (kept,)


@pytest.mark.parametrize("count", [1, 3, 16, 21, 255, 256, 700])
def test_change_of_any_size_is_written_whole(path: Path, count: int) -> None:
    """Rows go in portions: none is left out, none takes another's place."""
    written(path, *range(1, count + 1))
    again = opened(path)
    let_go(again)
    assert again.state.bindings == tuple(binding(number) for number in range(1, count + 1))
