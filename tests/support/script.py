"""Programs under scripts/ as modules: they have no suffix to be imported by."""

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Final

SCRIPTS: Final = Path(__file__).parents[2] / "scripts"


def load_script(name: str) -> ModuleType:
    """A fresh module of the program."""
    loader = importlib.machinery.SourceFileLoader(f"{name}_script", str(SCRIPTS / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
