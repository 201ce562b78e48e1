"""Each file in cases/ holds two YAML documents: the messages expected, then a configuration."""

from pathlib import Path

import pytest
import yaml

from mag.config import marked_yaml
from mag.config.loader import parse
from mag.config.messages import ConfigError

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def messages_for(octets: bytes) -> list[str]:
    try:
        parse(octets, "mag.yaml")
    except ConfigError as error:
        return [str(message).removeprefix("mag.yaml:") for message in error.messages]
    return []


@pytest.mark.requirement("MH-24", "MNID-02", "ND-09", "ND-10", "ND-11", "PROF-06", "T2473-07")
@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_case_file_gives_its_messages(case: Path) -> None:
    expected, configuration = case.read_bytes().split(b"---\n", maxsplit=1)
    assert messages_for(configuration) == yaml.safe_load(expected)


def test_case_names_tell_whether_messages_are_expected() -> None:
    for case in CASES:
        expected = yaml.safe_load(case.read_bytes().split(b"---\n", maxsplit=1)[0])
        assert case.stem.startswith("error-" if expected else "valid-"), case.name


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_case_file_gives_its_places_without_libyaml(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyYAML's own parser words syntax errors differently, but sees them in the same places."""
    expected, configuration = case.read_bytes().split(b"---\n", maxsplit=1)
    monkeypatch.setattr(marked_yaml, "_LOADER", yaml.BaseLoader)
    places = [message.split(": ")[0] for message in messages_for(configuration)]
    assert places == [message.split(": ")[0] for message in yaml.safe_load(expected)]
