"""The `policy` section: which mobile nodes are served, by which LMA, with what."""

from typing import Annotated

from pydantic import Field

from mag.config.section import Section
from mag.config.values import (
    Between,
    HomeNetworkPrefix,
    Identity,
    InterfaceAddress,
    Lifetime,
    LinkLayerAddress,
    MnId,
    MnIdRule,
    Realm,
    Switch,
)
from mag.protocol.policy_profile import MAX_HOME_NETWORK_PREFIXES, AddressConfiguration


class Terms(Section):
    """What a node may get."""

    lma: str | None = None
    """Name of an entry of `lmas`."""
    lifetime_s: Lifetime | None = None
    """Requested binding lifetime; None takes the protocol section's."""
    prefix_lifetime_s: Annotated[int, Between(0, 2**32 - 1)] | None = None
    """Valid lifetime in Router Advertisements; None takes the router_advertisement section's."""
    address_configuration: AddressConfiguration | None = None
    """How nodes get their addresses; None: stateless."""
    local_routing: Switch | None = None
    """Overrides the protocol section's (RFC 5213 §9.2); None takes it."""


_HomeNetworkPrefixes = Annotated[
    tuple[HomeNetworkPrefix, ...], Field(max_length=MAX_HOME_NETWORK_PREFIXES)
]


class InterfacePolicy(Section):
    """What one interface of a node has to itself."""

    home_network_prefixes: _HomeNetworkPrefixes = ()
    """Static prefixes of this interface alone; empty lets the LMA assign."""


class NodePolicy(Terms):
    """One mobile node; what it leaves open comes from its realm, then from the default."""

    identities: tuple[Identity, ...] = ()
    """Temporary and private names, and user names of this node alone, which stand for it."""
    link_layer_addresses: tuple[LinkLayerAddress, ...] = ()
    """Of the node's interfaces; frames from them identify the node."""
    home_network_prefixes: _HomeNetworkPrefixes = ()
    """Static prefixes of interfaces that `interfaces` does not list; empty lets the LMA assign."""
    interfaces: dict[InterfaceAddress, InterfacePolicy] = Field(default_factory=dict)
    """By link-layer address, which identifies the node as link_layer_addresses do."""


class RealmPolicy(Terms):
    """What nodes of a realm have in common."""

    identity_is_mn_id: Switch | None = None
    """Each name of the realm in access authentication is of one node: its MN-Identifier; None
    takes the default's, which is false."""


class DefaultPolicy(RealmPolicy):
    """What holds for every MN-Identifier where neither node nor realm says otherwise."""

    mn_id_from_link_layer_address: MnIdRule | None = None
    """MN-Identifier of nodes whose link-layer address nothing lists; None: no service for them."""


class Policy(Section):
    """Policy profiles (RFC 5213 §6.2), most specific first."""

    nodes: dict[MnId, NodePolicy] = Field(default_factory=dict)
    """By MN-Identifier."""
    realms: dict[Realm, RealmPolicy] = Field(default_factory=dict)
    """By what follows the @ of the MN-Identifier, in lower case."""
    default: DefaultPolicy = DefaultPolicy()
    shared_identities: tuple[Identity, ...] = ()
    """Names that several nodes use in access authentication: nobody's MN-Identifier (§6.6)."""
