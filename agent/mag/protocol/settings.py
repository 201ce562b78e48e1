"""Variables of the protocol with the RFC's defaults; units are in the names."""

from collections.abc import Mapping
from dataclasses import field
from ipaddress import IPv6Address
from typing import Final

from mag.frozen import frozen
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS

# RFC 6275 §12. A MAG uses these three of the list (requirement RTX-12).
INITIAL_BINDACK_TIMEOUT_S: Final = 1.0
MAX_BINDACK_TIMEOUT_S: Final = 32.0
MAX_UPDATE_RATE_PER_S: Final = 3

LIFETIME_UNIT_S: Final = 4
"""RFC 6275 §6.1.7: lifetimes travel in units of four seconds."""
MAX_LIFETIME_S: Final = 65535 * LIFETIME_UNIT_S

MINIMUM_IPV6_MTU: Final = 1280
IPV6_HEADER_OCTETS: Final = 40

# RFC 6543: reserved for exactly this use, the same on every access link of every domain.
RESERVED_LINK_LAYER_ADDRESS: Final = bytes.fromhex("00005e005213")
RESERVED_LINK_LOCAL_ADDRESS: Final = IPv6Address("fe80::200:5eff:fe00:5213")


@frozen
class RouterAdvertisementSettings:
    """What the Router Advertisements on access links say and when (RFC 4861 §6.2.1)."""

    max_interval_s: float = 600.0
    """MaxRtrAdvInterval, 4 to 1800."""
    min_interval_s: float = 198.0
    """MinRtrAdvInterval, 3 to 0.75 of the maximum."""
    router_lifetime_s: int = 1800
    """AdvDefaultLifetime: 0, or max_interval_s to 9000."""
    cur_hop_limit: int = 64
    reachable_time_ms: int = 0
    retrans_timer_ms: int = 0
    valid_lifetime_s: int = 2592000
    preferred_lifetime_s: int = 604800
    """Not above valid_lifetime_s."""
    prefixes_live_with_binding: bool = False
    """Both are cut to what is left of the binding's lifetime (RFC 5213 §6.7); a node then hears of
    its prefixes at each refresh."""


@frozen
class HeartbeatSettings:
    """Liveness of the LMAs (RFC 5847 §5)."""

    is_enabled: bool = True
    """Ask; what LMAs ask is always answered."""
    interval_s: float = 60.0
    """HEARTBEAT_INTERVAL, 30 to 3600."""
    missing_allowed: int = 3
    """MISSING_HEARTBEATS_ALLOWED: one more, and the LMA counts as unreachable."""


@frozen
class ProtocolSettings:
    """RFC 5213 §9.2 and §9.3 variables and the limits of what peers can make us keep."""

    proxy_care_of_address: IPv6Address
    """The global address of the egress interface: source of PBUs, our end of the tunnels."""
    lifetime_s: int = 3600
    """Requested binding lifetime; a multiple of 4 up to 262140 (RFC 6275 §6.1.7)."""
    refresh_fraction: float = 0.8
    """A refresh starts when this part of the granted lifetime is over."""
    initial_bindack_timeout_s: float = INITIAL_BINDACK_TIMEOUT_S
    max_bindack_timeout_s: float = MAX_BINDACK_TIMEOUT_S
    timestamp_based_approach_in_use: bool = True
    """TimestampBasedApproachInUse (RFC 5213 §9.3), the same in the whole domain; without it PBUs
    are ordered by a sequence number of each session."""
    fixed_mag_link_local_address: IPv6Address = RESERVED_LINK_LOCAL_ADDRESS
    """FixedMAGLinkLocalAddressOnAllAccessLinks (RFC 5213 §9.3); `::`, the RFC's ALL_ZERO: there is
    none, LMAs give one to each session."""
    fixed_mag_link_layer_address: bytes = RESERVED_LINK_LAYER_ADDRESS
    """FixedMAGLinkLayerAddressOnAllAccessLinks (RFC 5213 §9.3); six octets."""
    router_advertisement: RouterAdvertisementSettings = RouterAdvertisementSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    solicitations_by_link: Mapping[str, int] = field(default_factory=dict)
    """How often a node is asked for before it counts as gone, by access interface; on links that
    are left out the access network tells of every departure, and nobody is asked."""
    max_bindings: int = 1_000_000
    max_outstanding_requests: int = 8
    """(sequence, timestamp) pairs remembered per binding for matching late replies (INT-27)."""

    @property
    def has_link_local_addresses_from_lma(self) -> bool:
        """Whether PBUs carry the Link-local Address option (RFC 5213 §6.9.1.1(9))."""
        return self.fixed_mag_link_local_address.is_unspecified

    @property
    def access_link_local_address(self) -> IPv6Address:
        """What access interfaces have, and nodes are asked from whatever they know us by.

        Without a fixed address it is the one that RFC 6543 reserves: no node may have it. It is
        then no router's, and no Router Advertisement that gives anything comes from it.
        """
        if self.has_link_local_addresses_from_lma:
            return RESERVED_LINK_LOCAL_ADDRESS
        return self.fixed_mag_link_local_address

    def link_layer_address_towards(self, mn_link_layer_address: bytes) -> bytes | None:
        """Ours on the link of that node; None if there are none there (RFC 5213 §9.3)."""
        has_none = mn_link_layer_address == NO_LINK_LAYER_ADDRESS
        return None if has_none else self.fixed_mag_link_layer_address

    def source_towards(self, known_by: IPv6Address) -> IPv6Address:
        """Where packets to a node come from. known_by: its router, `::` while it has none."""
        return self.access_link_local_address if known_by.is_unspecified else known_by
