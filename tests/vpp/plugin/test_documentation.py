"""The plugin's documents say what its code has; needs no VPP."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "vpp_plugin" / "mag"
MANUAL = (SOURCES / "mag.rst").read_text()


CODE = "\n".join(path.read_text() for path in sorted(SOURCES.glob("*.[ch]")))


def counters() -> list[str]:
    """Names of the error counters, from the API file."""
    section = (SOURCES / "mag.api").read_text().split("counters mag {")[1].split("\npaths")[0]
    return re.findall(r"^  (\w+) \{", section, flags=re.MULTILINE)


def test_every_error_counter_is_in_the_manual() -> None:
    table = MANUAL.split("Error counters\n")[1].split("\nLimits\n")[0]
    documented = re.findall(r"^(\w+)  +\w", table, flags=re.MULTILINE)
    assert sorted(documented) == sorted(["counter", *counters()])


@pytest.mark.parametrize("counter", counters())
def test_every_error_counter_is_counted_somewhere(counter: str) -> None:
    assert re.search(rf"\bMAG_ERROR_{counter.upper()}\b", CODE)


def test_every_node_with_counters_has_its_path_in_the_stats_segment() -> None:
    """`paths` in the API file, which documents the stats segment."""
    paths = re.findall(r'"/err/([\w-]+)" "mag"', (SOURCES / "mag.api").read_text())
    registrations = re.findall(
        r"^VLIB_REGISTER_NODE \(.*?^\};", CODE, flags=re.DOTALL | re.MULTILINE
    )
    counting = [each for each in registrations if "mag_error_counters" in each]
    assert sorted(paths) == sorted(re.findall(r'\.name = "([\w-]+)"', "".join(counting)))


def test_every_command_has_a_documentation_block_and_stands_in_the_manual() -> None:
    source = (SOURCES / "mag_cli.c").read_text()
    commands = re.findall(r'\.path = "(show mag[\w ]*)"', source)
    examples = re.findall(r"@cliexstart\{(show mag[\w ]*?)(?: id \d+)?\}", source)
    assert sorted(commands) == sorted(examples)
    for command in commands:
        assert f"``{command}" in MANUAL


def test_every_setting_of_the_start_up_configuration_is_described() -> None:
    source = (SOURCES / "mag.c").read_text()
    settings = re.findall(r'unformat \(input, "([a-z-]+) %', source)
    assert settings
    for setting in settings:
        assert f"@cfgcmd{{{setting}," in source
        assert f"    {setting} " in MANUAL
