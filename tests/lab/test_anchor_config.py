"""The reference LMA's configuration file."""

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from mag.lab.anchor.config import load_anchor_config
from mag.lab.errors import LabError

EXAMPLE = Path(__file__).parents[2] / "configs" / "lab-lma.yaml"
MINIMAL = """\
address: 2001:db8:c0::1
core_interface: core
prefix_pool: 2001:db8:100::/48
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "lma.yaml"
    path.write_text(text, encoding="utf-8")
    return load_anchor_config(path)


def test_example_file_is_valid() -> None:
    config = load_anchor_config(EXAMPLE)
    assert config.settings().serves(b"mn1@lab.example")


def test_left_out_nodes_and_gateways_mean_everybody(tmp_path: Path) -> None:
    path = tmp_path / "lma.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    settings = load_anchor_config(path).settings()
    assert settings.serves(b"anybody@anywhere")
    assert settings.gateways is None
    assert settings.lifetime_s == 3600
    assert settings.timestamp_validity_window_s == 0.3


def test_window_of_timestamps_may_be_another(tmp_path: Path) -> None:
    path = tmp_path / "lma.yaml"
    path.write_text(MINIMAL + "timestamp_validity_window_ms: 5000\n", encoding="utf-8")
    assert load_anchor_config(path).settings().timestamp_validity_window_s == 5.0


def test_listed_nodes_are_the_only_ones(tmp_path: Path) -> None:
    path = tmp_path / "lma.yaml"
    nodes = (
        "nodes:\n- mn_id: a@lab\n- mn_id: b@lab\n  home_network_prefixes: [2001:db8:b::/64]\n"
        "gateways: [2001:db8:c0::11]\n"
    )
    path.write_text(MINIMAL + nodes, encoding="utf-8")
    settings = load_anchor_config(path).settings()
    assert settings.serves(b"a@lab")
    assert not settings.serves(b"c@lab")
    assert settings.own_prefixes(b"a@lab") == ()
    assert settings.own_prefixes(b"b@lab") == (IPv6Network("2001:db8:b::/64"),)
    assert settings.gateways == {IPv6Address("2001:db8:c0::11")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL + "colour: red\n", ("colour",)),
        (MINIMAL.replace("2001:db8:c0::1", "lma"), ("address",)),
        (MINIMAL + "lifetime_s: 301\n", ("lifetime_s", "multiple of 4")),
        (MINIMAL + "timestamp_validity_window_ms: 0\n", ("timestamp_validity_window_ms",)),
        ("address: 12\nprefix_pool: no\n", ("address", "prefix_pool", "core_interface")),
        ("- a\n- b\n", ("file",)),
        ("address: [\n", ("cannot read",)),
    ],
    ids=[
        "unknown key",
        "no address",
        "lifetime",
        "window",
        "all faults at once",
        "no mapping",
        "no yaml",
    ],
)
def test_fault_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(LabError) as raised:
        load(tmp_path, text)
    assert all(word in str(raised.value) for word in words)
    assert "\n" not in str(raised.value)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot read"):
        load_anchor_config(tmp_path / "nowhere.yaml")
