"""Kills at random points: the short version of `make kills`, and whether it would find anything."""

import random
from pathlib import Path

import pytest

from kills.life import FAULTS
from kills.outside import Violation
from kills.run import run

KILLS = 20
SEED = random.SystemRandom().randrange(1_000_000)
"""Another each time; a failure names it."""
ENOUGH = 300


@pytest.mark.requirement("SEQ-04")
def test_gateway_killed_at_any_point_keeps_its_promises(tmp_path: Path) -> None:
    report = run(KILLS, SEED, tmp_path / "journal.db")
    assert report.verified > KILLS / 3
    assert report.updates > KILLS


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault])
def test_gateway_that_breaks_a_promise_is_found(tmp_path: Path, fault: str) -> None:
    with pytest.raises(Violation, match="seed 1, life"):
        run(ENOUGH, 1, tmp_path / "journal.db", fault)
