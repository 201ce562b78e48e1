"""Carrying out the registration table: what goes out, what is armed, what is said (§6.9.1)."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.protocol.acknowledgement import Grant, read_grant
from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.events import (
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    Event,
    OptionReportedMissing,
    ProxyBindingAcknowledgementReceived,
    ProxyBindingUpdateSent,
    QuirkApplied,
)
from mag.protocol.hold import Hold
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.ordering import (
    SEQUENCE_BITS,
    OrderingMarks,
    SequenceCounter,
    TimestampSource,
    is_greater_sequence,
    next_sequence,
)
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.presence import PresenceCheck, learn_address
from mag.protocol.proxy_binding_update import build_proxy_binding_update
from mag.protocol.registration import (
    LOSS_REASONS,
    TRANSITIONS,
    BindingTimer,
    LossReason,
    RegistrationAction,
    RegistrationInput,
    RegistrationState,
)
from mag.protocol.request import OutstandingRequest, Request, RequestKind
from mag.protocol.service import BindingService, snapshot
from mag.protocol.settings import MAX_UPDATE_RATE_PER_S, ProtocolSettings
from mag.protocol.status_reaction import Pace, StatusReaction, reaction_to
from mag.protocol.timer_queue import TimerQueue
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.iana import BindingStatus, HandoffIndicator, status_name

_HANDOFF_INDICATORS: Final[Mapping[HandoffHint, HandoffIndicator]] = {
    HandoffHint.UNKNOWN: HandoffIndicator.UNKNOWN,
    HandoffHint.NEW_INTERFACE: HandoffIndicator.ATTACHMENT_OVER_NEW_INTERFACE,
    HandoffHint.BETWEEN_INTERFACES: HandoffIndicator.HANDOFF_BETWEEN_INTERFACES,
    HandoffHint.BETWEEN_GATEWAYS: HandoffIndicator.HANDOFF_BETWEEN_GATEWAYS,
}


_PASSING_ACTIONS: Final = frozenset(
    {RegistrationAction.NONE, RegistrationAction.REFRESH, RegistrationAction.RETRANSMIT}
)
"""After these a gateway that starts again would do the same without knowing of them."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One Mobility Header message, to go into an IPv6 packet with Next Header 135."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address


class RegistrationMachine:
    """Every binding's machine; the only writer of entries' states."""

    def __init__(
        self,
        settings: ProtocolSettings,
        *,
        binding_update_list: BindingUpdateList,
        peers: Mapping[IPv6Address, LmaPeer],
        timers: TimerQueue[tuple[int, BindingTimer]],
        service: BindingService,
        rng: random.Random,
        marks: OrderingMarks | None,
        emit: Callable[[Event], None],
        on_gone: Callable[[BindingUpdateListEntry, float], None],
    ) -> None:
        """on_gone: called with each entry that has left the list, and the time."""
        self._on_gone = on_gone
        self._settings = settings
        self._list = binding_update_list
        self._peers = peers
        self._timers = timers
        self._service = service
        self._rng = rng
        if marks is None:
            marks = OrderingMarks(rng.getrandbits(SEQUENCE_BITS), 0)
        self._sequence = SequenceCounter(marks.sequence)
        self._timestamps = TimestampSource(marks.timestamp_ticks)
        self._marks = marks
        self._has_new_marks = False
        self.changed: dict[int, None] = {}
        """Ids of bindings with something new that must outlast the gateway."""
        self._emit = emit
        self._presence = PresenceCheck(settings, timers, emit)
        self._last_binding_id = 0
        self._to_send: dict[int, None] = {}  # binding ids in order, each once
        self._actions: Mapping[
            RegistrationAction, Callable[[BindingUpdateListEntry, float], None]
        ] = {
            RegistrationAction.NONE: lambda entry, now: None,
            RegistrationAction.REGISTER: self._register,
            RegistrationAction.REFRESH: self._refresh,
            RegistrationAction.DEREGISTER: self._deregister,
            RegistrationAction.RETRANSMIT: self._request_to_send,
            RegistrationAction.ESTABLISH: self._establish,
            RegistrationAction.DENY: self._deny,
            RegistrationAction.HOLD: self._hold,
            RegistrationAction.STOP_SENDING: self._keep_silent,
            RegistrationAction.DISCARD_ENTRY: self._discard_entry,
        }

    # Inputs

    def begin(self, attachment: Attachment, profile: PolicyProfile, now: float) -> None:
        """A new entry, and its initial PBU (§6.9.1.1)."""
        self._last_binding_id += 1
        entry = BindingUpdateListEntry(
            binding_id=self._last_binding_id,
            profile=profile,
            attachment=attachment,
            state=RegistrationState.REGISTERING,
            attached_at=now,
            last_heard_at=now,
            request=self.registration_request(profile, attachment),
            requested_prefixes=profile.home_network_prefixes,
        )
        self._list.add(entry)
        self.changed[entry.binding_id] = None
        self._begin_request(entry, entry.request, now)

    def reconfigure(self, settings: ProtocolSettings) -> None:
        """Use these from the next request on."""
        self._settings = settings
        self._presence.reconfigure(settings)

    def remember(self, entry: BindingUpdateListEntry) -> None:
        """An entry of an earlier run is in the list: its id is taken."""
        self._last_binding_id = max(self._last_binding_id, entry.binding_id)

    @property
    def first_backoff_s(self) -> float:
        """Wait before the first retransmission."""
        return self._settings.initial_bindack_timeout_s

    def apply(
        self,
        entry: BindingUpdateListEntry,
        what: RegistrationInput,
        now: float,
        *,
        reason: LossReason | None = None,
    ) -> None:
        """Something happened to a binding; what follows is in the table.

        reason: why it ends, where the input alone does not say.
        """
        entry.state, action = TRANSITIONS[entry.state, what]
        entry.loss_reason = reason or LOSS_REASONS.get(what, entry.loss_reason)
        if action not in _PASSING_ACTIONS:
            self.changed[entry.binding_id] = None
        self._actions[action](entry, now)

    def timer_due(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The registration timer is due; a PBU that extends needs a node that is there.

        §6.9.4(2) for retransmissions, §6.13 for refreshes.
        """
        if self._presence.is_needed(entry, now):
            self._presence.begin(entry, now)
        else:
            self.apply(entry, RegistrationInput.TIMER_DUE, now)

    def unanswered(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The node has not answered the last solicitation in time."""
        if not self._presence.ask_again(entry, now):
            self.apply(entry, RegistrationInput.ABSENCE_FOUND, now)

    def heard(self, entry: BindingUpdateListEntry, address: IPv6Address | None, now: float) -> None:
        """A sign of life; what waited for one goes on. address: where it came from, if known."""
        entry.last_heard_at = now
        if address is not None:
            before = entry.node_address
            learn_address(entry, address)
            if entry.node_address != before:
                self.changed[entry.binding_id] = None
        if self._presence.end(entry):
            self.apply(entry, RegistrationInput.TIMER_DUE, now)

    def not_asked(self, entry: BindingUpdateListEntry) -> None:
        """The last solicitation could not be sent."""
        self._presence.not_asked(entry)

    def complete(
        self,
        entry: BindingUpdateListEntry,
        outstanding: OutstandingRequest,
        acknowledgement: ProxyBindingAcknowledgement,
        now: float,
    ) -> None:
        """A PBA that answers this request arrived and has passed every gate."""
        self._note_answered(entry, outstanding, acknowledgement.status, now)
        self._settle(entry)
        kind = outstanding.request.kind
        if kind is RequestKind.DEREGISTRATION:
            # Any answer ends the waiting (interpretation INT-09).
            self.apply(entry, RegistrationInput.ACCEPTED, now)
        elif not acknowledgement.is_accepted:
            status = acknowledgement.status
            self._reject(entry, reaction_to(status), status, status_name(status), now)
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
            self.apply(entry, RegistrationInput.OUT_OF_SEQUENCE, now)

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
        entry.last_status = status
        self._emit(
            ProxyBindingAcknowledgementReceived(
                snapshot(entry), kind, status, now - outstanding.sent_at
            )
        )

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
            self.apply(loser, RegistrationInput.SUPERSEDED, now)
        refresh_after_s = grant.lifetime_s * self._settings.refresh_fraction
        if grant.refresh_interval_s:  # §6.2.4 of RFC 6275: a hint to come earlier, never later
            refresh_after_s = min(refresh_after_s, grant.refresh_interval_s)
        is_new = entry.state is RegistrationState.REGISTERING
        entry.lifetime_s = grant.lifetime_s
        entry.expires_at = outstanding.sent_at + grant.lifetime_s
        entry.refresh_at = outstanding.sent_at + refresh_after_s
        if grant.home_network_prefixes != entry.home_network_prefixes:
            self._service.renumber(entry, grant.home_network_prefixes, now)
        self.apply(entry, RegistrationInput.ACCEPTED, now)
        if is_new:
            setup_s = now - entry.attached_at
            self._emit(BindingEstablished(snapshot(entry), grant.lifetime_s, setup_s))
        else:
            self._emit(BindingRefreshed(snapshot(entry), grant.lifetime_s))

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
        self.apply(entry, reaction.registration_input, now)
        if reaction.forget_prefixes:
            entry.requested_prefixes = ()
        if entry.request.handoff_indicator is HandoffIndicator.NOT_CHANGED:
            # What was to be extended is no more.
            entry.request = replace(entry.request, handoff_indicator=HandoffIndicator.UNKNOWN)
        retry_in_s = self._retry_in_s(entry, reaction.pace)
        if retry_in_s is not None:
            self._arm(entry, now + retry_in_s)
        self._emit(BindingRejected(snapshot(entry), status, reason, retry_in_s))

    def _retry_in_s(self, entry: BindingUpdateListEntry, pace: Pace) -> float | None:
        match pace:
            case Pace.NEVER:
                return None
            case Pace.SLOW:
                return self._settings.max_bindack_timeout_s
            case Pace.AT_ONCE if entry.rejections == 1:
                return 0.0
        return entry.backoff_s

    def _settle(self, entry: BindingUpdateListEntry) -> None:
        """The exchange is over: nothing more of it goes out, whatever is still to come is late."""
        self._unqueue(entry)
        entry.settled = tuple(request.sequence for request in entry.outstanding)
        entry.outstanding.clear()

    def _refuse(self, entry: BindingUpdateListEntry, hold: Hold, now: float) -> None:
        """Hold the binding, and with it its siblings where the node as such is refused."""
        refused = self._list.by_mn_id(entry.mn_id) if hold.is_of_node else (entry,)
        for each in refused:
            if each.state is not RegistrationState.DEREGISTERING:  # that ends by itself
                self._settle(each)
                each.hold = hold
                self.apply(each, RegistrationInput.REJECTED_FOR_GOOD, now)

    def silence(self, entry: BindingUpdateListEntry, reason: str, now: float) -> None:
        """§6.9.1.2(6): after a reply that is not ours to accept, no PBU until an operator acts."""
        self._settle(entry)
        entry.hold = Hold(reason)
        self.apply(entry, RegistrationInput.ECHO_MISMATCHED, now)

    def report_missing_option(self, entry: BindingUpdateListEntry, status: int) -> None:
        """Raise the alarm: the LMA misses what every PBU has (INT-04)."""
        self._emit(OptionReportedMissing(snapshot(entry), status))

    def note_quirks(self, peer: LmaPeer, quirks: Iterable[str]) -> None:
        """Count that quirks of the LMA made a difference, and tell the first time."""
        for quirk in quirks:
            if peer.apply_quirk(quirk):
                self._emit(QuirkApplied(peer.address, quirk))

    def permit(self, entry: BindingUpdateListEntry) -> None:
        """The rate limit lets the entry's waiting PBU go."""
        self._to_send[entry.binding_id] = None

    def refresh_all(self, peer: LmaPeer, now: float) -> int:
        """Refresh every active binding with this LMA, at a pace it can bear; returns how many."""
        entries = [
            entry
            for entry in self._list
            if entry.lma_address == peer.address and entry.state is RegistrationState.ACTIVE
        ]
        for number, entry in enumerate(entries):
            due = now + number / self._settings.reregistrations_per_s
            self._arm(entry, min(due, entry.refresh_at))
        return len(entries)

    def messages_to_send(self, now: float, utc: float) -> list[OutgoingMessage]:
        """The PBUs that are due, each built and timestamped at this moment."""
        to_send, self._to_send = self._to_send, {}
        messages = []
        for binding_id in to_send:
            if entry := self._list.by_id(binding_id):
                try:
                    messages.append(self._send(entry, now, utc))
                except ValueError as error:  # one that fits into no message, and only that one
                    self._settle(entry)
                    entry.hold = Hold(str(error))
                    self.apply(entry, RegistrationInput.UNSENDABLE, now)
        return messages

    # Actions

    def _register(self, entry: BindingUpdateListEntry, now: float) -> None:
        entry.rejections = 0
        entry.hold = None
        self._begin_request(entry, self.registration_request(entry.profile, entry.attachment), now)

    def _refresh(self, entry: BindingUpdateListEntry, now: float) -> None:
        lifetime_s = entry.profile.lifetime_s or self._settings.lifetime_s
        self._begin_request(entry, Request(lifetime_s, HandoffIndicator.NOT_CHANGED), now)

    def _deregister(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._service.stop_advertising(entry)
        self._begin_request(entry, Request(0, HandoffIndicator.UNKNOWN), now)

    def _begin_request(self, entry: BindingUpdateListEntry, request: Request, now: float) -> None:
        """A new exchange. A grant that is still under way for the one before it is as good, unless
        the one asks for what the other gives up."""
        if request.lifetime_s == 0 or entry.request.lifetime_s == 0:
            self._settle(entry)
        entry.request = request
        entry.attempts = 0
        entry.backoff_s = self.first_backoff_s
        self._request_to_send(entry, now)

    def _request_to_send(self, entry: BindingUpdateListEntry, now: float) -> None:
        """Queue the entry's PBU, or wait for the rate limit (RFC 6275 §11.8, INT-08)."""
        self._stop_sending(entry, now)
        if len(entry.send_times) == MAX_UPDATE_RATE_PER_S:
            permitted_at = entry.send_times[0] + 1.0
            if permitted_at > now:
                key = (entry.binding_id, BindingTimer.PERMISSION_TO_SEND)
                self._timers.set(key, permitted_at)
                return
        self._to_send[entry.binding_id] = None

    def _establish(self, entry: BindingUpdateListEntry, now: float) -> None:
        entry.rejections = 0
        self._arm(entry, entry.refresh_at)
        self._service.serve(entry, now)

    def _hold(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._deny(entry, now)
        self._keep_silent(entry, now)

    def _keep_silent(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._stop_sending(entry, now)
        if entry.hold is not None:
            hold = entry.hold
            self._emit(BindingRejected(snapshot(entry), hold.status, hold.reason, None))

    def _deny(self, entry: BindingUpdateListEntry, now: float) -> None:
        # The node asks again for what it had: its addresses may outlive the trouble.
        entry.requested_prefixes = entry.home_network_prefixes or entry.requested_prefixes
        self._service.stop(entry, now, is_on_link=True)

    def _stop_sending(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._timers.cancel((entry.binding_id, BindingTimer.REGISTRATION))
        self._unqueue(entry)

    def _unqueue(self, entry: BindingUpdateListEntry) -> None:
        self._timers.cancel((entry.binding_id, BindingTimer.PERMISSION_TO_SEND))
        self._presence.end(entry)
        self._to_send.pop(entry.binding_id, None)

    def _discard_entry(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._stop_sending(entry, now)
        binding = snapshot(entry)
        is_on_link = entry.loss_reason is not LossReason.DETACHED
        self._service.stop(entry, now, is_on_link=is_on_link)
        self._list.remove(entry)
        self._emit(BindingLost(binding, entry.loss_reason))
        self._on_gone(entry, now)

    def _arm(self, entry: BindingUpdateListEntry, deadline: float) -> None:
        self._presence.end(entry)
        self._timers.set((entry.binding_id, BindingTimer.REGISTRATION), deadline)

    # Requests

    def registration_request(self, profile: PolicyProfile, attachment: Attachment) -> Request:
        """What the initial PBU of a node asks for."""
        lifetime_s = profile.lifetime_s or self._settings.lifetime_s
        return Request(lifetime_s, self._handoff_indicator(profile.mn_id, attachment))

    def _handoff_indicator(self, mn_id: bytes, attachment: Attachment) -> HandoffIndicator:
        """§6.9.1.1(5): a handoff is claimed only on the word of the access network."""
        is_another_interface = any(
            entry.attachment.mn_link_layer_id != attachment.mn_link_layer_id
            for entry in self._list.by_mn_id(mn_id)
        )
        if attachment.handoff_hint is HandoffHint.UNKNOWN and is_another_interface:
            return HandoffIndicator.ATTACHMENT_OVER_NEW_INTERFACE
        return _HANDOFF_INDICATORS[attachment.handoff_hint]

    def _send(self, entry: BindingUpdateListEntry, now: float, utc: float) -> OutgoingMessage:
        # §6.9.4: each transmission has a newer timestamp, or a greater number
        sequence = self._next_sequence(entry)
        is_by_timestamp = self._settings.timestamp_based_approach_in_use
        ticks = self._timestamps.next(utc) if is_by_timestamp else None
        peer = self._peers[entry.lma_address]
        update = build_proxy_binding_update(
            entry,
            peer.settings.quirks,
            sequence=sequence,
            timestamp_ticks=ticks,
            on_quirk=lambda quirk: self.note_quirks(peer, (quirk,)),
        )
        ours = self._settings.proxy_care_of_address
        data = mobility_header.encode(update, ours, entry.lma_address)
        self._reserve(entry, sequence, ticks)
        self._note_sent(
            entry, OutstandingRequest(sequence, ticks, now, entry.request, entry.attachment)
        )
        return OutgoingMessage(data, ours, entry.lma_address)

    def _next_sequence(self, entry: BindingUpdateListEntry) -> int:
        """Of the gateway's counter beside timestamps, else of the session (§6.9.1.1(6))."""
        if self._settings.timestamp_based_approach_in_use:
            return self._sequence.next()
        if entry.last_sequence is None:  # RFC 6275 §11.7.1: any; a wrong guess is told by 135
            return self._rng.getrandbits(SEQUENCE_BITS)
        return next_sequence(entry.last_sequence)

    def _reserve(self, entry: BindingUpdateListEntry, sequence: int, ticks: int | None) -> None:
        """See to it that a gateway that starts again uses neither a second time."""
        if ticks is None:  # the number is the session's own, and goes with it
            self.changed[entry.binding_id] = None
        elif not self._marks.cover(sequence, ticks):
            self._marks = OrderingMarks.beyond(sequence, ticks)
            self._has_new_marks = True

    def take_marks(self) -> OrderingMarks | None:
        """The marks if they have moved since the last call."""
        if not self._has_new_marks:
            return None
        self._has_new_marks = False
        return self._marks

    def _note_sent(self, entry: BindingUpdateListEntry, outstanding: OutstandingRequest) -> None:
        entry.attempts += 1
        entry.last_sequence = outstanding.sequence
        self._peers[entry.lma_address].senders[outstanding.sequence] = entry.binding_id
        entry.outstanding.append(outstanding)
        del entry.outstanding[: -self._settings.max_outstanding_requests]
        entry.send_times = (*entry.send_times, outstanding.sent_at)[-MAX_UPDATE_RATE_PER_S:]
        self._arm(entry, outstanding.sent_at + entry.backoff_s)
        entry.backoff_s = min(2 * entry.backoff_s, self._settings.max_bindack_timeout_s)
        kind = entry.request.kind
        peer = self._peers[entry.lma_address]
        (peer.sent if entry.attempts == 1 else peer.retransmitted)[kind] += 1
        self._emit(
            ProxyBindingUpdateSent(snapshot(entry), kind, outstanding.sequence, entry.attempts)
        )


def _conflict(
    entry: BindingUpdateListEntry, losers: Mapping[BindingUpdateListEntry, IPv6Network]
) -> str | None:
    """An LMA may move its own prefixes between our bindings, not take another LMA's."""
    for loser, prefix in losers.items():
        if loser.lma_address != entry.lma_address:
            return f"the LMA granted {prefix}, which {loser.lma_address} has assigned here"
    return None
