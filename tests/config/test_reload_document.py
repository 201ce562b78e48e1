import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page_shows_the_tables_as_they_are() -> None:
    """`make docs` was run after the last change of the tables."""
    drawn = subprocess.run(
        [sys.executable, ROOT / "scripts" / "draw-reload-table"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert drawn.stdout == (ROOT / "docs" / "reload.md").read_text()
