"""The committed list of requirements, requirements.yaml, as Python objects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

LIST: Final = Path(__file__).parent / "requirements.yaml"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule of the RFCs."""

    area: str
    id: str
    level: str
    """The RFC's keyword, or IMPL."""
    section: str
    text: str
    status: str
    """covered, later or declined."""
    until: str = ""
    """What brings a requirement that is `later`."""
    reason: str = ""
    """Why a requirement is `declined`."""


def load() -> tuple[dict[str, str], list[Requirement]]:
    """Titles by area, and all requirements in the order of the file."""
    areas = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    rows = [
        Requirement(name, **row) for name, area in areas.items() for row in area["requirements"]
    ]
    return {name: area["title"] for name, area in areas.items()}, rows
