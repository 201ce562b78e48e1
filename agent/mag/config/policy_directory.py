"""Who a mobile node is and what it may have, resolved from the `policy` section."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.config.policy import NodePolicy, Policy, RealmPolicy, Terms
from mag.config.values import mn_id_by_rule
from mag.protocol.policy_profile import AddressConfiguration, PolicyProfile
from mag.wire.ethernet import parse_link_layer_address

_NO_REALM: Final = b""
"""No realm is empty."""


class UnknownIdentityError(Exception):
    """A name leads to no node; the text says why."""


class PolicyDirectory:
    """Look-ups in a policy; each takes constant time, whatever the number of nodes."""

    __slots__ = (
        "_default",
        "_interface_profiles",
        "_lma_addresses",
        "_local_routing",
        "_mn_id_by_address",
        "_mn_id_by_identity",
        "_profiles",
        "_realms",
        "_shared_identities",
        "_unlisted",
    )

    def __init__(
        self,
        policy: Policy,
        lma_addresses: Mapping[str, IPv6Address],
        *,
        local_routing: bool = False,
    ) -> None:
        """lma_addresses: by the names that the policy uses; one missing raises KeyError.

        local_routing: the domain's, for nodes of which the policy says nothing.
        """
        self._lma_addresses = lma_addresses
        self._local_routing = local_routing
        self._default = policy.default
        self._realms = {realm.encode(): rules for realm, rules in policy.realms.items()}
        self._unlisted = {
            realm: self._resolve(b"", None, self._realms.get(realm), ())
            for realm in (_NO_REALM, *self._realms)
        }
        """What nodes without an entry get, by realm; those of realms that are not there get what
        nodes of none do."""
        self._profiles: dict[bytes, PolicyProfile] = {}
        self._mn_id_by_address: dict[bytes, bytes] = {}
        self._interface_profiles: dict[tuple[bytes, bytes], PolicyProfile] = {}
        """Of interfaces that have something to themselves: by node and link-layer address."""
        self._mn_id_by_identity: dict[bytes, bytes] = {}
        self._shared_identities = frozenset(name.encode() for name in policy.shared_identities)
        for name, node in policy.nodes.items():
            mn_id = name.encode()
            self._mn_id_by_identity[mn_id] = mn_id
            self._mn_id_by_identity.update((each.encode(), mn_id) for each in node.identities)
            self._mn_id_by_address.update(dict.fromkeys(node.link_layer_addresses, mn_id))
            realm = self._realms.get(_realm_of(mn_id))
            profile = self._resolve(mn_id, node, realm, node.home_network_prefixes)
            if profile is not None:
                self._profiles[mn_id] = profile
            for text, interface in node.interfaces.items():
                address = parse_link_layer_address(text)
                self._mn_id_by_address[address] = mn_id
                own = profile and replace(
                    profile, home_network_prefixes=interface.home_network_prefixes
                )
                if own is not None:
                    self._interface_profiles[mn_id, address] = own

    def mn_id_for(self, link_layer_address: bytes) -> bytes | None:
        """The MN-Identifier of the node with this address (six octets).

        Listed nodes first, then the default's rule; None: an unknown node, not to be served.
        """
        mn_id = self._mn_id_by_address.get(link_layer_address)
        if mn_id is not None:
            return mn_id
        rule = self._default.mn_id_from_link_layer_address
        return None if rule is None else mn_id_by_rule(rule, link_layer_address).encode()

    def mn_id_behind(
        self, name: bytes, link_layer_address: bytes | None, *, is_mn_id: bool
    ) -> bytes:
        """The stable MN-Identifier of the node that goes by this name (RFC 5213 §6.6).

        is_mn_id: whoever gives the name knows it as an MN-Identifier; else it is what the node
        was authenticated as, which only the policy can turn into one.
        Raises UnknownIdentityError.
        """
        if name in self._shared_identities:
            mn_id = None if link_layer_address is None else self.mn_id_for(link_layer_address)
            if mn_id is None:
                raise UnknownIdentityError(
                    "several nodes share the name, and the link-layer address is none of theirs"
                )
            return mn_id
        if (mn_id := self._mn_id_by_identity.get(name)) is not None:
            return mn_id
        if is_mn_id or self._names_one_node(name):
            return name
        raise UnknownIdentityError("no node of the policy goes by that name")

    def profile_for(
        self, mn_id: bytes, link_layer_address: bytes | None = None
    ) -> PolicyProfile | None:
        """The node's profile, each field from its own entry, its realm or the default.

        link_layer_address: of the interface in question, which may have prefixes to itself.
        None: it is not to be served, since no entry names an LMA for it (RFC 5213 §6.2) or since
        it is no MN-Identifier but a name that stands for another node, or for several (§6.6).
        """
        if mn_id in self._shared_identities or self._mn_id_by_identity.get(mn_id, mn_id) != mn_id:
            return None
        if link_layer_address is not None:
            own = self._interface_profiles.get((mn_id, link_layer_address))
            if own is not None:
                return own
        return self._profiles.get(mn_id) or self._profile_of_unlisted(mn_id)

    def _profile_of_unlisted(self, mn_id: bytes) -> PolicyProfile | None:
        common = self._unlisted.get(_realm_of(mn_id), self._unlisted[_NO_REALM])
        return None if common is None else common.of_node(mn_id)

    def _resolve(
        self,
        mn_id: bytes,
        node: NodePolicy | None,
        realm: RealmPolicy | None,
        prefixes: tuple[IPv6Network, ...],
    ) -> PolicyProfile | None:
        candidates: tuple[Terms | None, ...] = (node, realm, self._default)
        rules = [entry for entry in candidates if entry is not None]
        lma = next((entry.lma for entry in rules if entry.lma is not None), None)
        if lma is None:
            return None
        lifetimes = (entry.lifetime_s for entry in rules if entry.lifetime_s is not None)
        switches = (entry.local_routing for entry in rules if entry.local_routing is not None)
        of_prefixes = (e.prefix_lifetime_s for e in rules if e.prefix_lifetime_s is not None)
        ways = (e.address_configuration for e in rules if e.address_configuration is not None)
        return PolicyProfile(
            mn_id=mn_id,
            lma_address=self._lma_addresses[lma],
            home_network_prefixes=prefixes,
            lifetime_s=next(lifetimes, None),
            prefix_lifetime_s=next(of_prefixes, None),
            address_configuration=next(ways, AddressConfiguration.STATELESS),
            local_routing=next(switches, self._local_routing),
        )

    def _names_one_node(self, name: bytes) -> bool:
        rules = (self._realms.get(_realm_of(name)), self._default)
        said = (each.identity_is_mn_id for each in rules if each is not None)
        return next((each for each in said if each is not None), False)


def _realm_of(mn_id: bytes) -> bytes:
    """RFC 4282 §2.1: a domain name, so its case does not matter."""
    _, at_sign, realm = mn_id.rpartition(b"@")
    return realm.lower() if at_sign else _NO_REALM
