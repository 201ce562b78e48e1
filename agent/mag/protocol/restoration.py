"""Going on with the bindings of an earlier run of the gateway (interpretation INT-20)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Final

from mag.frozen import frozen
from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import (
    BindingUpdateList,
    BindingUpdateListEntry,
    Dismissal,
)
from mag.protocol.events import BindingLost, Event
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.presence import RETRANS_TIMER_S
from mag.protocol.registration import (
    BindingTimer,
    LossReason,
    RegistrationInput,
    RegistrationState,
)
from mag.protocol.registration_machine import RegistrationMachine
from mag.protocol.service import BindingService, snapshot
from mag.protocol.stored_binding import StoredBinding
from mag.protocol.turns import Turns
from mag.protocol.unstored_changes import UnstoredChanges

_LATEST_REFRESH: Final = 0.5
"""Part of the remaining lifetime after which an overdue refresh waits for its turn no longer."""
_SERVED: Final = frozenset(
    {RegistrationState.ACTIVE, RegistrationState.REFRESHING, RegistrationState.SILENT}
)


@frozen
class RememberedBinding:
    """A stored binding and what policy says of its node today."""

    stored: StoredBinding
    profile: PolicyProfile | None
    """Of today. None: the node gets no service any more, and is de-registered; one that belongs to
    another LMA now is registered there after that."""
    has_link: bool = True
    """False: its access link is none any more; nothing is forwarded for it."""


@frozen
class RestoredCounts:
    """What became of the remembered bindings."""

    served: int = 0
    registering: int = 0
    held: int = 0
    """Without service until an administrative action."""
    ended: int = 0
    """De-registered, or forgotten where their LMA is no longer configured."""
    expired: int = 0
    """Their lifetime ended while the gateway was away."""


class Restoration:
    """Makes entries of stored bindings, one with each step; to be gone through once.

    Between two steps the core gives events and changes to store, and gets no input: a node that
    showed itself, or an LMA that spoke, would meet half of what there is.
    """

    def __init__(
        self,
        remembered: Iterable[RememberedBinding],
        now: float,
        utc: float,
        *,
        binding_update_list: BindingUpdateList,
        peers: Mapping[IPv6Address, LmaPeer],
        timers: BindingTimers,
        service: BindingService,
        machine: RegistrationMachine,
        unstored: UnstoredChanges,
        fixed_address: IPv6Address,
        emit: Callable[[Event], None],
    ) -> None:
        """now, utc: one moment, of which all of them are taken in.

        fixed_address: of the gateway on all access links, `::` if LMAs give it.
        """
        self.counts = RestoredCounts()
        """Complete after the last step."""
        self._remembered = remembered
        self._now = now
        self._utc = utc
        self._list = binding_update_list
        self._peers = peers
        self._timers = timers
        self._service = service
        self._machine = machine
        self._unstored = unstored
        self._fixed_address = fixed_address
        self._emit = emit
        self._turns = Turns(peers)

    def __iter__(self) -> Iterator[None]:
        """First those that have expired, then whom nobody serves, then refreshes by their end;
        what is overdue goes out at a pace that an LMA can bear."""
        now = self._now
        by_end = sorted(self._remembered, key=lambda each: each.stored.expires_at)
        entries: list[BindingUpdateListEntry] = []
        expired = 0
        for each in by_end:
            if (entry := self._take_in(each)) is not None:
                entries.append(entry)
            expired += _is_expired(each.stored, self._utc)
            yield
        for entry in entries:
            if entry.state in _SERVED:
                self._resume(entry)
            elif entry.state is not RegistrationState.HELD:
                self._register(entry, now)
            yield
        served = held = 0
        for entry in entries:  # those without service have gone before
            if entry.state is RegistrationState.ACTIVE:
                self._arm_refresh(entry, now)
            served += entry.is_serving and entry.state in _SERVED
            held += entry.state is RegistrationState.HELD
            yield
        self.counts = RestoredCounts(
            served=served,
            registering=len(entries) - served - held,
            held=held,
            ended=len(by_end) - len(entries) - expired,
            expired=expired,
        )

    def _take_in(self, each: RememberedBinding) -> BindingUpdateListEntry | None:
        """The entry in the list, if it is to go on; one that is not has been ended."""
        now = self._now
        entry = self._entry(each, now, self._utc)
        self._machine.remember(entry)
        if _is_expired(each.stored, self._utc):
            self._drop(entry, LossReason.EXPIRED)
        elif each.stored.lma_address not in self._peers:
            self._drop(entry, LossReason.RECONFIGURED)
        elif not _has_place(each):
            if each.has_link:
                self._serve_to_the_end(entry)
            successor = each.profile if each.has_link else None
            entry.dismissal = Dismissal(LossReason.RECONFIGURED, successor)
            self._end(entry, RegistrationInput.CLEARED, now, LossReason.RECONFIGURED)
        elif each.stored.state is RegistrationState.DEREGISTERING:
            is_detached = entry.loss_reason is LossReason.DETACHED
            why = RegistrationInput.DETACH_SEEN if is_detached else RegistrationInput.CLEARED
            self._serve_to_the_end(entry)
            self._end(entry, why, now, entry.loss_reason)
        else:
            return entry
        return None

    def _entry(
        self, remembered: RememberedBinding, now: float, utc: float
    ) -> BindingUpdateListEntry:
        was = remembered.stored
        profile = remembered.profile or PolicyProfile(was.mn_id, was.lma_address)
        profile = replace(profile, lma_address=was.lma_address)
        entry = BindingUpdateListEntry(
            binding_id=was.binding_id,
            profile=profile,
            attachment=was.attachment,
            state=was.state,
            attached_at=now,
            last_heard_at=now - RETRANS_TIMER_S,  # and not since: it is asked before it is extended
            node_address=was.node_address,
            request=self._machine.registration_request(profile, was.attachment),
            backoff_s=self._machine.first_backoff_s,
            requested_prefixes=was.requested_prefixes,
            lifetime_s=was.lifetime_s,
            # Never later than granted, whatever has become of the clock.
            expires_at=now + min(was.expires_at - utc, was.lifetime_s),
            refresh_at=now + min(was.refresh_at - utc, was.lifetime_s),
            loss_reason=was.loss_reason,
            last_sequence=was.last_sequence,
            last_status=was.last_status,
            hold=was.hold,
            gateway_link_local_address=self._router_of(was),
        )
        self._list.add(entry)
        self._list.assign_prefixes(entry, was.home_network_prefixes)
        return entry

    def _router_of(self, was: StoredBinding) -> IPv6Address:
        """A fixed address is that of today."""
        if self._fixed_address.is_unspecified and was.gateway_link_local_address is not None:
            return was.gateway_link_local_address
        return self._fixed_address

    def _drop(self, entry: BindingUpdateListEntry, reason: LossReason) -> None:
        """As when it had ended while the gateway ran: a node that is there will show itself."""
        entry.state = RegistrationState.GONE
        binding = snapshot(entry)
        self._list.remove(entry)
        self._unstored.note(entry)
        self._emit(BindingLost(binding, reason))

    def _end(
        self,
        entry: BindingUpdateListEntry,
        why: RegistrationInput,
        now: float,
        reason: LossReason,
    ) -> None:
        if entry.state is RegistrationState.DEREGISTERING:
            entry.state = RegistrationState.REGISTERING
        self._machine.apply(entry, why, now, reason=reason)

    def _serve_to_the_end(self, entry: BindingUpdateListEntry) -> None:
        """Until the LMA has answered."""
        if entry.home_network_prefixes:
            self._resume(entry)

    def _resume(self, entry: BindingUpdateListEntry) -> None:
        if entry.state is RegistrationState.REFRESHING:
            entry.state = RegistrationState.ACTIVE
        self._service.resume(entry)

    def _register(self, entry: BindingUpdateListEntry, now: float) -> None:
        """It never got an answer, or one that called for another try: ask again."""
        entry.requested_prefixes = entry.home_network_prefixes or entry.requested_prefixes
        self._list.release_prefixes(entry)
        self._arm(entry, self._turn(entry, now))

    def _arm_refresh(self, entry: BindingUpdateListEntry, now: float) -> None:
        """When it was due anyhow; what is overdue, and who has no router, in its turn,
        and never too late."""
        due = entry.refresh_at
        if due <= now or entry.gateway_link_local_address.is_unspecified:
            latest = now + _LATEST_REFRESH * (entry.expires_at - now)
            due = min(self._turn(entry, now), latest)
        self._arm(entry, due)

    def _turn(self, entry: BindingUpdateListEntry, now: float) -> float:
        return now + self._turns.next_s(entry.lma_address)

    def _arm(self, entry: BindingUpdateListEntry, deadline: float) -> None:
        self._timers.set(entry, BindingTimer.REGISTRATION, deadline)


def _has_place(remembered: RememberedBinding) -> bool:
    profile = remembered.profile
    return (
        remembered.has_link
        and profile is not None
        and profile.lma_address == remembered.stored.lma_address
    )


def _is_expired(binding: StoredBinding, utc: float) -> bool:
    return bool(binding.home_network_prefixes) and binding.expires_at <= utc
