"""Carrying out the registration table: what goes out, what is armed, what is said (§6.9.1)."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Final

from mag.protocol.attachment import Attachment
from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.events import BindingLost, BindingRejected, Event
from mag.protocol.hold import Hold
from mag.protocol.initial_request import initial_request
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.presence import PresenceCheck, learn_address
from mag.protocol.registration import (
    LOSS_REASONS,
    TRANSITIONS,
    BindingTimer,
    LossReason,
    RegistrationAction,
    RegistrationInput,
    RegistrationState,
)
from mag.protocol.request import Request
from mag.protocol.service import BindingService, snapshot
from mag.protocol.settings import ProtocolSettings
from mag.protocol.turns import Turns
from mag.protocol.unstored_changes import UnstoredChanges
from mag.protocol.update_queue import UpdateQueue
from mag.protocol.update_sender import UpdateSender
from mag.wire.iana import HandoffIndicator

_PASSING_ACTIONS: Final = frozenset(
    {RegistrationAction.NONE, RegistrationAction.REFRESH, RegistrationAction.RETRANSMIT}
)
"""After these a gateway that starts again would do the same without knowing of them."""


class RegistrationMachine:
    """Every binding's machine; the only writer of entries' states."""

    def __init__(
        self,
        settings: ProtocolSettings,
        *,
        binding_update_list: BindingUpdateList,
        peers: Mapping[IPv6Address, LmaPeer],
        timers: BindingTimers,
        service: BindingService,
        sender: UpdateSender,
        unstored: UnstoredChanges,
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
        self._sender = sender
        self._unstored = unstored
        self._emit = emit
        self._queue = UpdateQueue(binding_update_list, peers, timers)
        self._presence = PresenceCheck(settings, timers, emit)
        self._last_binding_id = 0
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
            gateway_link_local_address=self._settings.fixed_mag_link_local_address,
        )
        self._list.add(entry)
        self._unstored.note(entry)
        self._begin_request(entry, entry.request, now)

    def reconfigure(self, settings: ProtocolSettings) -> None:
        """Use these from the next request on."""
        self._settings = settings
        self._sender.reconfigure(settings)
        self._presence.reconfigure(settings)

    def remember(self, entry: BindingUpdateListEntry) -> None:
        """An entry of an earlier run is in the list: its id is taken."""
        self._last_binding_id = max(self._last_binding_id, entry.binding_id)

    def registration_request(self, profile: PolicyProfile, attachment: Attachment) -> Request:
        """What the initial PBU of a node asks for."""
        siblings = self._list.by_mn_id(profile.mn_id)
        return initial_request(profile, attachment, siblings, self._settings.lifetime_s)

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
            self._unstored.note(entry)
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
                self._unstored.note(entry)
        if self._presence.end(entry):
            self.apply(entry, RegistrationInput.TIMER_DUE, now)

    def not_asked(self, entry: BindingUpdateListEntry) -> None:
        """The last solicitation could not be sent."""
        self._presence.not_asked(entry)

    def settle(self, entry: BindingUpdateListEntry) -> None:
        """The exchange is over: nothing more of it goes out, whatever is still to come is late."""
        self._unqueue(entry)
        entry.settled = tuple(request.sequence for request in entry.outstanding[:-1])
        entry.outstanding = ()

    def arm(self, entry: BindingUpdateListEntry, deadline: float) -> None:
        """The binding's registration timer is due then, and not before."""
        self._presence.end(entry)
        self._timers.set(entry, BindingTimer.REGISTRATION, deadline)

    def disarm(self, entry: BindingUpdateListEntry) -> None:
        """Nothing of the binding's registration is due until something happens."""
        self._timers.cancel(entry, BindingTimer.REGISTRATION)

    def permit(self, entry: BindingUpdateListEntry) -> None:
        """The rate limit lets the entry's waiting PBU go."""
        self._queue.permit(entry)

    def refresh_all(self, peer: LmaPeer, now: float) -> int:
        """Refresh every active binding with this LMA, at a pace it can bear; returns how many."""
        entries = [
            entry
            for entry in self._list
            if entry.lma_address == peer.address and entry.state is RegistrationState.ACTIVE
        ]
        turns = Turns(self._peers)
        for entry in entries:
            due = now + turns.next_s(peer.address)
            self.arm(entry, min(due, entry.refresh_at))
        return len(entries)

    def messages_to_send(self, now: float, utc: float) -> list[OutgoingMessage]:
        """The PBUs that may go now, each built and timestamped at this moment."""
        messages = []
        for entry in self._queue.take(now):
            try:
                messages.append(self._sender.send(entry, now, utc))
            except ValueError as error:  # one that fits into no message, and only that one
                self.settle(entry)
                entry.hold = Hold(str(error))
                self.apply(entry, RegistrationInput.UNSENDABLE, now)
            else:
                self.arm(entry, now + entry.backoff_s)
                entry.backoff_s = min(2 * entry.backoff_s, self._settings.max_bindack_timeout_s)
        return messages

    @staticmethod
    def is_deregistration_due(entry: BindingUpdateListEntry) -> bool:
        """Whether the binding is ending and nothing that says so has been sent yet."""
        return entry.state is RegistrationState.DEREGISTERING and not entry.outstanding

    def get_timer(self) -> float | None:
        """When the next PBU may go; None if none has to wait."""
        return self._queue.get_timer()

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
            self.settle(entry)
        entry.request = request
        entry.attempts = 0
        entry.backoff_s = self.first_backoff_s
        self._request_to_send(entry, now)

    def _request_to_send(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._timers.cancel(entry, BindingTimer.REGISTRATION)
        self._presence.end(entry)
        self._queue.add(entry, now)

    def _establish(self, entry: BindingUpdateListEntry, now: float) -> None:
        entry.rejections = 0
        self.arm(entry, entry.refresh_at)
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
        self._timers.cancel(entry, BindingTimer.REGISTRATION)
        self._unqueue(entry)

    def _unqueue(self, entry: BindingUpdateListEntry) -> None:
        self._queue.remove(entry)
        self._presence.end(entry)

    def _discard_entry(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._stop_sending(entry, now)
        binding = snapshot(entry)
        is_on_link = entry.loss_reason is not LossReason.DETACHED
        self._service.stop(entry, now, is_on_link=is_on_link)
        self._list.remove(entry)
        self._emit(BindingLost(binding, entry.loss_reason))
        self._on_gone(entry, now)
