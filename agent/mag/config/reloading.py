"""What becomes of a changed key while the gateway runs: when it takes effect, or why it cannot.

Every key of the model stands in exactly one of the two tables, by itself or with its group. What
goes into ProtocolSettings and LmaSettings the core takes over as a whole; what an adapter is built
with needs a restart, unless the adapter can be told.
"""

from collections.abc import Mapping
from typing import Final

from mag.config.messages import Location
from mag.config.wording import ANY_NAME, matches

_NEXT_REQUEST: Final = "with the next Proxy Binding Update of each binding"
_NEXT_ADVERTISEMENT: Final = "every node with service gets a Router Advertisement with it"
_HELD_BY_NODES: Final = "nodes keep it as their default router"
_PACKET_PATH: Final = "the packet path is built with it"
_ORDERING: Final = "LMAs order the registrations of each session by it"
_JOURNAL: Final = "the journal is opened once"
_SOCKET: Final = "the admin socket is opened once"

TAKES_EFFECT: Final[Mapping[tuple[str, ...], str]] = {
    ("identity",): "at once",
    ("lmas", "NAME"): "new: at once; removed: its sessions move to another LMA or end",
    ("lmas", "NAME", "address"): "sessions are de-registered there and registered at the new one",
    ("lmas", "NAME", "path_mtu_octets"): "tunnel at once; its nodes get a Router Advertisement",
    ("lmas", "NAME", "updates_per_s"): "at once",
    ("lmas", "NAME", "update_burst"): "at once",
    ("lmas", "NAME", "quirks"): _NEXT_REQUEST,
    ("access_links", "NAME"): "new: at once; removed: its sessions are de-registered and ended",
    ("access_links", "NAME", "access_technology_type"): "for nodes that attach from then on",
    ("access_links", "NAME", "attach_triggers"): "at once",
    ("access_links", "NAME", "presence"): "at once",
    ("access_links", "NAME", "presence_solicitations"): "at once",
    ("access_links", "NAME", "single_node"): "for nodes that attach or are refreshed from then on",
    ("access_links", "NAME", "down_s"): "the next time it goes down",
    ("access_links", "NAME", "down_after_rejection"): "at once",
    ("policy", "nodes", "NAME"): "new: asked to speak up and taken; removed: its session ends",
    ("policy", "nodes", "NAME", "identities"): "for nodes that attach from then on",
    ("policy", "nodes", "NAME", "lma"): "de-registered at the old LMA, registered at the new one",
    ("policy", "nodes", "NAME", "lifetime_s"): "with the next refresh",
    (
        "policy",
        "nodes",
        "NAME",
        "prefix_lifetime_s",
    ): "by a Router Advertisement at once",
    ("policy", "nodes", "NAME", "address_configuration"): "by a Router Advertisement at once",
    ("policy", "nodes", "NAME", "local_routing"): "at once",
    ("policy", "nodes", "NAME", "link_layer_addresses"): "sessions of addresses taken away end",
    ("policy", "nodes", "NAME", "home_network_prefixes"): "with the node's next registration",
    ("policy", "nodes", "NAME", "interfaces", "NAME"): "as its node's profile changes",
    (
        "policy",
        "nodes",
        "NAME",
        "interfaces",
        "NAME",
        "home_network_prefixes",
    ): "with the interface's next registration",
    ("policy", "realms", "NAME"): "as its nodes' profiles change",
    ("policy", "realms", "NAME", "identity_is_mn_id"): "for nodes that attach from then on",
    ("policy", "realms", "NAME", "lma"): "de-registered at the old LMA, registered at the new one",
    ("policy", "realms", "NAME", "lifetime_s"): "with the next refresh",
    (
        "policy",
        "realms",
        "NAME",
        "prefix_lifetime_s",
    ): "by a Router Advertisement at once",
    ("policy", "realms", "NAME", "address_configuration"): "by a Router Advertisement at once",
    ("policy", "realms", "NAME", "local_routing"): "at once",
    ("policy", "default", "lma"): "de-registered at the old LMA, registered at the new one",
    ("policy", "default", "lifetime_s"): "with the next refresh",
    ("policy", "default", "prefix_lifetime_s"): "by a Router Advertisement at once",
    ("policy", "default", "address_configuration"): "by a Router Advertisement at once",
    ("policy", "default", "local_routing"): "at once",
    ("policy", "default", "identity_is_mn_id"): "for nodes that attach from then on",
    ("policy", "shared_identities"): "sessions under such a name end",
    ("policy", "default", "mn_id_from_link_layer_address"): "sessions of the old rule's names end",
    ("protocol", "lifetime_s"): "with the next refresh",
    ("protocol", "local_routing"): "at once",
    ("protocol", "refresh_fraction"): "from the next acknowledgement of each binding",
    ("protocol", "initial_bindack_timeout_s"): _NEXT_REQUEST,
    ("protocol", "max_bindack_timeout_s"): _NEXT_REQUEST,
    ("protocol", "clock"): "at once; `require` asks at the next start",
    ("protocol", "max_clock_error_s"): "at once",
    ("protocol", "max_bindings"): "for new nodes; bindings beyond it stay",
    ("router_advertisement", "max_interval_s"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "min_interval_s"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "router_lifetime_s"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "cur_hop_limit"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "reachable_time_ms"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "retrans_timer_ms"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "valid_lifetime_s"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "prefixes_live_with_binding"): _NEXT_ADVERTISEMENT,
    ("router_advertisement", "preferred_lifetime_s"): _NEXT_ADVERTISEMENT,
    ("heartbeat", "enabled"): "at once",
    ("heartbeat", "interval_s"): "at once",
    ("heartbeat", "missing_allowed"): "at once",
    ("shutdown", "policy"): "at once",
    ("shutdown", "timeout_s"): "at once",
    ("dataplane", "verify_interval_s"): "after the next look",
    ("log", "level"): "at once",
    ("log", "format"): "at once",
    ("log", "mn_id"): "at once",
}
"""Applied by a reload: when or how."""

NEEDS_RESTART: Final[Mapping[tuple[str, ...], str]] = {
    ("proxy_care_of_address",): "all bindings and tunnels are made with it",
    ("protocol", "timestamp_based_approach_in_use"): _ORDERING,
    ("protocol", "mobile_node_generated_timestamp_in_use"): _ORDERING,
    ("protocol", "fixed_mag_link_local_address"): _HELD_BY_NODES,
    ("protocol", "fixed_mag_link_layer_address"): _HELD_BY_NODES,
    ("access_links", "NAME", "mn_id"): "it says what kind of link it is, and whose its session is",
    ("dataplane", "kind"): _PACKET_PATH,
    ("dataplane", "core_interfaces"): _PACKET_PATH,
    ("dataplane", "vpp", "api_socket"): _PACKET_PATH,
    ("dataplane", "vpp", "stats_socket"): _PACKET_PATH,
    ("dataplane", "vpp", "punt_socket"): _PACKET_PATH,
    ("dataplane", "vpp", "mobility_table"): _PACKET_PATH,
    ("dataplane", "vpp", "core_table"): _PACKET_PATH,
    ("dataplane", "vpp", "hand_off"): _PACKET_PATH,
    ("admin", "socket"): _SOCKET,
    ("admin", "socket_mode"): _SOCKET,
    ("journal", "enabled"): _JOURNAL,
    ("journal", "path"): _JOURNAL,
}
"""Refused by a reload: why."""

_UNKNOWN: Final = "nothing is known of how to apply it"


def obstacle(location: Location) -> str | None:
    """Why a change here needs a restart; None if a reload applies it."""
    if takes_effect(location) is not None:
        return None
    return _found(NEEDS_RESTART, location) or _UNKNOWN


def takes_effect(location: Location) -> str | None:
    """When or how a reload applies a change here; None if it does not."""
    return _found(TAKES_EFFECT, location)


def _found(table: Mapping[tuple[str, ...], str], location: Location) -> str | None:
    return next((words for pattern, words in table.items() if _holds(pattern, location)), None)


def _holds(pattern: tuple[str, ...], location: Location) -> bool:
    """Whether the pattern is of this key or of its group; that of a named object is of no key."""
    is_of_group = pattern[-1] != ANY_NAME and matches(location[:-1], pattern)
    return is_of_group or matches(location, pattern)
