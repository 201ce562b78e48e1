"""Configurations of all kinds, for properties that must hold of every one."""

from typing import Any

from hypothesis import strategies as st

from mag.config.model import AttachTrigger, Configuration
from mag.wire.iana import AccessTechnologyType

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True)
INTERFACES = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=12)
IDENTIFIERS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=60)
REALMS = st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True)
LIFETIMES = st.integers(1, 65535).map(lambda units: 4 * units)
SWITCHES = st.booleans()


def _maybe(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any choice of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


_PROTOCOL = _maybe(
    lifetime_s=LIFETIMES,
    refresh_fraction=st.floats(0.1, 0.95),
    initial_bindack_timeout_s=st.floats(0.1, 1.0),
    max_bindack_timeout_s=st.floats(1.0, 3600),
    fixed_mag_link_layer_address=st.just("02:00:00:00:52:13"),
    max_bindings=st.integers(1, 10_000_000),
)
_ADVERTISEMENT = _maybe(
    max_interval_s=st.floats(600, 1800),
    router_lifetime_s=st.integers(1800, 9000),
    valid_lifetime_s=st.integers(604800, 2**32 - 1),
    cur_hop_limit=st.integers(0, 255),
)
_LINK = _maybe(
    access_technology_type=st.sampled_from(
        [each.name.lower() for each in AccessTechnologyType if each.name != "RESERVED"]
    ),
    attach_triggers=st.sets(st.sampled_from(AttachTrigger), min_size=1),
)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """A valid configuration with any choice of the keys that may be left out."""
    lmas = {
        name: {
            "address": f"2001:db8:b::{number:x}",
            **draw(_maybe(path_mtu_octets=st.integers(1320, 9000))),
        }
        for number, name in enumerate(draw(st.sets(NAMES, min_size=1, max_size=4)), start=1)
    }
    known = st.sampled_from(sorted(lmas))
    nodes = {
        mn_id: {
            "lma": draw(known),
            **draw(_maybe(lifetime_s=LIFETIMES)),
            "link_layer_addresses": [f"02:00:00:00:00:{number:02x}"] * draw(st.integers(0, 1)),
            "home_network_prefixes": [f"2001:db8:1:{number:x}::/64"] * draw(st.integers(0, 1)),
        }
        for number, mn_id in enumerate(draw(st.sets(IDENTIFIERS, max_size=4)))
    }
    rules = _maybe(lma=known, lifetime_s=LIFETIMES, local_routing=SWITCHES)
    interfaces = draw(st.lists(INTERFACES, unique=True, min_size=2, max_size=4))
    values = {
        "identity": draw(NAMES),
        "proxy_care_of_address": "2001:db8:0:a::1",
        "lmas": lmas,
        "access_links": {name: draw(_LINK) for name in interfaces[1:]},
        "policy": {
            "nodes": nodes,
            "realms": draw(st.dictionaries(REALMS, rules)),
            "default": {"lma": draw(known)},
        },
        "protocol": draw(_PROTOCOL),
        "router_advertisement": draw(_ADVERTISEMENT),
        "heartbeat": draw(_maybe(enabled=SWITCHES, interval_s=st.floats(30, 3600))),
        "dataplane": {
            "kind": "vpp",
            "core_interfaces": interfaces[:1],
            "vpp": draw(_maybe(mobility_table=st.integers(1, 2**32 - 2), hand_off=SWITCHES)),
        },
        "admin": draw(_maybe(socket_mode=st.integers(0, 0o777))),
        "shutdown": draw(
            _maybe(policy=st.sampled_from(["deregister", "keep"]), timeout_s=st.floats(0, 60))
        ),
        "log": draw(_maybe(level=st.sampled_from(["debug", "warning"]))),
    }
    return Configuration.model_validate(values)
