"""Ends of bindings that an operator brings about, soon or at once, and what comes after them."""

from collections.abc import Callable
from dataclasses import replace

from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateListEntry, Dismissal
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import (
    BindingTimer,
    LossReason,
    RegistrationInput,
    RegistrationState,
)
from mag.protocol.registration_machine import RegistrationMachine
from mag.protocol.service import BindingService


class Dismissals:
    """Ends bindings for good, or moves them to what policy says of their node today."""

    def __init__(
        self,
        *,
        timers: BindingTimers,
        machine: RegistrationMachine,
        service: BindingService,
        attach: Callable[[Attachment, PolicyProfile, float], object],
    ) -> None:
        """attach: called for each node that is to be registered anew."""
        self._timers = timers
        self._machine = machine
        self._service = service
        self._attach = attach

    def dismiss(
        self,
        entry: BindingUpdateListEntry,
        reason: LossReason,
        now: float,
        *,
        successor: PolicyProfile | None,
        after_s: float,
    ) -> None:
        """End the binding for good, after so many seconds; until then it goes on as before."""
        if entry.state is RegistrationState.DEREGISTERING and not entry.is_dismissed:
            successor = None  # the node has left
        entry.dismissal = Dismissal(reason, successor)
        if after_s > 0.0 and not entry.is_dismissed:
            self._timers.set(entry, BindingTimer.DISMISSAL, now + after_s)
        else:
            self.begin(entry, now)

    def keep(self, entry: BindingUpdateListEntry, reason: LossReason) -> None:
        """Take back a dismissal for this reason, unless it has begun."""
        if entry.dismissal is None or entry.is_dismissed:
            return
        if entry.dismissal.reason is reason:
            entry.dismissal = None
            self._timers.cancel(entry, BindingTimer.DISMISSAL)

    def change_profile(
        self, entry: BindingUpdateListEntry, profile: PolicyProfile, now: float, *, after_s: float
    ) -> None:
        """Policy has another profile for the node from now on."""
        if entry.is_dismissed:
            if entry.dismissal is not None and entry.dismissal.successor is not None:
                entry.dismissal = replace(entry.dismissal, successor=profile)
            return
        is_held = entry.state is RegistrationState.HELD
        if is_held or profile.lma_address != entry.lma_address:
            reason = LossReason.RECONFIGURED
            self.dismiss(entry, reason, now, successor=profile, after_s=after_s)
            return
        self.keep(entry, LossReason.RECONFIGURED)
        is_other_way = profile.local_routing is not entry.profile.local_routing
        is_told_otherwise = _is_told(profile) != _is_told(entry.profile)
        entry.profile = profile
        if is_told_otherwise:
            self._service.advertise_again(entry, now)
        if is_other_way:
            self._service.reroute(entry)
        if not entry.home_network_prefixes:
            entry.requested_prefixes = profile.home_network_prefixes

    def begin(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The binding's dismissal is due."""
        if entry.dismissal is None or entry.is_dismissed:
            return
        entry.is_dismissed = True
        if entry.state is not RegistrationState.DEREGISTERING:
            reason = entry.dismissal.reason
            self._machine.apply(entry, RegistrationInput.CLEARED, now, reason=reason)

    def gone(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The entry has left the list: register its node anew where that was meant."""
        if entry.dismissal is not None and entry.dismissal.successor is not None:
            attachment = replace(entry.attachment, handoff_hint=HandoffHint.UNKNOWN)
            self._attach(attachment, entry.dismissal.successor, now)


def _is_told(profile: PolicyProfile) -> tuple[object, ...]:
    """What of a profile the node learns by Router Advertisements."""
    return profile.prefix_lifetime_s, profile.address_configuration
