"""What the LMA's answers do to bindings, once it is clear which request they answer (§6.9.1.2)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from mag.protocol.acknowledgement import Grant, read_grant, shows_clocks_in_step
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.events import (
    BindingEstablished,
    BindingRefreshed,
    BindingRejected,
    Event,
    ProxyBindingAcknowledgementReceived,
)
from mag.protocol.gateway_address import GatewayAddresses
from mag.protocol.hold import Hold
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.ordering import is_greater_sequence
from mag.protocol.registration import RegistrationInput, RegistrationState
from mag.protocol.registration_machine import RegistrationMachine
from mag.protocol.request import OutstandingRequest, RequestKind
from mag.protocol.service import BindingService, snapshot
from mag.protocol.settings import ProtocolSettings
from mag.protocol.status_reaction import Pace, StatusReaction, reaction_to
from mag.protocol.turns import Turns
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.iana import BindingStatus, HandoffIndicator, status_name


class Replies:
    """Takes answers that have passed every gate, and those that show that something is amiss."""

    def __init__(
        self,
        settings: ProtocolSettings,
        *,
        binding_update_list: BindingUpdateList,
        peers: Mapping[IPv6Address, LmaPeer],
        machine: RegistrationMachine,
        service: BindingService,
        addresses: GatewayAddresses,
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._list = binding_update_list
        self._peers = peers
        self._machine = machine
        self._service = service
        self._addresses = addresses
        self._emit = emit
        self._is_clock_in_step = True

    def clock_is(self, *, in_step: bool, now: float) -> None:
        """Our clock is, or is not, that of the domain; what has waited for it goes on in turn."""
        was_in_step, self._is_clock_in_step = self._is_clock_in_step, in_step
        if was_in_step or not in_step:
            return
        turns = Turns(self._peers)
        for entry in self._list:
            is_refused = entry.state is RegistrationState.REJECTED
            if is_refused and entry.last_status == BindingStatus.TIMESTAMP_MISMATCH:
                self._machine.arm(entry, now + turns.next_s(entry.lma_address))

    def reconfigure(self, settings: ProtocolSettings) -> None:
        """Use these from the next answer on."""
        self._settings = settings

    def complete(
        self,
        entry: BindingUpdateListEntry,
        outstanding: OutstandingRequest,
        acknowledgement: ProxyBindingAcknowledgement,
        now: float,
    ) -> None:
        """A PBA that answers this request arrived and has passed every gate."""
        self._note_answered(entry, outstanding, acknowledgement.status, now)
        self._machine.settle(entry)
        kind = outstanding.request.kind
        if kind is RequestKind.DEREGISTRATION:
            # Any answer ends the waiting (interpretation INT-09).
            self._machine.apply(entry, RegistrationInput.ACCEPTED, now)
        elif not acknowledgement.is_accepted:
            status = acknowledgement.status
            reaction = reaction_to(status)
            if reaction.pace is Pace.IN_STEP and shows_clocks_in_step(acknowledgement, outstanding):
                reaction = StatusReaction(Pace.AT_ONCE)  # a newer timestamp is all it takes
            self._reject(entry, reaction, status, status_name(status), now)
        else:
            self._accept(entry, outstanding, read_grant(acknowledgement, outstanding), now)

    def go_on_from(
        self,
        entry: BindingUpdateListEntry,
        outstanding: OutstandingRequest,
        sequence: int,
        now: float,
    ) -> None:
        """Status 135: `sequence` is the last that the LMA has accepted (RFC 6275 §11.7.3).

        The binding stays what it is, and the next number goes out at once. An LMA that is never
        content is asked again at the pace of retransmissions.
        """
        status = BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW
        self._note_answered(entry, outstanding, status, now)
        if entry.last_sequence is None or not is_greater_sequence(entry.last_sequence, sequence):
            entry.last_sequence = sequence
        entry.rejections += 1
        if entry.rejections == 1:
            entry.backoff_s = self._settings.initial_bindack_timeout_s  # the LMA is there
            self._machine.apply(entry, RegistrationInput.OUT_OF_SEQUENCE, now)

    def silence(self, entry: BindingUpdateListEntry, reason: str, now: float) -> None:
        """§6.9.1.2(6): after a reply that is not ours to accept, no PBU until an operator acts."""
        self._machine.settle(entry)
        entry.hold = Hold(reason)
        self._machine.apply(entry, RegistrationInput.ECHO_MISMATCHED, now)

    def _note_answered(
        self,
        entry: BindingUpdateListEntry,
        outstanding: OutstandingRequest,
        status: int,
        now: float,
    ) -> None:
        kind = outstanding.request.kind
        peer = self._peers[entry.lma_address]
        peer.last_heard_at = now
        peer.answered[kind, status] += 1
        if peer.senders.get(outstanding.sequence) == entry.binding_id:
            del peer.senders[outstanding.sequence]
        entry.last_status = status
        self._emit(
            ProxyBindingAcknowledgementReceived(
                snapshot(entry), kind, status, now - outstanding.sent_at
            )
        )

    # Acceptance

    def _accept(
        self,
        entry: BindingUpdateListEntry,
        outstanding: OutstandingRequest,
        grant: Grant,
        now: float,
    ) -> None:
        losers = self._others_with(grant.home_network_prefixes, entry)
        if defect := grant.defect or _conflict(entry, losers):
            self._reject(entry, StatusReaction(Pace.BACK_OFF), None, defect, now)
            return
        for loser in losers:
            self._machine.apply(loser, RegistrationInput.SUPERSEDED, now)
        refresh_after_s = grant.lifetime_s * self._settings.refresh_fraction
        if grant.refresh_interval_s:  # §6.2.4 of RFC 6275: a hint to come earlier, never later
            refresh_after_s = min(refresh_after_s, grant.refresh_interval_s)
        is_new = entry.state is RegistrationState.REGISTERING
        entry.lifetime_s = grant.lifetime_s
        entry.expires_at = outstanding.sent_at + grant.lifetime_s
        entry.refresh_at = outstanding.sent_at + refresh_after_s
        self._addresses.granted(entry, grant.link_local_address, now)
        if grant.home_network_prefixes != entry.home_network_prefixes:
            self._service.renumber(entry, grant.home_network_prefixes, now)
        self._machine.apply(entry, RegistrationInput.ACCEPTED, now)
        if is_new:
            setup_s = now - entry.attached_at
            self._emit(BindingEstablished(snapshot(entry), grant.lifetime_s, setup_s))
        else:
            self._emit(BindingRefreshed(snapshot(entry), grant.lifetime_s))
        self._addresses.upload_unless_told(entry, outstanding, grant.link_local_address, now)

    def _others_with(
        self, prefixes: tuple[IPv6Network, ...], entry: BindingUpdateListEntry
    ) -> dict[BindingUpdateListEntry, IPv6Network]:
        """Whom the prefixes would be taken from, each with one of them."""
        return {
            holder: prefix
            for prefix in prefixes
            for holder in self._list.holders_of(prefix)
            if holder is not entry
        }

    # Refusal

    def _reject(
        self,
        entry: BindingUpdateListEntry,
        reaction: StatusReaction,
        status: int | None,
        reason: str,
        now: float,
    ) -> None:
        entry.rejections += 1
        entry.attempts = 0
        if reaction.pace is Pace.NEVER:
            hold = Hold(reason, status, is_of_node=reaction.is_of_node)
            self._refuse(entry, hold, now)
            return
        self._machine.apply(entry, reaction.registration_input, now)
        if reaction.forget_prefixes:
            entry.requested_prefixes = ()
        if entry.request.handoff_indicator is HandoffIndicator.NOT_CHANGED:
            # What was to be extended is no more.
            entry.request = replace(entry.request, handoff_indicator=HandoffIndicator.UNKNOWN)
        retry_in_s = self._retry_in_s(entry, reaction.pace)
        if retry_in_s is None:
            self._machine.disarm(entry)
        else:
            self._machine.arm(entry, now + retry_in_s)
        self._emit(BindingRejected(snapshot(entry), status, reason, retry_in_s))

    def _retry_in_s(self, entry: BindingUpdateListEntry, pace: Pace) -> float | None:
        match pace:
            case Pace.NEVER:
                return None
            case Pace.IN_STEP if not self._is_clock_in_step:
                return None
            case Pace.SLOW | Pace.IN_STEP:
                return self._settings.max_bindack_timeout_s
            case Pace.AT_ONCE if entry.rejections == 1:
                return 0.0
        return entry.backoff_s

    def _refuse(self, entry: BindingUpdateListEntry, hold: Hold, now: float) -> None:
        """Hold the binding, and with it its siblings where the node as such is refused."""
        refused = self._list.by_mn_id(entry.mn_id) if hold.is_of_node else (entry,)
        for each in refused:
            if each.state is not RegistrationState.DEREGISTERING:  # that ends by itself
                self._machine.settle(each)
                each.hold = hold
                self._machine.apply(each, RegistrationInput.REJECTED_FOR_GOOD, now)


def _conflict(
    entry: BindingUpdateListEntry, losers: Mapping[BindingUpdateListEntry, IPv6Network]
) -> str | None:
    """An LMA may move its own prefixes between our bindings, not take another LMA's."""
    for loser, prefix in losers.items():
        if loser.lma_address != entry.lma_address:
            return f"the LMA granted {prefix}, which {loser.lma_address} has assigned here"
    return None
