"""The mutants of mutants.yaml: each breaks one rule, as an exact text and what it becomes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

LIST: Final = Path(__file__).parent / "mutants.yaml"
ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = Path("agent") / "mag"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken rule."""

    rules: tuple[str, ...]
    """Requirements; a test that carries one of them must notice."""
    what: str
    """What the gateway would do."""
    file: str
    """Below agent/mag."""
    old: str
    """Stands in the file exactly once."""
    new: str

    @property
    def area(self) -> str:
        """Of the first rule."""
        return self.rules[0].partition("-")[0]

    def __str__(self) -> str:
        return f"{' '.join(self.rules)}: {self.what} ({self.file})"

    def apply(self, tree: Path) -> None:
        """Break the rule in a copy of the tree. Raises ValueError if the text is not there."""
        path = tree / SOURCES / self.file
        text = path.read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"stands {count} times in {self.file}, not once: {self.old!r}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def load(path: Path = LIST) -> list[Mutant]:
    """All mutants in the order of the file."""
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Mutant(tuple(row.pop("rule").split()), **row) for row in rows]


def defects(mutants: Iterable[Mutant], tree: Path = ROOT) -> list[str]:
    """What keeps mutants from being made, one line each; the list has to follow the code."""
    found = []
    for mutant in mutants:
        path = tree / SOURCES / mutant.file
        count = path.read_text(encoding="utf-8").count(mutant.old) if path.is_file() else 0
        if count != 1 or mutant.old == mutant.new:
            found.append(f"{mutant}: its text stands there {count} times, not once: {mutant.old!r}")
    return found
