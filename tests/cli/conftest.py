from collections.abc import Iterator
from pathlib import Path

import pytest

from support.scripted_control import ScriptedControl, served


@pytest.fixture
def control() -> ScriptedControl:
    return ScriptedControl()


@pytest.fixture
def socket(control: ScriptedControl, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "mag.sock"
    with served(control, path):
        yield str(path)
