"""What the policy store says of a mobile node (RFC 5213 §6.2)."""

from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.frozen import frozen

MAX_MN_ID_OCTETS: Final = 253
"""What fits beside the subtype into the MN-Identifier option, with one octet to spare."""
MAX_HOME_NETWORK_PREFIXES: Final = 32
"""Of one binding; more would not fit into a PBU of 1280 octets with the rest."""


class AddressConfiguration(StrEnum):
    """How a node gets the addresses of its prefixes (RFC 5213 §6.2, §6.4)."""

    STATELESS = "stateless"
    """It makes them (RFC 4862)."""
    STATEFUL = "stateful"
    """DHCPv6 gives them."""
    BOTH = "both"

    @property
    def is_managed(self) -> bool:
        """M flag of Router Advertisements (RFC 4861 §4.2)."""
        return self is not AddressConfiguration.STATELESS

    @property
    def is_autonomous(self) -> bool:
        """A flag of their prefixes (RFC 4861 §4.6.2)."""
        return self is not AddressConfiguration.STATEFUL


@frozen
class PolicyProfile:
    """One mobile node's policy profile, resolved: what was left open holds the domain's value."""

    mn_id: bytes
    """MN-Identifier as it goes into the option: a Network Access Identifier, not empty."""
    lma_address: IPv6Address
    home_network_prefixes: tuple[IPv6Network, ...] = ()
    """Static prefixes to ask for; empty asks the LMA to assign."""
    lifetime_s: int | None = None
    """Requested binding lifetime; None takes the domain's."""
    prefix_lifetime_s: int | None = None
    """Valid lifetime of its prefixes in Router Advertisements; None takes the domain's."""
    address_configuration: AddressConfiguration = AddressConfiguration.STATELESS
    local_routing: bool = False
    """EnableMAGLocalRouting as it holds for this node (RFC 5213 §6.10.3, §9.2)."""

    def of_node(self, mn_id: bytes) -> "PolicyProfile":
        """The same for another node; `dataclasses.replace` takes several times as long."""
        return PolicyProfile(
            mn_id,
            self.lma_address,
            self.home_network_prefixes,
            self.lifetime_s,
            self.prefix_lifetime_s,
            self.address_configuration,
            self.local_routing,
        )
