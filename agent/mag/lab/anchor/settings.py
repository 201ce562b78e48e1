"""What the reference LMA is told: addresses, nodes, and the variables of RFC 5213 §9.1."""

from collections.abc import Mapping
from ipaddress import IPv6Address, IPv6Network

from mag.frozen import frozen


@frozen
class AnchorSettings:
    """Settings of the reference LMA with the RFC's defaults."""

    address: IPv6Address
    """LMAA: where PBUs arrive and tunnels end."""
    prefix_pool: IPv6Network
    """Home network prefixes are the /64s of this prefix."""
    nodes: Mapping[bytes, tuple[IPv6Network, ...]] | None = None
    """MN-Identifiers that are served, with their own prefixes if they have any; None: all."""
    gateways: frozenset[IPv6Address] | None = None
    """Proxy-CoAs that may register nodes; None: all."""
    lifetime_s: int = 3600
    """The most that is granted."""
    timestamp_validity_window_s: float = 0.3
    """TimestampValidityWindow."""
    min_delay_before_bce_delete_s: float = 10.0
    """MinDelayBeforeBCEDelete."""
    max_delay_before_new_bce_assign_s: float = 1.5
    """MaxDelayBeforeNewBCEAssign."""
    max_bindings: int = 1_000_000
    link_local_address: IPv6Address | None = None
    """Given to new sessions whose gateway asks for one (§5.3.6); a session keeps what it has. None:
    each gets its own."""
    restart_counter: int = 0
    """32 bits; another one after each start, as none keeps the bindings (RFC 5847 §3.2)."""

    def serves(self, mn_id: bytes) -> bool:
        """Whether a node of this identifier gets mobility service."""
        return self.nodes is None or mn_id in self.nodes

    def own_prefixes(self, mn_id: bytes) -> tuple[IPv6Network, ...]:
        """The node's own prefixes; empty takes one from the pool."""
        return () if self.nodes is None else self.nodes.get(mn_id, ())
