import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page_shows_the_table_as_it_is() -> None:
    """`make docs` was run after the last change of the table."""
    drawn = subprocess.run(
        [sys.executable, ROOT / "scripts" / "draw-state-machine"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert drawn.stdout == (ROOT / "docs" / "state-machine.md").read_text()
