"""What another configuration would do to each session: a reload plans it, then does it."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import field
from enum import StrEnum
from ipaddress import IPv6Address

from mag.config.model import Configuration
from mag.frozen import frozen
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import RegistrationState
from mag.services.event_log import text_of_mn_id
from mag.steps import in_steps


class Effect(StrEnum):
    """What a session goes through."""

    ENDED = "ended"
    """De-registered, and its prefixes withdrawn from the node."""
    REGISTERED_ANEW = "registered_anew"
    """De-registered at its LMA, then registered as the new profile says."""
    OTHER_LIFETIME = "other_lifetime"
    """Asked for with its next refresh."""
    OTHER_PREFIXES = "other_prefixes"
    """Asked for with the node's next registration."""
    LOCAL_ROUTING = "local_routing"
    """Its packets to other nodes of the gateway take another way at once."""
    ADVERTISED_AGAIN = "advertised_again"
    """The node gets a Router Advertisement with other values."""


@frozen
class SessionEffects:
    """One session and everything that a change means to it."""

    entry: BindingUpdateListEntry
    profile: PolicyProfile | None
    """What it is to have from then on; None: it ends."""
    effects: dict[Effect, str] = field(default_factory=dict)
    """With the reason or the values, in words."""


async def effects_on_sessions(
    entries: Iterable[BindingUpdateListEntry], old: Configuration, new: Configuration
) -> AsyncIterator[SessionEffects]:
    """Those of the entries that the change touches, each as it is when its turn comes."""
    comparison = _Comparison(old, new)
    async for entry in in_steps(list(entries)):
        if entry.state is RegistrationState.GONE:
            continue
        effects = comparison.of(entry)
        if effects.effects or effects.profile != entry.profile:
            yield effects


class _Comparison:
    """Two configurations, and what both say of a session."""

    def __init__(self, old: Configuration, new: Configuration) -> None:
        self._old, self._new = old, new
        self._names = {lma.address: name for each in (old, new) for name, lma in each.lmas.items()}
        self._old_mtus = _tunnel_mtus(old)
        self._new_mtus = _tunnel_mtus(new)
        before, after = old.protocol_settings(), new.protocol_settings()
        self._says_otherwise = before.router_advertisement != after.router_advertisement

    def of(self, entry: BindingUpdateListEntry) -> SessionEffects:
        if (end := self._why_it_ends(entry)) is not None:
            return SessionEffects(entry, None, {Effect.ENDED: end})
        address = entry.attachment.mn_link_layer_id
        profile = self._new.policy_directory.profile_for(entry.mn_id, address)
        if profile is None:
            return SessionEffects(entry, None, {Effect.ENDED: "policy has no profile for it"})
        if (anew := self._why_it_begins_anew(entry, profile)) is not None:
            return SessionEffects(entry, profile, {Effect.REGISTERED_ANEW: anew})
        checks: dict[Effect, Callable[[BindingUpdateListEntry, PolicyProfile], str | None]] = {
            Effect.OTHER_LIFETIME: self._other_lifetime,
            Effect.OTHER_PREFIXES: self._other_prefixes,
            Effect.LOCAL_ROUTING: self._other_way,
            Effect.ADVERTISED_AGAIN: self._what_to_advertise,
        }
        found = ((effect, check(entry, profile)) for effect, check in checks.items())
        return SessionEffects(entry, profile, {effect: why for effect, why in found if why})

    def _why_it_ends(self, entry: BindingUpdateListEntry) -> str | None:
        link, address = entry.attachment.access_interface, entry.attachment.mn_link_layer_id
        if link not in self._new.access_links:
            return f"access link {link} is removed"
        # Whom access authentication named, the addresses of the policy do not identify.
        is_identified = self._old.policy_directory.mn_id_for(address) == entry.mn_id
        now_identified = self._new.policy_directory.mn_id_for(address)
        if not is_identified or now_identified == entry.mn_id:
            return None
        if now_identified is None:
            return "its link-layer address is no node's any more"
        return f"its link-layer address is that of {text_of_mn_id(now_identified)}"

    def _why_it_begins_anew(
        self, entry: BindingUpdateListEntry, profile: PolicyProfile
    ) -> str | None:
        if profile.lma_address != entry.lma_address:
            return f"from {self._lma(entry.lma_address)} to {self._lma(profile.lma_address)}"
        if entry.state is RegistrationState.HELD and profile != entry.profile:
            return "its profile is another one: the hold is lifted"
        return None

    def _other_lifetime(self, entry: BindingUpdateListEntry, profile: PolicyProfile) -> str | None:
        before = entry.profile.lifetime_s or self._old.protocol.lifetime_s
        after = profile.lifetime_s or self._new.protocol.lifetime_s
        return None if before == after else f"{before} to {after} s with the next refresh"

    def _other_prefixes(self, entry: BindingUpdateListEntry, profile: PolicyProfile) -> str | None:
        if profile.home_network_prefixes == entry.profile.home_network_prefixes:
            return None
        wanted = ", ".join(map(str, profile.home_network_prefixes)) or "those that the LMA assigns"
        return f"{wanted} with the next registration"

    def _other_way(self, entry: BindingUpdateListEntry, profile: PolicyProfile) -> str | None:
        if profile.local_routing is entry.profile.local_routing:
            return None
        return f"turned {'on' if profile.local_routing else 'off'}"

    def _what_to_advertise(
        self, entry: BindingUpdateListEntry, profile: PolicyProfile
    ) -> str | None:
        if not entry.is_serving:
            return None
        news = list(self._news(entry.lma_address))
        if profile.address_configuration is not entry.profile.address_configuration:
            news.append(f"addresses are configured {profile.address_configuration.value}")
        return " and ".join(news) or None

    def _news(self, lma_address: IPv6Address) -> Iterator[str]:
        if self._says_otherwise:
            yield "other router advertisement values"
        before, after = self._old_mtus.get(lma_address), self._new_mtus.get(lma_address)
        if before != after:
            yield f"tunnel MTU {before} to {after} octets"

    def _lma(self, address: IPv6Address) -> str:
        return self._names.get(address, str(address))


def _tunnel_mtus(configuration: Configuration) -> dict[IPv6Address, int]:
    return {lma.address: lma.tunnel_mtu_octets for lma in configuration.lmas.values()}
