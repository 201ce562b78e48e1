"""The model used from Python, and what it makes for the protocol core."""

from dataclasses import fields
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from pydantic import ValidationError

from mag.config.model import (
    AccessLinkSection,
    AttachTrigger,
    Configuration,
    LmaSection,
    QuirksSection,
)
from mag.config.router_advertisement import RouterAdvertisementSection
from mag.protocol.lma_settings import LmaQuirks, LmaSettings
from mag.protocol.settings import ProtocolSettings, RouterAdvertisementSettings
from mag.wire.iana import AccessTechnologyType

PROXY_CARE_OF_ADDRESS = IPv6Address("2001:db8:0:a::1")
LMA1 = IPv6Address("2001:db8:0:b::1")
LMA2 = IPv6Address("2001:db8:0:b::2")


def configuration(**sections: Any) -> Configuration:
    required: dict[str, Any] = {
        "proxy_care_of_address": PROXY_CARE_OF_ADDRESS,
        "lmas": {"lma1": {"address": LMA1}},
        "access_links": {"eth1": {}},
        "policy": {"default": {"lma": "lma1"}},
        "dataplane": {"core_interfaces": ["eth0"]},
    }
    return Configuration.model_validate(required | sections)


def faults_of(**sections: Any) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as raised:
        configuration(**sections)
    return [(error["loc"], error["msg"]) for error in raised.value.errors()]


@pytest.mark.requirement("CFG-01", "CFG-02")
def test_protocol_settings_of_smallest_configuration_are_the_rfcs() -> None:
    """CFG-01, CFG-02: defaults have one source."""
    assert configuration().protocol_settings() == ProtocolSettings(
        proxy_care_of_address=PROXY_CARE_OF_ADDRESS, solicitations_by_link={"eth1": 5}
    )


@pytest.mark.requirement("CFG-01", "CFG-07", "CFG-08")
def test_protocol_settings_carry_every_key() -> None:
    settings = configuration(
        protocol={
            "lifetime_s": "1200",
            "refresh_fraction": "0.5",
            "initial_bindack_timeout_s": "0.5",
            "max_bindack_timeout_s": "8",
            "fixed_mag_link_local_address": "fe80::1",
            "fixed_mag_link_layer_address": "02:00:00:00:00:fe",
            "max_bindings": "2000",
        },
        router_advertisement={
            "max_interval_s": "40",
            "min_interval_s": "30",
            "router_lifetime_s": "0",
            "cur_hop_limit": "32",
            "reachable_time_ms": "30000",
            "retrans_timer_ms": "1000",
            "valid_lifetime_s": "7200",
            "preferred_lifetime_s": "7200",
        },
        access_links={
            "eth1": {"presence_solicitations": "3"},
            "eth2": {"presence": "link_layer"},
        },
    ).protocol_settings()
    assert settings == ProtocolSettings(
        proxy_care_of_address=PROXY_CARE_OF_ADDRESS,
        lifetime_s=1200,
        refresh_fraction=0.5,
        initial_bindack_timeout_s=0.5,
        max_bindack_timeout_s=8.0,
        fixed_mag_link_local_address=IPv6Address("fe80::1"),
        fixed_mag_link_layer_address=bytes.fromhex("0200000000fe"),
        max_bindings=2000,
        router_advertisement=RouterAdvertisementSettings(
            max_interval_s=40.0,
            min_interval_s=30.0,
            router_lifetime_s=0,
            cur_hop_limit=32,
            reachable_time_ms=30000,
            retrans_timer_ms=1000,
            valid_lifetime_s=7200,
            preferred_lifetime_s=7200,
        ),
        solicitations_by_link={"eth1": 3},
    )


def test_lma_settings_carry_every_key() -> None:
    quirks = {"no_home_registration_flag": "on", "all_zero_prefix_length": "64"}
    lmas = {"lma1": {"address": LMA1, "quirks": quirks}, "lma2": {"address": LMA2}}
    assert configuration(lmas=lmas).lma_settings() == {
        LMA1: LmaSettings(LmaQuirks(no_home_registration_flag=True, all_zero_prefix_length=64)),
        LMA2: LmaSettings(),
    }


def test_quirks_section_has_a_key_for_every_quirk() -> None:
    assert set(QuirksSection.model_fields) == {quirk.name for quirk in fields(LmaQuirks)}


@pytest.mark.requirement("CFG-02", "LR-02", "LR-03")
@pytest.mark.parametrize(("protocol", "expected"), [({}, False), ({"local_routing": "on"}, True)])
def test_local_routing_is_off_unless_the_domain_has_it(
    protocol: dict[str, str], expected: bool
) -> None:
    """CFG-02, LR-02, LR-03: it takes packets past the LMA's accounting."""
    profile = configuration(protocol=protocol).policy_directory.profile_for(b"alice@example.net")
    assert profile is not None
    assert profile.local_routing is expected


def test_router_advertisement_section_has_a_key_for_every_setting() -> None:
    settings = {setting.name for setting in fields(RouterAdvertisementSettings)}
    assert set(RouterAdvertisementSection.model_fields) == settings


@pytest.mark.requirement("ND-09", "ND-10")
@pytest.mark.parametrize(
    ("max_interval_s", "min_interval_s", "router_lifetime_s"),
    [("4", 3.0, 12), ("8", 3.0, 24), ("100", 33.0, 300), ("1800", 594.0, 5400)],
)
def test_router_advertisement_open_values_follow_the_interval(
    max_interval_s: str, min_interval_s: float, router_lifetime_s: int
) -> None:
    """ND-09, ND-10: defaults of RFC 4861 §6.2.1, within its bounds at both ends."""
    section = configuration(router_advertisement={"max_interval_s": max_interval_s})
    settings = section.router_advertisement.settings()
    assert settings.min_interval_s == pytest.approx(min_interval_s)
    assert settings.router_lifetime_s == router_lifetime_s


@pytest.mark.requirement("ND-11")
def test_router_advertisement_open_preferred_lifetime_stays_within_valid() -> None:
    """ND-11."""
    section = configuration(router_advertisement={"valid_lifetime_s": "3600"})
    assert section.router_advertisement.settings().preferred_lifetime_s == 3600


def test_protocol_open_max_timeout_is_not_below_initial() -> None:
    settings = configuration(protocol={"initial_bindack_timeout_s": "60"}).protocol_settings()
    assert settings.max_bindack_timeout_s == 60.0


@pytest.mark.requirement("T2473-11", "MTU-12", "MTU-13")
def test_lma_tunnel_mtu_is_path_mtu_less_outer_header() -> None:
    """T2473-11: RFC 2473 §6.7."""
    assert LmaSection(address=LMA1).tunnel_mtu_octets == 1460
    assert LmaSection(address=LMA1, path_mtu_octets=9000).tunnel_mtu_octets == 8960


def test_access_link_defaults_are_ethernet_and_every_trigger() -> None:
    link = configuration(access_links={"eth1": None}).access_links["eth1"]
    assert link.access_technology_type is AccessTechnologyType.IEEE_802_3
    assert link.attach_triggers == set(AttachTrigger)


def test_access_link_text_becomes_typed_values() -> None:
    link = AccessLinkSection.model_validate(
        {"access_technology_type": "ieee_802_11", "attach_triggers": ["admin", "link_state"]}
    )
    assert link.access_technology_type is AccessTechnologyType.IEEE_802_11
    assert link.attach_triggers == {AttachTrigger.ADMIN, AttachTrigger.LINK_STATE}


def test_configuration_from_its_own_dump_is_equal() -> None:
    """Typed values are taken as well as text."""
    original = configuration(
        access_links={"eth1": {"access_technology_type": AccessTechnologyType.GPP_EUTRAN}},
        policy={
            "nodes": {
                "alice@example.net": {
                    "lma": "lma1",
                    "link_layer_addresses": [bytes.fromhex("020000000001")],
                    "home_network_prefixes": [IPv6Network("2001:db8:1:1::/64")],
                }
            }
        },
        admin={"socket_mode": "0o640"},
    )
    assert original.admin.socket_mode == 0o640
    assert Configuration.model_validate(original.model_dump()) == original


@pytest.mark.requirement("T2473-07")
def test_configuration_of_sections_is_checked_for_contradictions() -> None:
    """T2473-07: a tunnel whose two ends are one node."""
    faults = faults_of(lmas={"lma1": LmaSection(address=PROXY_CARE_OF_ADDRESS)})
    assert faults == [
        (
            ("lmas", "lma1", "address"),
            "2001:db8:0:a::1 is the value of proxy_care_of_address already",
        )
    ]


def test_configuration_faults_of_values_and_between_values_come_together() -> None:
    faults = faults_of(
        identity="mag 1", policy={"default": {"lma": "lma2"}}, dataplane={"core_interfaces": "eth0"}
    )
    assert [location for location, _ in faults] == [
        ("identity",),
        ("dataplane", "core_interfaces"),
        ("policy", "default", "lma"),
    ]


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        configuration().identity = "other"  # type: ignore[misc]


def test_policy_directory_knows_lmas_by_their_addresses() -> None:
    loaded = configuration()
    profile = loaded.policy_directory.profile_for(b"alice@example.net")
    assert profile is not None
    assert profile.lma_address == LMA1
    assert loaded.policy_directory is loaded.policy_directory


@pytest.mark.parametrize(
    ("prefixes", "count"),
    [([f"2001:db8:1:{i:x}::/64" for i in range(32)], 0), (["2001:db8:1::/64"] * 33, 1)],
    ids=["32", "33"],
)
def test_policy_node_has_at_most_32_prefixes(prefixes: list[str], count: int) -> None:
    policy = {"nodes": {"a@example.net": {"lma": "lma1", "home_network_prefixes": prefixes}}}
    try:
        configuration(policy=policy)
        messages = []
    except ValidationError as error:
        messages = [e["msg"] for e in error.errors()]
    assert messages.count("must have at most 32 entries") == count
    assert bool(messages) == bool(count)


@pytest.mark.requirement("PROF-05")
@pytest.mark.parametrize(
    ("mn_id", "is_good"),
    [
        ("a" * 241 + "@example.net", True),
        ("a" * 242 + "@example.net", False),
        ("ä" * 121 + "@example.net", False),
        ("alice", True),
        ("", False),
        ("alice\n@example.net", False),
    ],
    ids=["253-octets", "254-octets", "octets-not-characters", "no-realm", "empty", "line-end"],
)
def test_policy_mn_id_is_one_to_253_octets_without_space(mn_id: str, is_good: bool) -> None:
    """PROF-05; RFC 4282 §2.2."""
    policy = {"nodes": {mn_id: {"lma": "lma1"}}}
    if is_good:
        assert list(configuration(policy=policy).policy.nodes) == [mn_id]
    else:
        [(location, what)] = faults_of(policy=policy)
        assert location == ("policy", "nodes", mn_id, "[key]")
        assert what.startswith("must be a Network Access Identifier")


def test_policy_rule_that_makes_bad_identifiers_is_refused() -> None:
    rule = {"lma": "lma1", "mn_id_from_link_layer_address": "{mac} @example.net"}
    [(_, what)] = faults_of(policy={"default": rule})
    assert what.startswith("must be a Network Access Identifier")


def test_admin_socket_path_fits_into_a_socket_address() -> None:
    longest = "/" + "a" * 106
    assert str(configuration(admin={"socket": longest}).admin.socket) == longest
    assert faults_of(admin={"socket": longest + "a"}) == [
        (("admin", "socket"), "must have at most 107 octets (unix(7))")
    ]


def test_unknown_access_technology_number_is_shown() -> None:
    [(_, what)] = faults_of(
        access_links={"eth1": {"access_technology_type": AccessTechnologyType.RESERVED}}
    )
    assert what.startswith("must be one of: virtual, ppp, ieee_802_3")


def test_link_layer_address_of_wrong_length_is_refused() -> None:
    [(_, what)] = faults_of(protocol={"fixed_mag_link_layer_address": b"\x02\x00"})
    assert what == "02:00 is no address of one interface"


@pytest.mark.requirement("CFG-04", "CFG-05")
def test_domain_orders_by_timestamps_of_the_gateways_unless_told_otherwise() -> None:
    """RFC 5213 §9.3."""
    protocol = configuration().protocol
    assert protocol.timestamp_based_approach_in_use is True
    assert protocol.mobile_node_generated_timestamp_in_use is False


@pytest.mark.requirement("CFG-04")
def test_timestamps_can_be_turned_off() -> None:
    protocol = {"timestamp_based_approach_in_use": "false"}
    settings = configuration(protocol=protocol).protocol_settings()
    assert settings.timestamp_based_approach_in_use is False


@pytest.mark.requirement("CFG-05", "CFG-06")
@pytest.mark.parametrize(
    ("is_by_timestamp", "fault"),
    [
        ("false", "cannot be true without timestamp_based_approach_in_use (RFC 5213 §9.3)"),
        ("true", "must be false: access links hand over no timestamps of nodes"),
    ],
)
def test_timestamps_of_nodes_are_refused(is_by_timestamp: str, fault: str) -> None:
    protocol = {
        "timestamp_based_approach_in_use": is_by_timestamp,
        "mobile_node_generated_timestamp_in_use": "true",
    }
    location = ("protocol", "mobile_node_generated_timestamp_in_use")
    assert faults_of(protocol=protocol) == [(location, fault)]
