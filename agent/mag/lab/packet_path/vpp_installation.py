"""Finds VPP and our plugin on this machine."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import mag
from mag.frozen import frozen
from mag.lab.errors import LabError

PLUGIN_FILE: Final = "mag_plugin.so"
_PLUGIN_FOLDER: Final = "vpp_plugins"
_DEFAULT_PREFIX: Final = Path("/opt/vpp")
_PREFIX_VARIABLE: Final = "VPP_PREFIX"
_PLUGIN_VARIABLE: Final = "MAG_VPP_PLUGIN_PATH"


@frozen
class VppInstallation:
    """A VPP, and where it finds its plugins and ours."""

    program: Path
    plugin_folders: tuple[Path, ...]

    @property
    def control_program(self) -> Path:
        """vppctl."""
        return self.program.with_name("vppctl")


def find_vpp(
    environment: Mapping[str, str] = os.environ, *, with_plugin: bool = True
) -> VppInstallation:
    """VPP by VPP_PREFIX, PATH, /opt/vpp; the plugin by MAG_VPP_PLUGIN_PATH, checkout, VPP's own.

    Raises LabError, one line, when either is missing.
    """
    program = _program(environment)
    own = tuple(_own_plugin_folders(program))
    if not with_plugin:
        return VppInstallation(program, own)
    ours = _plugin_folder(environment, own)
    return VppInstallation(program, own if ours in own else (*own, ours))


def _program(environment: Mapping[str, str]) -> Path:
    if prefix := environment.get(_PREFIX_VARIABLE):
        program = Path(prefix) / "bin" / "vpp"
        if not program.exists():
            raise LabError(f"{_PREFIX_VARIABLE} is {prefix}, but there is no {program}")
        return program
    if found := shutil.which("vpp", path=environment.get("PATH")):
        return Path(found).resolve()
    program = _DEFAULT_PREFIX / "bin" / "vpp"
    if not program.exists():
        raise LabError(f"no VPP: looked at {_PREFIX_VARIABLE}, PATH and {_DEFAULT_PREFIX}")
    return program


def _own_plugin_folders(program: Path) -> Iterator[Path]:
    """lib/vpp_plugins, or lib/<architecture>/vpp_plugins."""
    prefix = program.parent.parent
    yield from prefix.glob(f"lib*/{_PLUGIN_FOLDER}")
    yield from prefix.glob(f"lib*/*/{_PLUGIN_FOLDER}")


def _plugin_folder(environment: Mapping[str, str], own: tuple[Path, ...]) -> Path:
    if named := environment.get(_PLUGIN_VARIABLE):
        folder = Path(named)
        if not (folder / PLUGIN_FILE).exists():
            raise LabError(f"{_PLUGIN_VARIABLE} is {folder}, but there is no {PLUGIN_FILE} in it")
        return folder
    checkout = Path(mag.__file__).resolve().parents[2] / "build" / "plugin"
    folders = (*sorted(checkout.glob(f"**/{_PLUGIN_FOLDER}")), *own)
    for folder in folders:
        if (folder / PLUGIN_FILE).exists():
            return folder
    raise LabError(
        f"VPP has no {PLUGIN_FILE}: looked at {_PLUGIN_VARIABLE}, {checkout} (make plugin) "
        f"and VPP's own {_PLUGIN_FOLDER}"
    )
