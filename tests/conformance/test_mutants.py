"""The list of mutants follows the code, and the tool tells what became of each."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.mutant_list import SOURCES, Mutant, defects, load
from conformance.requirement_list import load as load_requirements

ROOT = Path(__file__).parents[2]
MUTANTS = load()
AREAS = {
    *(
        "ACFG",
        "ATT",
        "BUL",
        "CFG",
        "DEREG",
        "DETACH",
        "DR",
        "HNE",
        "LINK",
        "LLA",
        "LR",
        "MH",
        "MNID",
        "ND",
    ),
    *("PBA", "PBU", "PROF", "RA", "RENUM", "REREG", "RTX", "SEQ", "TS", "TUN"),
}
DOUBLE = Mutant(("TS-05",), "doubles nothing", "double.py", "2 * value", "value")
JUDGE = f"""
import sys
from pathlib import Path
from conformance.mutant_list import Mutant
from support.script import load_script
tool = load_script("mutants")
tool.ROOT, tool.COPIED = Path(sys.argv[1]), ("agent", "pyproject.toml", "tests")
print(tool.judge({DOUBLE!r}, ["tests/test_it.py"])[0])
"""
SOURCE = "def double(value):\n    return 2 * value\n"


def test_every_mutant_can_be_made() -> None:
    """What a rule's line is now stands in mutants.yaml; whoever changes one changes the other."""
    assert defects(MUTANTS) == []


def test_there_are_mutants_of_every_area() -> None:
    assert len(MUTANTS) >= 60
    assert {rule.partition("-")[0] for mutant in MUTANTS for rule in mutant.rules} == AREAS


def test_mutants_break_rules_that_are_covered() -> None:
    covered = {row.id for row in load_requirements()[1] if row.status == "covered"}
    assert {rule for mutant in MUTANTS for rule in mutant.rules} <= covered


def test_no_two_mutants_are_alike() -> None:
    changes = [(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS]
    assert len(changes) == len(set(changes))


# The tool


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with one rule, and room for its tests."""
    (tmp_path / SOURCES).mkdir(parents=True)
    (tmp_path / SOURCES / "double.py").write_text(SOURCE)
    return tmp_path


def test_mutant_breaks_its_line_and_no_other(tree: Path) -> None:
    DOUBLE.apply(tree)
    assert (tree / SOURCES / "double.py").read_text() == SOURCE.replace("2 * value", "value")


@pytest.mark.parametrize(
    "change", [{"old": "3 * value"}, {"old": "value"}, {"file": "gone.py"}, {"new": "2 * value"}]
)
def test_mutant_that_no_longer_fits_is_told(tree: Path, change: dict[str, str]) -> None:
    assert defects([DOUBLE], tree) == []
    (found,) = defects([replace(DOUBLE, **change)], tree)
    assert found.startswith("TS-05: doubles nothing")


def test_mutant_that_stands_twice_is_not_made(tree: Path) -> None:
    with pytest.raises(ValueError, match="stands 2 times"):
        replace(DOUBLE, old="value").apply(tree)


@pytest.mark.parametrize(
    ("test", "fate"),
    [
        ("def test_it(): assert double(2) == 4", "killed"),
        ("def test_it(): assert double(0) == 0", "survived"),
        ("from double import gone", "broken"),
    ],
    ids=["test that notices", "test that does not", "test that cannot run"],
)
def test_fate_of_a_mutant_is_what_its_tests_say(tree: Path, test: str, fate: str) -> None:
    (tree / "tests").mkdir()
    (tree / "tests" / "test_it.py").write_text(f"from double import double\n{test}\n")
    (tree / "pyproject.toml").write_text(f'[tool.pytest.ini_options]\npythonpath = ["{SOURCES}"]\n')
    judged = subprocess.run(
        [sys.executable, "-c", JUDGE, str(tree)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert judged.stdout.split()[-1] == fate
