"""What an accepted binding brings the node: tunnel, forwarding, Router Advertisements."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, IPv6Network

from mag.protocol.advertisement_schedule import (
    MAX_INITIAL_RTR_ADVERTISEMENTS,
    MIN_DELAY_BETWEEN_RAS_S,
    AdvertisementSchedule,
)
from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.events import (
    AdvertisePrefixes,
    Binding,
    Event,
    ForwardingInstalled,
    ForwardingResumed,
    ForwardingUnwanted,
    ForwardingWanted,
    TunnelUnwanted,
    TunnelWanted,
)
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.registration import BindingTimer, LossReason, RegistrationState
from mag.protocol.withdrawals import Withdrawals


class BindingService:
    """Begins, changes and ends the service of bindings; all its effects are events."""

    def __init__(
        self,
        *,
        binding_update_list: BindingUpdateList,
        peers: Mapping[IPv6Address, LmaPeer],
        timers: BindingTimers,
        schedule: AdvertisementSchedule,
        withdrawals: Withdrawals,
        former_routers: Withdrawals,
        emit: Callable[[Event], None],
    ) -> None:
        """former_routers: addresses that nodes are to know the gateway by no longer."""
        self._list = binding_update_list
        self._peers = peers
        self._timers = timers
        self._schedule = schedule
        self._withdrawals = withdrawals
        self._former_routers = former_routers
        self._emit = emit

    def serve(self, entry: BindingUpdateListEntry, now: float) -> None:
        """Give the node what its entry holds; what it already has is left as it is."""
        self._begin(entry)
        if not entry.is_forwarding:
            self._emit(ForwardingWanted(snapshot(entry)))
        elif not self._timers.deadline(entry, BindingTimer.ADVERTISEMENT):
            self.advertise(entry, now)
        elif self._schedule.prefixes_live_with_binding:
            self._advertise_by(entry, max(now, _earliest_to_all(entry)))

    def resume(self, entry: BindingUpdateListEntry) -> None:
        """Go on with a service that began before the gateway started."""
        entry.is_resumed = True
        self._begin(entry)
        self._emit(ForwardingWanted(snapshot(entry)))

    def _begin(self, entry: BindingUpdateListEntry) -> None:
        """Serve it over its tunnel until its lifetime ends."""
        self._timers.set(entry, BindingTimer.LIFETIME, entry.expires_at)
        if entry.is_serving:
            return
        entry.is_serving = True
        peer = self._peers[entry.lma_address]
        peer.serving_bindings += 1
        if peer.serving_bindings == 1:
            self._emit(TunnelWanted(entry.lma_address))

    def redirect(self, entry: BindingUpdateListEntry) -> None:
        """The node is on another link: forward there."""
        self.suspend(entry)
        self.reroute(entry)

    def reroute(self, entry: BindingUpdateListEntry) -> None:
        """The node's packets take another way, of which the node need not know."""
        if entry.is_serving:
            self._emit(ForwardingWanted(snapshot(entry)))

    def suspend(self, entry: BindingUpdateListEntry) -> None:
        """Link or prefixes changed: nothing is said to the node until the path has followed."""
        self.stop_advertising(entry)
        entry.is_forwarding = entry.is_resumed = False

    def forwarding_ready(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The packet path confirms; the node may now learn of its prefixes."""
        if entry.is_resumed and not entry.is_forwarding:
            entry.is_forwarding = True
            entry.advertisements_sent = MAX_INITIAL_RTR_ADVERTISEMENTS
            # One that is being ended may have been told so; if it comes back it is told at once.
            if entry.state is not RegistrationState.DEREGISTERING:
                due = now + self._schedule.resumed_delay_s()
                self._timers.set(entry, BindingTimer.ADVERTISEMENT, due)
            self._emit(ForwardingResumed(snapshot(entry)))
        elif entry.is_serving and not entry.is_forwarding:
            entry.is_forwarding = True
            entry.advertisements_sent = 0
            binding = snapshot(entry)
            self._emit(ForwardingInstalled(binding, now - entry.attached_at))
            # No RFC 4861 random delay here: the node's packets wait for this advertisement. Nor
            # three seconds since the last one, which was about another link or other prefixes:
            # routers of mobile nodes may follow it up after 30 ms (RFC 6275 §7.5).
            self._advertise(entry, binding, now)

    def solicited(
        self, entry: BindingUpdateListEntry, source: IPv6Address | None, now: float
    ) -> None:
        """Answer a Router Solicitation soon; several at once are answered once.

        source: the address that the node asked from and is answered at; None or `::`: it has none
        yet, and the answer keeps its distance from the last one (RFC 4861 §6.2.6, INT-17).
        """
        if not entry.may_be_advertised:
            return  # §6.9.2(1): registration first, the advertisement follows by itself
        due = now + self._schedule.solicited_delay_s()
        if source is not None and not source.is_unspecified:
            entry.solicited_by = source
            self._advertise_by(entry, due)
        elif entry.solicited_by is None:
            self._advertise_by(entry, max(due, _earliest_to_all(entry)))

    def advertise(self, entry: BindingUpdateListEntry, now: float) -> None:
        """Advertise now and arm the next time; without an address to do it from, when there is."""
        self._advertise(entry, snapshot(entry), now)

    def _advertise(self, entry: BindingUpdateListEntry, binding: Binding, now: float) -> None:
        if not entry.may_be_advertised:
            return
        node_address, entry.solicited_by = entry.solicited_by, None
        if node_address is None:
            entry.advertised_to_all_at = now
        entry.advertisements_sent += 1
        wait = self._schedule.until_next_s(entry.advertisements_sent)
        self._timers.set(entry, BindingTimer.ADVERTISEMENT, now + wait)
        self._withdrawals.given(binding)
        lifetimes = self._schedule.prefix_lifetimes_s(entry.profile, entry.expires_at - now)
        self._emit(AdvertisePrefixes(binding, *lifetimes, node_address))

    def advertise_again(self, entry: BindingUpdateListEntry, due: float) -> None:
        """What the node was told has changed: RFC 4861 §6.2.4 begins anew, at `due` at latest.

        Later where the node was told something within the last three seconds.
        """
        if not entry.may_be_advertised:
            return  # the first one is still to come
        entry.advertisements_sent = 0
        self._advertise_by(entry, max(due, _earliest_to_all(entry)))

    def _advertise_by(self, entry: BindingUpdateListEntry, due: float) -> None:
        already_due = self._timers.deadline(entry, BindingTimer.ADVERTISEMENT)
        if already_due is None or due < already_due:
            self._timers.set(entry, BindingTimer.ADVERTISEMENT, due)

    def stop_advertising(self, entry: BindingUpdateListEntry) -> None:
        """Say nothing more to the node by ourselves, and forget what it asked."""
        entry.solicited_by = None
        self._timers.cancel(entry, BindingTimer.ADVERTISEMENT)

    def renumber(
        self, entry: BindingUpdateListEntry, prefixes: tuple[IPv6Network, ...], now: float
    ) -> None:
        """The entry has these prefixes from now on; those that ended are withdrawn (§6.12)."""
        ended = tuple(prefix for prefix in entry.home_network_prefixes if prefix not in prefixes)
        self._list.assign_prefixes(entry, prefixes)
        self.suspend(entry)
        if ended:
            self._withdrawals.begin(snapshot(entry), ended, now, ends_service=False)

    def readdress(self, entry: BindingUpdateListEntry, address: IPv6Address, now: float) -> None:
        """The node is to know the gateway by this address; `::`: by none for now (RFC 4861 §6.2.8).

        That the one before is a router no longer is said first, and from it.
        """
        before = snapshot(entry)
        entry.gateway_link_local_address = address
        if not entry.is_serving:
            return
        if not before.gateway_link_local_address.is_unspecified:
            self._former_routers.begin(before, (), now, ends_service=True)
        self._withdrawals.readdressed(snapshot(entry))
        self.reroute(entry)
        self.stop_advertising(entry)
        entry.advertisements_sent = 0
        self.advertise(entry, now)

    def take_leave(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The gateway stops while the LMA still has the binding: tell the node, if it is there."""
        if entry.is_forwarding and entry.loss_reason is not LossReason.DETACHED:
            prefixes = entry.home_network_prefixes
            self._withdrawals.begin(snapshot(entry), prefixes, now, ends_service=True)

    def stop(self, entry: BindingUpdateListEntry, now: float, *, is_on_link: bool) -> None:
        """End the service. is_on_link: the node is still there and has to be told."""
        self._timers.cancel(entry, BindingTimer.LIFETIME)
        self._timers.cancel(entry, BindingTimer.ADDRESS_DETECTION)
        entry.tentative_link_local_address = None
        self.stop_advertising(entry)
        if not entry.is_serving:
            return
        binding = snapshot(entry)
        if not is_on_link:
            self._withdrawals.forget(binding)
            self._former_routers.forget(binding)
        elif entry.is_forwarding:
            prefixes = binding.home_network_prefixes
            self._withdrawals.begin(binding, prefixes, now, ends_service=True)
        self._emit(ForwardingUnwanted(binding))
        entry.is_serving = entry.is_forwarding = entry.is_resumed = False
        self._list.release_prefixes(entry)
        peer = self._peers[entry.lma_address]
        peer.serving_bindings -= 1
        if peer.serving_bindings == 0:
            self._emit(TunnelUnwanted(entry.lma_address))


def snapshot(entry: BindingUpdateListEntry) -> Binding:
    """The entry as a value."""
    profile, attachment = entry.profile, entry.attachment
    return Binding(
        entry.binding_id,
        profile.mn_id,
        attachment.access_interface,
        attachment.mn_link_layer_id,
        profile.lma_address,
        entry.state,
        entry.home_network_prefixes,
        profile.local_routing,
        entry.gateway_link_local_address,
        profile.address_configuration,
    )


def _earliest_to_all(entry: BindingUpdateListEntry) -> float:
    return entry.advertised_to_all_at + MIN_DELAY_BETWEEN_RAS_S
