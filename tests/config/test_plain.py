"""A configuration written back as a file, and read again."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from mag.config.loader import load, parse
from mag.config.model import Configuration
from mag.config.plain import plain, to_yaml
from support.configurations import configurations

EXAMPLE = Path(__file__).parents[2] / "configs" / "mag.yaml"


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(configurations())
@pytest.mark.parametrize("with_defaults", [False, True])
def test_what_is_written_loads_as_the_same(
    with_defaults: bool, configuration: Configuration
) -> None:
    text = to_yaml(configuration, with_defaults=with_defaults)
    assert parse(text.encode(), "dump.yaml") == configuration


@pytest.mark.parametrize("with_defaults", [False, True])
def test_example_file_survives_the_round_trip(with_defaults: bool) -> None:
    example = load(EXAMPLE)
    text = to_yaml(example, with_defaults=with_defaults)
    assert parse(text.encode(), "dump.yaml") == example


def test_defaults_are_left_out_or_marked() -> None:
    example = load(EXAMPLE)
    assert "heartbeat" not in to_yaml(example)
    lines = to_yaml(example, with_defaults=True).splitlines()
    assert "  interval_s: 60.0  # default" in lines
    assert "  lifetime_s: 3600  # default" in lines
    assert "      lifetime_s: 600" in lines


def test_values_stand_as_an_operator_writes_them() -> None:
    written = yaml.safe_load(to_yaml(load(EXAMPLE), with_defaults=True))
    assert written["admin"] == {"socket": "/run/mag/mag.sock", "socket_mode": "0660"}
    assert written["access_links"]["eth1"] == {
        "access_technology_type": "ieee_802_3",
        "attach_triggers": ["router_solicitation", "any_frame", "link_state", "admin"],
        "presence": "probe",
        "presence_solicitations": 5,
        "single_node": False,
        "down_s": 1.0,
        "down_after_rejection": False,
    }
    assert written["protocol"]["fixed_mag_link_layer_address"] == "00:00:5e:00:52:13"


def test_plain_values_are_those_of_the_file() -> None:
    section = load(EXAMPLE).policy
    assert plain(section) == {
        "nodes": {
            "alice@example.net": {
                "lma": "lma1",
                "link_layer_addresses": ["02:00:00:00:00:01"],
                "identities": ["alice-phone@operator.example"],
                "home_network_prefixes": ["2001:db8:1:1::/64"],
                "interfaces": {
                    "02:00:00:00:00:02": {"home_network_prefixes": ["2001:db8:1:2::/64"]}
                },
                "lifetime_s": 600,
                "prefix_lifetime_s": 86400,
                "address_configuration": "stateless",
                "local_routing": True,
            }
        },
        "realms": {
            "example.net": {
                "identity_is_mn_id": False,
                "lma": "lma1",
                "lifetime_s": 1800,
                "prefix_lifetime_s": 604800,
                "address_configuration": "stateless",
                "local_routing": False,
            }
        },
        "default": {
            "lma": "lma1",
            "lifetime_s": 3600,
            "prefix_lifetime_s": 2592000,
            "address_configuration": "stateless",
            "local_routing": False,
            "mn_id_from_link_layer_address": "{mac}@visitors.example.net",
            "identity_is_mn_id": False,
        },
        "shared_identities": ["family@operator.example"],
    }
