"""What differs between two configurations, and what of it a running gateway can apply."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from mag.config.difference import Change, ChangeKind, differences
from mag.config.loader import parse
from mag.config.model import Configuration
from mag.config.reloading import NEEDS_RESTART, TAKES_EFFECT, obstacle, takes_effect
from mag.config.section import Section
from mag.config.wording import ANY_NAME, sections
from support.configurations import configurations

EXAMPLE = Path(__file__).parents[2] / "configs" / "mag.yaml"


def changed(path: str, value: Any) -> Configuration:
    """The example file with one value put in, or taken out if it is None."""
    document = yaml.safe_load(EXAMPLE.read_text())
    *steps, key = path.split("/")
    node = document
    for step in steps:
        node[step] = node.get(step) or {}
        node = node[step]
    if value is None:
        del node[key]
    else:
        node[key] = value
    return parse(yaml.safe_dump(document).encode(), "changed.yaml")


def example() -> Configuration:
    return parse(EXAMPLE.read_bytes(), "mag.yaml")


def leaves() -> Iterator[tuple[str, ...]]:
    """Every key that holds a value, and every object that has a name."""
    groups = {location for location, _ in sections(Configuration)}
    for location, keys in sections(Configuration):
        if location[-1:] == (ANY_NAME,):
            yield location
        for key in keys:
            here = (*location, key)
            if here not in groups and (*here, ANY_NAME) not in groups:
                yield here


@pytest.mark.parametrize("key", sorted(leaves()), ids=".".join)
def test_every_key_is_applied_or_refused_with_a_reason(key: tuple[str, ...]) -> None:
    """A key that neither table knows would be one that a reload silently passes over."""
    places = {key} if ANY_NAME in key[-2:] else {key, key[:-1]}
    known = [place for table in (TAKES_EFFECT, NEEDS_RESTART) for place in table.keys() & places]
    assert len(known) == 1, "classify it in config/reloading.py"
    assert (takes_effect(key) is None) == (obstacle(key) is not None)


def test_tables_know_no_keys_that_are_not_there() -> None:
    groups = {location for location, _ in sections(Configuration)}
    assert {*TAKES_EFFECT, *NEEDS_RESTART} <= {*leaves(), *groups}


def test_key_that_is_in_no_table_is_refused() -> None:
    assert obstacle(("heartbeat", "invented")) == "nothing is known of how to apply it"
    assert takes_effect(("heartbeat", "invented")) is None


def test_equal_configurations_have_no_differences() -> None:
    assert differences(example(), example()) == ()


CASES = [
    ("lmas/lma1/path_mtu_octets", "1400", ("changed", 1500, 1400)),
    ("lmas/lma2", {"address": "2001:db8::2"}, ("created", None, {"address": "2001:db8::2"})),
    ("access_links/eth2", {}, ("created", None, {})),
    (
        "policy/realms/example.net",
        None,
        (
            "removed",
            {
                "identity_is_mn_id": False,
                "lma": "lma1",
                "lifetime_s": 1800,
                "prefix_lifetime_s": 604800,
                "address_configuration": "stateless",
                "local_routing": False,
            },
            None,
        ),
    ),
    ("policy/nodes/alice@example.net/lifetime_s", None, ("changed", 600, None)),
    ("policy/default/lifetime_s", "4000", ("changed", 3600, 4000)),
    ("router_advertisement/router_lifetime_s", "2000", ("changed", None, 2000)),
    ("shutdown/policy", "keep", ("changed", "deregister", "keep")),
    ("log/level", "debug", ("changed", "info", "debug")),
]


@pytest.mark.parametrize(("path", "value", "expected"), CASES, ids=[case[0] for case in CASES])
def test_change_says_where_and_what(path: str, value: Any, expected: tuple[Any, ...]) -> None:
    (change,) = differences(example(), changed(path, value))
    assert (change.kind, change.old, change.new) == expected
    assert change.path == path.replace("/", ".")
    assert change.obstacle is None


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("proxy_care_of_address", "2001:db8:0:a::2", "all bindings and tunnels are made with it"),
        ("dataplane/core_interfaces", ["eth7"], "the packet path is built with it"),
        ("admin/socket", "/run/mag/other.sock", "the admin socket is opened once"),
    ],
)
def test_change_that_needs_a_restart_says_why(path: str, value: Any, words: str) -> None:
    (change,) = differences(example(), changed(path, value))
    assert change.obstacle == words


def leaf_values(section: Section, location: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every value of a configuration by its place."""
    found: dict[tuple[str, ...], Any] = {}
    for key in type(section).model_fields:
        value, here = getattr(section, key), (*location, key)
        if isinstance(value, Section):
            found |= leaf_values(value, here)
        elif isinstance(value, dict):
            for name, each in value.items():
                found[*here, name] = ()
                found |= leaf_values(each, (*here, name))
        else:
            found[here] = value
    return found


def covers(change: Change, place: tuple[str, ...]) -> bool:
    return place[: len(change.location)] == change.location


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(configurations(), configurations())
def test_no_difference_goes_untold_and_none_is_invented(
    old: Configuration, new: Configuration
) -> None:
    before, after = leaf_values(old), leaf_values(new)
    missing = object()
    differing = {
        place
        for place in before.keys() | after.keys()
        if before.get(place, missing) != after.get(place, missing)
    }
    changes = differences(old, new)
    for place in differing:
        assert any(covers(change, place) for change in changes)
    for change in changes:
        assert any(covers(change, place) for place in differing)
        assert (change.kind is ChangeKind.CREATED) == (change.location not in before)
