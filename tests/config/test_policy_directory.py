"""Policy profiles (RFC 5213 §6.2): who gets what."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.config.policy import Policy
from mag.config.policy_directory import PolicyDirectory, UnknownIdentityError
from mag.protocol.policy_profile import AddressConfiguration

LMA1 = IPv6Address("2001:db8:0:b::1")
LMA2 = IPv6Address("2001:db8:0:c::1")
LMA3 = IPv6Address("2001:db8:0:d::1")
ADDRESSES = {"lma1": LMA1, "lma2": LMA2, "lma3": LMA3}

ALICE_MAC = bytes.fromhex("020000000001")
ALICE_SECOND_MAC = bytes.fromhex("020000000002")
STRANGER_MAC = bytes.fromhex("0200000000ff")


def directory(policy: object) -> PolicyDirectory:
    return PolicyDirectory(Policy.model_validate(policy), ADDRESSES)


@pytest.fixture
def all_levels() -> PolicyDirectory:
    return directory(
        {
            "nodes": {
                "alice@example.net": {
                    "lma": "lma1",
                    "lifetime_s": "600",
                    "link_layer_addresses": ["02:00:00:00:00:01", "02:00:00:00:00:02"],
                    "home_network_prefixes": ["2001:db8:1:1::/64", "2001:db8:1:2::/64"],
                },
                "bob@example.net": {},
                "carol@elsewhere.net": {"lifetime_s": "1200"},
            },
            "realms": {"example.net": {"lma": "lma2", "lifetime_s": "1800"}},
            "default": {"lma": "lma3", "lifetime_s": "3600"},
        }
    )


@pytest.mark.requirement("PROF-01", "PROF-05", "PROF-06", "PROF-07")
def test_profile_of_listed_node_holds_what_is_listed(all_levels: PolicyDirectory) -> None:
    """PROF-05 to PROF-07."""
    profile = all_levels.profile_for(b"alice@example.net")
    assert profile is not None
    assert profile.mn_id == b"alice@example.net"
    assert profile.lma_address == LMA1
    assert profile.lifetime_s == 600
    assert profile.home_network_prefixes == (
        IPv6Network("2001:db8:1:1::/64"),
        IPv6Network("2001:db8:1:2::/64"),
    )


@pytest.mark.requirement("PROF-04")
@pytest.mark.parametrize(
    ("mn_id", "lma_address", "lifetime_s"),
    [
        (b"bob@example.net", LMA2, 1800),
        (b"carol@elsewhere.net", LMA3, 1200),
        (b"dave@example.net", LMA2, 1800),
        (b"dave@EXAMPLE.Net", LMA2, 1800),
        (b"dave@roaming@example.net", LMA2, 1800),
        (b"dave@elsewhere.net", LMA3, 3600),
        (b"example.net", LMA3, 3600),
        (b"\xff\xfe@example.net", LMA2, 1800),
    ],
    ids=[
        "listed-node-from-realm",
        "listed-node-from-default-per-field",
        "unlisted-node-from-realm",
        "realm-in-any-case",
        "realm-behind-the-last-at-sign",
        "unlisted-node-from-default",
        "no-realm-without-at-sign",
        "identifier-that-is-no-text",
    ],
)
def test_profile_field_left_open_comes_from_realm_then_default(
    all_levels: PolicyDirectory, mn_id: bytes, lma_address: IPv6Address, lifetime_s: int
) -> None:
    """PROF-04."""
    profile = all_levels.profile_for(mn_id)
    assert profile is not None
    assert (profile.mn_id, profile.lma_address, profile.lifetime_s) == (
        mn_id,
        lma_address,
        lifetime_s,
    )
    assert profile.home_network_prefixes == ()


def test_profile_lifetime_nowhere_given_is_left_to_the_protocol() -> None:
    profile = directory({"default": {"lma": "lma1"}}).profile_for(b"alice@example.net")
    assert profile is not None
    assert profile.lifetime_s is None


@pytest.mark.requirement("LR-05", "CFG-02")
@pytest.mark.parametrize("domain", [False, True])
@pytest.mark.parametrize(
    ("mn_id", "own"),
    [
        (b"alice@example.net", True),
        (b"bob@example.net", False),
        (b"carol@elsewhere.net", True),
        (b"dave@elsewhere.net", None),
    ],
    ids=["node says yes", "realm says no", "node says yes alone", "nobody says"],
)
def test_local_routing_is_the_most_specific_entrys_then_the_domains(
    mn_id: bytes, own: bool | None, domain: bool
) -> None:
    """LR-05: each policy against both values of EnableMAGLocalRouting."""
    policy = {
        "nodes": {
            "alice@example.net": {"local_routing": "true"},
            "carol@elsewhere.net": {"local_routing": "true"},
        },
        "realms": {"example.net": {"local_routing": "false"}},
        "default": {"lma": "lma1"},
    }
    entries = PolicyDirectory(Policy.model_validate(policy), ADDRESSES, local_routing=domain)
    profile = entries.profile_for(mn_id)
    assert profile is not None
    assert profile.local_routing is (domain if own is None else own)


@pytest.mark.requirement("PROF-02")
def test_profile_of_unlisted_node_without_default_is_none() -> None:
    """PROF-02: no profile, no service."""
    only_alice = directory({"nodes": {"alice@example.net": {"lma": "lma1"}}})
    assert only_alice.profile_for(b"alice@example.net") is not None
    assert only_alice.profile_for(b"bob@example.net") is None


@pytest.mark.requirement("PROF-06")
def test_profile_of_listed_node_without_any_lma_is_none() -> None:
    """PROF-06: the LMA address is mandatory."""
    no_lma = directory({"nodes": {"alice@example.net": {"lifetime_s": "600"}}})
    assert no_lma.profile_for(b"alice@example.net") is None


@pytest.mark.requirement("MNID-02")
def test_mn_id_of_listed_address_is_its_node(all_levels: PolicyDirectory) -> None:
    """MNID-02: the same node behind each of its interfaces."""
    assert all_levels.mn_id_for(ALICE_MAC) == b"alice@example.net"
    assert all_levels.mn_id_for(ALICE_SECOND_MAC) == b"alice@example.net"


def test_mn_id_of_unknown_address_without_rule_is_none(all_levels: PolicyDirectory) -> None:
    """A default LMA alone admits no stranger."""
    assert all_levels.mn_id_for(STRANGER_MAC) is None


@pytest.mark.requirement("PROF-04")
def test_mn_id_of_unknown_address_follows_the_rule_and_has_a_profile() -> None:
    visitors = directory(
        {
            "nodes": {"alice@example.net": {"link_layer_addresses": ["02:00:00:00:00:01"]}},
            "default": {
                "lma": "lma3",
                "mn_id_from_link_layer_address": "{mac}@visitors.example.net",
            },
        }
    )
    assert visitors.mn_id_for(ALICE_MAC) == b"alice@example.net"
    mn_id = visitors.mn_id_for(STRANGER_MAC)
    assert mn_id == b"0200000000ff@visitors.example.net"
    profile = visitors.profile_for(mn_id)
    assert profile is not None
    assert profile.lma_address == LMA3


def test_directory_with_unknown_lma_name_raises() -> None:
    with pytest.raises(KeyError, match="lma9"):
        directory({"nodes": {"alice@example.net": {"lma": "lma9"}}})


# What access authentication calls a node


@pytest.fixture
def names() -> PolicyDirectory:
    return directory(
        {
            "nodes": {
                "alice@example.net": {
                    "link_layer_addresses": ["02:00:00:00:00:01"],
                    "identities": ["0f3a@tmp.operator", "9c11@tmp.operator", "cui-7"],
                },
                "family@example.net": {},
            },
            "realms": {"own.net": {"identity_is_mn_id": "true"}},
            "default": {
                "lma": "lma3",
                "mn_id_from_link_layer_address": "{mac}@visitors.example.net",
            },
            "shared_identities": ["account@operator", "account@own.net"],
        }
    )


@pytest.mark.requirement("MNID-07", "MNID-08")
@pytest.mark.parametrize("name", [b"0f3a@tmp.operator", b"9c11@tmp.operator", b"cui-7"])
@pytest.mark.parametrize("is_mn_id", [False, True])
def test_temporary_identities_lead_to_the_stable_one(
    names: PolicyDirectory, name: bytes, is_mn_id: bool
) -> None:
    """MNID-07: also where the access network takes them for MN-Identifiers."""
    assert names.mn_id_behind(name, STRANGER_MAC, is_mn_id=is_mn_id) == b"alice@example.net"


@pytest.mark.requirement("MNID-06")
@pytest.mark.parametrize("name", [b"account@operator", b"account@own.net"])
@pytest.mark.parametrize("is_mn_id", [False, True])
def test_name_that_nodes_share_is_never_an_mn_identifier(
    names: PolicyDirectory, name: bytes, is_mn_id: bool
) -> None:
    """MNID-06: their link-layer addresses tell the nodes apart, or nothing does."""
    assert names.mn_id_behind(name, ALICE_MAC, is_mn_id=is_mn_id) == b"alice@example.net"
    visitor = names.mn_id_behind(name, STRANGER_MAC, is_mn_id=is_mn_id)
    assert visitor == b"0200000000ff@visitors.example.net"
    with pytest.raises(UnknownIdentityError, match="several nodes share the name"):
        names.mn_id_behind(name, None, is_mn_id=is_mn_id)
    listed_only = directory({"default": {"lma": "lma1"}, "shared_identities": [name.decode()]})
    with pytest.raises(UnknownIdentityError, match="several nodes share the name"):
        listed_only.mn_id_behind(name, STRANGER_MAC, is_mn_id=is_mn_id)


@pytest.mark.requirement("MNID-05")
def test_name_is_an_mn_identifier_only_where_policy_or_the_access_network_says_so(
    names: PolicyDirectory,
) -> None:
    """MNID-05: a realm whose names are of one node each; off by default."""
    assert names.mn_id_behind(b"bob@own.net", STRANGER_MAC, is_mn_id=False) == b"bob@own.net"
    assert names.mn_id_behind(b"bob@other", STRANGER_MAC, is_mn_id=True) == b"bob@other"
    listed = names.mn_id_behind(b"family@example.net", STRANGER_MAC, is_mn_id=False)
    assert listed == b"family@example.net"
    with pytest.raises(UnknownIdentityError, match="no node of the policy goes by that name"):
        names.mn_id_behind(b"bob@other", STRANGER_MAC, is_mn_id=False)


@pytest.mark.parametrize(
    ("realm", "default", "is_one_nodes"),
    [(None, "true", True), ("false", "true", False), ("true", None, True), (None, None, False)],
)
def test_realm_says_what_its_names_are_before_the_default_does(
    realm: str | None, default: str | None, is_one_nodes: bool
) -> None:
    policy = {
        "realms": {"own.net": {"identity_is_mn_id": realm} if realm else {}},
        "default": {"lma": "lma1"} | ({"identity_is_mn_id": default} if default else {}),
    }
    if is_one_nodes:
        mn_id = directory(policy).mn_id_behind(b"bob@own.net", None, is_mn_id=False)
        assert mn_id == b"bob@own.net"
    else:
        with pytest.raises(UnknownIdentityError):
            directory(policy).mn_id_behind(b"bob@own.net", None, is_mn_id=False)


@pytest.mark.requirement("MNID-06", "MNID-07")
@pytest.mark.parametrize("name", [b"0f3a@tmp.operator", b"account@operator"])
def test_name_that_stands_for_other_nodes_has_no_profile(
    names: PolicyDirectory, name: bytes
) -> None:
    """Not even for a binding that was made while policy did not say so."""
    assert names.profile_for(name) is None


# Interfaces with something to themselves


@pytest.fixture
def interfaces() -> PolicyDirectory:
    return directory(
        {
            "nodes": {
                "alice@example.net": {
                    "lma": "lma1",
                    "home_network_prefixes": ["2001:db8:1:1::/64"],
                    "interfaces": {
                        "02:00:00:00:00:01": {
                            "home_network_prefixes": ["2001:db8:1:2::/64", "2001:db8:1:3::/64"]
                        },
                        "02:00:00:00:00:02": {},
                    },
                }
            }
        }
    )


@pytest.mark.requirement("PROF-07")
@pytest.mark.parametrize(
    ("address", "prefixes"),
    [
        (ALICE_MAC, ["2001:db8:1:2::/64", "2001:db8:1:3::/64"]),
        (ALICE_SECOND_MAC, []),
        (STRANGER_MAC, ["2001:db8:1:1::/64"]),
        (None, ["2001:db8:1:1::/64"]),
    ],
    ids=["its own set", "the LMA assigns", "any other interface", "no interface in question"],
)
def test_interface_has_its_own_prefixes_and_no_others(
    interfaces: PolicyDirectory, address: bytes | None, prefixes: list[str]
) -> None:
    """PROF-07: each attachment asks for its own set."""
    profile = interfaces.profile_for(b"alice@example.net", address)
    assert profile is not None
    assert profile.home_network_prefixes == tuple(map(IPv6Network, prefixes))
    assert profile.lma_address == LMA1


@pytest.mark.requirement("PROF-07")
def test_listed_interface_identifies_its_node(interfaces: PolicyDirectory) -> None:
    assert interfaces.mn_id_for(ALICE_SECOND_MAC) == b"alice@example.net"


@pytest.mark.requirement("PROF-09", "ACFG-04")
@pytest.mark.parametrize(
    ("mn_id", "way"),
    [
        (b"alice@example.net", AddressConfiguration.BOTH),
        (b"bob@example.net", AddressConfiguration.STATELESS),
        (b"dave@elsewhere.net", AddressConfiguration.STATEFUL),
    ],
    ids=["the node's own", "the realm's", "the domain's"],
)
def test_way_of_address_configuration_is_the_most_specific_entrys(
    mn_id: bytes, way: AddressConfiguration
) -> None:
    """PROF-09, ACFG-04."""
    policy = {
        "nodes": {"alice@example.net": {"address_configuration": "both"}},
        "realms": {"example.net": {"address_configuration": "stateless"}},
        "default": {"lma": "lma1", "address_configuration": "stateful"},
    }
    profile = directory(policy).profile_for(mn_id)
    assert profile is not None
    assert profile.address_configuration is way


def test_nodes_configure_by_themselves_unless_policy_says_otherwise() -> None:
    profile = directory({"default": {"lma": "lma1"}}).profile_for(b"alice@example.net")
    assert profile is not None
    assert profile.address_configuration is AddressConfiguration.STATELESS
