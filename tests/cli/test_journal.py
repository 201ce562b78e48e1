"""`mag journal`: no gateway is asked, and what stands in the way is one line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mag.cli.app import app
from mag.protocol.stored_state import StateChange
from mag.services.journal.file import JournalFile, JournalLock
from services.journal.conftest import OWNER, binding


def mag(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["journal", *map(str, arguments)])


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    file = JournalFile.open(path)
    file.begin(OWNER, 5)
    file.write(StateChange({1: binding(1), 2: binding(2)}))
    file.close()
    return path


def test_show_says_whose_it_is_and_what_is_in_it(journal: Path) -> None:
    result = mag("show", journal)
    assert result.exit_code == 0
    for words in (str(journal), str(OWNER), "bindings: 2 active", "2 expired by now"):
        assert words in result.stdout
    document = json.loads(mag("show", journal, "--json").stdout)
    assert document["bindings"] == {"active": 2}
    assert document["proxy_care_of_address"] == str(OWNER)


def test_backup_and_restore(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert mag("backup", copy, "--journal", journal).exit_code == 0
    result = mag("restore", copy, "--journal", journal)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{journal}: of {OWNER}")
    assert second.startswith(f"the journal that was there is kept as {journal}.replaced-")


def test_what_stands_in_the_way_is_one_line(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    mag("backup", copy, "--journal", journal)
    lock = JournalLock(journal)
    for arguments, words in (
        (("backup", copy, "--journal", journal), "there already"),
        (("restore", copy, "--journal", journal), "in use by a gateway"),
        (("show", tmp_path / "none.db"), "No such file"),
        (("show", Path(__file__)), "not a database"),
        (("backup", tmp_path / "no" / "copy.db", "--journal", journal), "No such file"),
    ):
        result = mag(*arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith("mag: ")
        assert result.stderr.count("\n") == 1
        assert words in result.stderr
    lock.release()
