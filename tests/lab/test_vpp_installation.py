"""Where the lab looks for VPP and for our plugin."""

from pathlib import Path

import pytest

import mag
from mag.lab.errors import LabError
from mag.lab.packet_path.vpp_installation import PLUGIN_FILE, find_vpp

LIBRARIES = "lib/x86_64-linux-gnu/vpp_plugins"


def vpp_in(prefix: Path, *, has_plugin: bool = False) -> Path:
    """A VPP's folders as its packages have them; its program."""
    program = prefix / "bin" / "vpp"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (prefix / LIBRARIES).mkdir(parents=True)
    if has_plugin:
        (prefix / LIBRARIES / PLUGIN_FILE).touch()
    return program


def plugin_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / PLUGIN_FILE).touch()
    return folder


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without a built plugin, in which this package is."""
    root = tmp_path / "checkout"
    monkeypatch.setattr(mag, "__file__", str(root / "agent" / "mag" / "__init__.py"))
    return root


def test_prefix_comes_before_the_search_path(tmp_path: Path) -> None:
    program = vpp_in(tmp_path / "named", has_plugin=True)
    other = vpp_in(tmp_path / "other", has_plugin=True)
    found = find_vpp({"VPP_PREFIX": str(tmp_path / "named"), "PATH": str(other.parent)})
    assert found.program == program
    assert found.plugin_folders == (tmp_path / "named" / LIBRARIES,)


def test_search_path_is_looked_at_without_a_prefix(tmp_path: Path) -> None:
    program = vpp_in(tmp_path / "usr", has_plugin=True)
    assert find_vpp({"PATH": str(program.parent)}).program == program


def test_control_program_is_that_of_the_same_vpp(tmp_path: Path) -> None:
    program = vpp_in(tmp_path / "usr", has_plugin=True)
    assert find_vpp({"PATH": str(program.parent)}).control_program == program.parent / "vppctl"


def test_named_plugin_comes_before_the_checkouts_and_that_before_vpps_own(
    tmp_path: Path, checkout: Path
) -> None:
    prefix = tmp_path / "usr"
    vpp_in(prefix, has_plugin=True)
    built = plugin_in(checkout / "build" / "plugin" / "lib" / "vpp_plugins")
    named = plugin_in(tmp_path / "named")
    environment = {"VPP_PREFIX": str(prefix)}
    assert find_vpp(environment).plugin_folders == (prefix / LIBRARIES, built)
    environment["MAG_VPP_PLUGIN_PATH"] = str(named)
    assert find_vpp(environment).plugin_folders == (prefix / LIBRARIES, named)


@pytest.mark.parametrize(
    ("variable", "missing"),
    [("VPP_PREFIX", "bin/vpp"), ("MAG_VPP_PLUGIN_PATH", PLUGIN_FILE)],
)
def test_variable_that_leads_nowhere_is_named_not_passed_over(
    tmp_path: Path, variable: str, missing: str
) -> None:
    program = vpp_in(tmp_path / "usr", has_plugin=True)
    environment = {"PATH": str(program.parent), variable: str(tmp_path / "nowhere")}
    with pytest.raises(LabError, match=rf"{variable} is .*nowhere, but there is no .*{missing}"):
        find_vpp(environment)


def test_vpp_without_our_plugin_is_refused_with_every_place_in_one_line(
    tmp_path: Path, checkout: Path
) -> None:
    vpp_in(tmp_path / "usr")
    with pytest.raises(LabError) as refused:
        find_vpp({"VPP_PREFIX": str(tmp_path / "usr")})
    text = str(refused.value)
    assert "MAG_VPP_PLUGIN_PATH" in text
    assert str(checkout / "build" / "plugin") in text
    assert "\n" not in text
