"""configs/mag.yaml documents every key, and shows the defaults that are the code's."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mag.config.loader import load, parse
from mag.config.messages import ConfigError
from mag.config.model import Configuration
from mag.config.wording import ANY_NAME, sections

EXAMPLE = Path(__file__).parents[2] / "configs" / "mag.yaml"
COMMENTED_KEY = re.compile(r"^( *)#(?=\S)", re.MULTILINE)
SHOWN_NUMBER = re.compile(r"^ +#?(\w+(?:_s|_ms|_octets|_limit|_fraction|_bindings)): [\d.]+$", re.M)
NAMED = {("lmas",), ("access_links",), ("policy", "nodes"), ("policy", "realms")}
NAMED.add(("policy", "nodes", ANY_NAME, "interfaces"))


def with_every_key() -> str:
    return COMMENTED_KEY.sub(r"\1", EXAMPLE.read_text())


def key_paths(tree: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            path = (*above, ANY_NAME if above in NAMED else key)
            yield path
            yield from key_paths(value, path)


@pytest.fixture(scope="module")
def example() -> Configuration:
    return load(EXAMPLE)


@pytest.fixture(scope="module")
def complete() -> Configuration:
    return parse(with_every_key().encode(), "mag.yaml")


def test_example_file_loads_without_messages(example: Configuration) -> None:
    assert list(example.lmas) == ["lma1"]


def test_example_file_names_exactly_the_keys_of_the_model() -> None:
    in_model = {(*section, key) for section, keys in sections(Configuration) for key in keys}
    in_file = {p for p in key_paths(yaml.safe_load(with_every_key())) if p[-1] != ANY_NAME}
    assert in_file == in_model


def test_example_file_shows_the_defaults(example: Configuration, complete: Configuration) -> None:
    """Taking away every `#` changes nothing but that open values are written out."""
    assert complete.protocol_settings() == example.protocol_settings()
    derived = {"protocol", "router_advertisement"}
    assert complete.model_dump(exclude=derived) == example.model_dump(exclude=derived)


@pytest.mark.parametrize("key", sorted(set(SHOWN_NUMBER.findall(EXAMPLE.read_text()))))
def test_example_file_number_outside_bounds_is_refused(key: str) -> None:
    """Every quantity that the file shows has bounds."""
    text = re.sub(rf"(\b{key}: )[\d.]+$", r"\g<1>-1", with_every_key(), flags=re.MULTILINE)
    with pytest.raises(ConfigError, match=rf"{key}: must be .* from .* to .*, not \"-1\""):
        parse(text.encode(), "mag.yaml")
