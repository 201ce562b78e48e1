"""The conformance list, the marks of the tests, and the page that is made of both."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from conformance.requirement_list import Requirement, load
from support.script import load_script

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "scripts" / "conformance"
TITLES, REQUIREMENTS = load()
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "IMPL"}
LONGEST_TEXT = 110

RULE = Requirement("PBA", "PBA-13", "MUST NOT", "RFC 5213 §6.9.1.2(6)", "Silence", "covered")
NODE_ID = "tests/protocol/test_silence.py::TestEcho::test_silence[::1]"
JUNIT_NAME = "tests.protocol.test_silence.TestEcho.test_silence[::1]"
MARKED = {NODE_ID: ("PBA-13",)}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_script("conformance")


@pytest.fixture(scope="module")
def run() -> subprocess.CompletedProcess[str]:
    """The tool over the whole tree, writing nothing."""
    return subprocess.run(
        [sys.executable, TOOL, "--page"], capture_output=True, text=True, check=False
    )


def test_marks_of_the_tree_and_list_agree(run: subprocess.CompletedProcess[str]) -> None:
    """Every mark names a known requirement, every covered requirement has a test."""
    assert (run.returncode, run.stderr) == (0, "")


def test_page_shows_list_and_marks_as_they_are(run: subprocess.CompletedProcess[str]) -> None:
    """`make conformance` was run after the last change of either."""
    assert run.stdout == (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")


# The list


def test_every_id_is_there_once() -> None:
    assert max(Counter(row.id for row in REQUIREMENTS).values()) == 1


def test_ids_of_an_area_are_numbered_without_a_gap() -> None:
    """They are never renumbered and never taken away."""
    sizes = Counter(row.area for row in REQUIREMENTS)
    assert set(sizes) == set(TITLES)
    expected = [f"{area}-{n:02}" for area, size in sizes.items() for n in range(1, size + 1)]
    assert [row.id for row in REQUIREMENTS] == expected


def test_every_requirement_is_well_formed() -> None:
    """What is later says until when, what is declined says why, and nothing else says either."""
    assert [row.id for row in REQUIREMENTS if not is_well_formed(row)] == []


def is_well_formed(row: Requirement) -> bool:
    return (
        row.level in LEVELS
        and row.section.startswith("RFC ")
        and 0 < len(row.text) <= LONGEST_TEXT
        and row.status in ("covered", "later", "declined")
        and bool(row.until) == (row.status == "later")
        and bool(row.reason) == (row.status == "declined")
        and "|" not in row.text + row.section + row.until + row.reason
    )


@pytest.mark.parametrize(
    "change",
    [
        {"level": "OUGHT"},
        {"text": ""},
        {"text": "x" * 111},
        {"status": "later"},
        {"status": "declined"},
        {"status": "done"},
        {"until": "soon"},
        {"reason": "a | b"},
    ],
    ids=str,
)
def test_ill_formed_requirement_is_told(change: dict[str, str]) -> None:
    assert is_well_formed(RULE)
    assert not is_well_formed(replace(RULE, **change))


# The tool


def test_covered_requirement_with_a_test_is_no_fault(tool: ModuleType) -> None:
    assert tool.faults([RULE], MARKED, None) == []
    assert tool.state_of(RULE, tool.shown_by(MARKED, None)) == "covered"


@pytest.mark.parametrize("level", ["MUST", "MUST NOT", "MAY"])
def test_covered_requirement_without_a_test_is_a_fault_at_every_level(
    tool: ModuleType, level: str
) -> None:
    (fault,) = tool.faults([replace(RULE, level=level)], {}, None)
    assert fault == f"PBA-13 ({level}) is said to be covered, but no test carries it"
    assert tool.state_of(RULE, set()) == "missing"


@pytest.mark.parametrize("status", ["later", "declined"])
def test_requirement_that_is_put_off_needs_no_test(tool: ModuleType, status: str) -> None:
    row = replace(RULE, status=status)
    assert tool.faults([row], {}, None) == []
    assert tool.state_of(row, set()) == status


def test_mark_that_names_no_requirement_is_a_fault(tool: ModuleType) -> None:
    (fault,) = tool.faults([RULE], {**MARKED, "tests/test_x.py::test_y": ("PBA-99",)}, None)
    assert fault == "tests/test_x.py::test_y names PBA-99, which is no requirement"


@pytest.mark.parametrize(
    ("results", "is_shown"),
    [({JUNIT_NAME: True}, True), ({JUNIT_NAME: False}, False), ({}, False)],
    ids=["passed", "failed", "skipped"],
)
def test_absolute_requirement_needs_a_test_that_passed(
    tool: ModuleType, results: dict[str, bool], is_shown: bool
) -> None:
    assert (tool.faults([RULE], MARKED, results) == []) is is_shown
    assert (tool.state_of(RULE, tool.shown_by(MARKED, results)) == "covered") is is_shown
    assert tool.faults([replace(RULE, level="SHOULD")], MARKED, results) == []


def test_one_failure_outweighs_a_pass(tool: ModuleType) -> None:
    both = {**MARKED, "tests/test_x.py::test_y": ("PBA-13",)}
    assert tool.shown_by(both, {JUNIT_NAME: True, "tests.test_x.test_y": True}) == {"PBA-13"}
    assert tool.shown_by(both, {JUNIT_NAME: True, "tests.test_x.test_y": False}) == set()


def test_results_are_read_as_pytest_writes_them(tool: ModuleType, tmp_path: Path) -> None:
    """A run of three tests, named in the report as the tool expects."""
    file = tmp_path / "test_three.py"
    file.write_text(
        "import pytest\n"
        "class TestInside:\n"
        "    @pytest.mark.parametrize('address', ['::1'])\n"
        "    def test_pass(self, address): pass\n"
        "def test_fail(): raise ValueError\n"
        "def test_skip(): pytest.skip()\n"
    )
    report = tmp_path / "report.xml"
    options = ["-p", "no:cacheprovider", f"--rootdir={tmp_path}", f"--junitxml={report}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, file], capture_output=True, check=False
    )
    assert run.returncode == 1
    assert tool.read_results(report) == {
        tool.junit_name("test_three.py::TestInside::test_pass[::1]"): True,
        tool.junit_name("test_three.py::test_fail"): False,
    }


def test_page_shows_each_requirement_with_status_and_tests(tool: ModuleType) -> None:
    """Parameters of a test are one test to the reader."""
    put_off = replace(RULE, id="PBA-14", status="later", until="heartbeat")
    more = {**MARKED, NODE_ID.replace("::1]", "::2]"): ("PBA-13",)}
    lines = tool.page({"PBA": "Acknowledgements"}, [RULE, put_off], more).splitlines()
    source = "RFC 5213 §6.9.1.2(6)"
    link = "[test_silence](../tests/protocol/test_silence.py)"
    assert f"| PBA-13 | MUST NOT | {source} | Silence | covered | {link} |" in lines
    assert f"| PBA-14 | MUST NOT | {source} | Silence | later: heartbeat |  |" in lines
    assert "| PBA | Acknowledgements | 1 | 1 | 0 | 0 |" in lines
