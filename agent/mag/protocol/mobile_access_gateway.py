"""The core of the Mobile Access Gateway: attachments and messages in, messages and events out.

A plain object without socket, clock, loop or log (RFC 5213 §6.9). Its caller feeds it, then
drains `messages_to_send` and `events`, then waits until `get_timer` at most.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Final

from mag.protocol.acknowledgement_gates import AcknowledgementGates
from mag.protocol.advertisement_schedule import AdvertisementSchedule
from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.dismissals import Dismissals
from mag.protocol.error_answers import ErrorAnswers
from mag.protocol.events import (
    AttachmentRefused,
    BindingErrorReceived,
    DiscardReason,
    Event,
    MessageDiscarded,
    PeerRemoved,
    PeerRestarted,
    RefusalReason,
)
from mag.protocol.gateway_address import GatewayAddresses
from mag.protocol.heartbeats import Heartbeats
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.network_errors import NetworkErrors
from mag.protocol.number_series import NumberSeries
from mag.protocol.ordering import OrderingMarks
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import BindingTimer, LossReason, RegistrationInput
from mag.protocol.registration_machine import RegistrationMachine
from mag.protocol.replies import Replies
from mag.protocol.restoration import RememberedBinding, Restoration
from mag.protocol.service import BindingService
from mag.protocol.settings import ProtocolSettings
from mag.protocol.stored_state import StateChange
from mag.protocol.unstored_changes import UnstoredChanges
from mag.protocol.update_sender import UpdateSender
from mag.protocol.withdrawals import Withdrawals
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.binding_error import BindingError
from mag.wire.buffer import WireError
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import BindingErrorStatus

_FIXED_SETTINGS: Final = (
    "proxy_care_of_address",
    "fixed_mag_link_local_address",
    "fixed_mag_link_layer_address",
    "timestamp_based_approach_in_use",
)


class MobileAccessGateway:
    """Binding Update List, registration machines, timers and peers of one gateway.

    `now` is monotonic seconds everywhere and never decreases from call to call.
    """

    def __init__(
        self,
        settings: ProtocolSettings,
        lmas: Mapping[IPv6Address, LmaSettings],
        rng: random.Random,
        *,
        restart_counter: int = 0,
        marks: OrderingMarks | None = None,
    ) -> None:
        """lmas: those configured, by address; messages from anywhere else are discarded.

        rng: for first sequence numbers and the spread of Router Advertisements.
        restart_counter: 32 bits, another one after each start without bindings (RFC 5847 §3.2).
        marks: where an earlier run of this gateway stopped; None takes any first number.
        """
        self.settings = settings
        self.peers: dict[IPv6Address, LmaPeer] = {
            address: LmaPeer(address, lma) for address, lma in lmas.items()
        }
        self.discarded: Counter[str] = Counter()
        self.binding_update_list = BindingUpdateList()
        self._timers = BindingTimers(self.binding_update_list)
        self._events: list[Event] = []
        emit = self._events.append
        self._schedule = AdvertisementSchedule(settings.router_advertisement, rng)
        self._withdrawals = Withdrawals(emit)
        self._former_routers = Withdrawals(emit)
        self._service = BindingService(
            binding_update_list=self.binding_update_list,
            peers=self.peers,
            timers=self._timers,
            schedule=self._schedule,
            withdrawals=self._withdrawals,
            former_routers=self._former_routers,
            emit=emit,
        )
        is_by_timestamp = settings.timestamp_based_approach_in_use
        self._numbers = NumberSeries(marks, rng, is_by_timestamp=is_by_timestamp)
        self._unstored = UnstoredChanges(self.binding_update_list)
        self._machine = RegistrationMachine(
            settings,
            binding_update_list=self.binding_update_list,
            peers=self.peers,
            timers=self._timers,
            service=self._service,
            sender=UpdateSender(
                settings,
                peers=self.peers,
                numbers=self._numbers,
                unstored=self._unstored,
                emit=emit,
            ),
            unstored=self._unstored,
            emit=emit,
            on_gone=self._binding_gone,
        )
        self._addresses = GatewayAddresses(
            settings,
            timers=self._timers,
            machine=self._machine,
            service=self._service,
            unstored=self._unstored,
            rng=rng,
            emit=emit,
        )
        self._replies = Replies(
            settings,
            binding_update_list=self.binding_update_list,
            peers=self.peers,
            machine=self._machine,
            service=self._service,
            addresses=self._addresses,
            emit=emit,
        )
        self._gates = AcknowledgementGates(
            self.binding_update_list,
            self._replies,
            is_by_timestamp=is_by_timestamp,
            emit=emit,
            discard=self._discard,
        )
        self._dismissals = Dismissals(
            timers=self._timers, machine=self._machine, service=self._service, attach=self.attach
        )
        self._heartbeats = Heartbeats(
            settings.heartbeat,
            self.peers,
            restart_counter=restart_counter,
            send=self._send_heartbeat,
            emit=emit,
            on_restart=self._register_again,
        )
        self._other_messages: list[OutgoingMessage] = []
        """Those that are no PBUs."""
        self._error_answers = ErrorAnswers(
            settings.proxy_care_of_address, self._other_messages.append
        )
        self._network_errors = NetworkErrors(self.binding_update_list, emit)

    def begin(self, now: float) -> None:
        """Start of service: tell the LMAs whether we have lost our bindings."""
        self._heartbeats.begin(now)

    # What outlasts the gateway

    def restore(
        self,
        remembered: Iterable[RememberedBinding],
        lma_restart_counters: Mapping[IPv6Address, int],
        now: float,
        utc: float,
    ) -> Restoration:
        """Go on with the bindings of an earlier run; to be called once, before anything else.

        It is done with the last step of what is given back; until then there are to be no other
        inputs. Forwarding is wanted at once; refreshes that are overdue are spread. The counters
        are those that the LMAs said last.
        """
        for address, counter in lma_restart_counters.items():
            if peer := self.peers.get(address):
                peer.liveness.restart_counter = counter
        return Restoration(
            remembered,
            now,
            utc,
            binding_update_list=self.binding_update_list,
            peers=self.peers,
            timers=self._timers,
            service=self._service,
            machine=self._machine,
            unstored=self._unstored,
            fixed_address=self.settings.fixed_mag_link_local_address,
            emit=self._events.append,
        )

    def changes_to_store(self, now: float, utc: float) -> StateChange:
        """What must outlast the gateway and is new since the last call.

        Nothing that `messages_to_send` or `events` gave before should take effect until this is
        where it survives: what an LMA or the packet path knows, the next start must know too.
        """
        return StateChange(
            self._unstored.take(now, utc),
            self._numbers.take_marks(),
            self._heartbeats.take_new_counters(),
        )

    # The access side

    def attach(
        self, attachment: Attachment, profile: PolicyProfile, now: float
    ) -> RefusalReason | None:
        """A node showed itself on an access link, for the first time or again (§6.9.1.1).

        Returns why the attachment was not taken, None if it was.
        """
        entry = self.binding_update_list.by_interface(profile.mn_id, attachment)
        if entry is None:
            refusal = self._refusal(profile)
            if refusal is None:
                self._machine.begin(attachment, profile, now)
            else:
                self._events.append(AttachmentRefused(profile.mn_id, refusal))
            return refusal
        has_moved = entry.attachment.access_interface != attachment.access_interface
        if entry.attachment != attachment:
            self.binding_update_list.move(entry, attachment)
            self._unstored.note(entry)
        if has_moved:
            self._service.redirect(entry)
        if entry.is_dismissed:
            return None
        if has_moved or attachment.handoff_hint is not HandoffHint.UNKNOWN:
            entry.attached_at = now
            self._machine.apply(entry, RegistrationInput.HANDOFF_REPORTED, now)
        else:
            self._machine.apply(entry, RegistrationInput.ATTACH_SEEN, now)
        return None

    def detach(self, binding_id: int, now: float) -> None:
        """The node has left its link: end the binding (§6.9.1.4)."""
        if entry := self.binding_update_list.by_id(binding_id):
            entry.dismissal = None
            self._machine.apply(entry, RegistrationInput.DETACH_SEEN, now)

    def clear(self, binding_id: int, now: float) -> None:
        """An operator ends the binding; this is what lifts a hold.

        One that is ending goes at once, unless its LMA has not been told yet.
        """
        if entry := self.binding_update_list.by_id(binding_id):
            entry.dismissal = None
            if not self._machine.is_deregistration_due(entry):
                self._machine.apply(entry, RegistrationInput.CLEARED, now)

    def dismiss(
        self,
        binding_id: int,
        reason: LossReason,
        now: float,
        *,
        successor: PolicyProfile | None = None,
        after_s: float = 0.0,
    ) -> None:
        """End the binding for good, holds included: signs of life do not call it back.

        successor: registers the node anew with this profile as soon as the LMA has answered.
        after_s: until then everything goes on as before.
        """
        if entry := self.binding_update_list.by_id(binding_id):
            self._dismissals.dismiss(entry, reason, now, successor=successor, after_s=after_s)

    def keep(self, binding_id: int, reason: LossReason) -> None:
        """Take back a dismissal for this reason, unless it has begun."""
        if entry := self.binding_update_list.by_id(binding_id):
            self._dismissals.keep(entry, reason)

    def change_profile(
        self, binding_id: int, profile: PolicyProfile, now: float, *, after_s: float = 0.0
    ) -> None:
        """Policy has another profile for the node from now on.

        With the same LMA what it has is left as it is until the next request, but for local
        routing, which follows at once; with another it is de-registered here, after so many
        seconds, and registered there. A hold of the old profile is lifted.
        """
        if entry := self.binding_update_list.by_id(binding_id):
            self._dismissals.change_profile(entry, profile, now, after_s=after_s)

    def advertise_again(self, binding_id: int, now: float, *, after_s: float = 0.0) -> None:
        """Tell the node anew, after so many seconds, what Router Advertisements say."""
        if entry := self.binding_update_list.by_id(binding_id):
            self._service.advertise_again(entry, now + after_s)

    def reconfigure(
        self, settings: ProtocolSettings, lmas: Mapping[IPv6Address, LmaSettings], now: float
    ) -> None:
        """Go on with these settings and LMAs; bindings stay as they are until something is due.

        Bindings that have no place any more are the caller's to `dismiss` or `change_profile`,
        before or after. An LMA that is not in `lmas` is heard until the last binding with it is
        gone, and gets no new one; PeerRemoved says that it is gone.
        Raises ValueError for an address that nodes or LMAs know us by.
        """
        for name in _FIXED_SETTINGS:
            if getattr(settings, name) != getattr(self.settings, name):
                raise ValueError(f"{name} cannot change while bindings rest on it")
        self.settings = settings
        self._machine.reconfigure(settings)
        self._replies.reconfigure(settings)
        self._schedule.reconfigure(settings.router_advertisement)
        for address, lma in lmas.items():
            if (peer := self.peers.get(address)) is not None:
                peer.reconfigure(lma)
        for peer in list(self.peers.values()):
            if peer.address not in lmas:
                peer.is_leaving = True
                self._remove_if_done(peer)
        self._heartbeats.reconfigure(settings.heartbeat, now)
        for address in lmas.keys() - self.peers.keys():
            self.peers[address] = LmaPeer(address, lmas[address])
            self._heartbeats.greet(address, now)

    def router_solicited(
        self, binding_id: int, now: float, *, source: IPv6Address | None = None
    ) -> None:
        """The node asked for a Router Advertisement; one without its prefixes is never sent.

        source: the address that it asked from, to be answered at; None: it has none.
        """
        if entry := self.binding_update_list.by_id(binding_id):
            self._service.solicited(entry, source, now)

    def node_heard(
        self,
        binding_id: int,
        address: IPv6Address | None,
        now: float,
        *,
        claimed: IPv6Address | None = None,
    ) -> None:
        """A sign of life of the node on its link, as the answer to ProbeNode or by itself.

        address: the node's own that it came from; None where only the packet path saw it.
        claimed: one that the node says it has, or, where it came from `::`, is about to take.
        """
        if entry := self.binding_update_list.by_id(binding_id):
            its_own = self._addresses.heard(entry, address, claimed, now)
            self._machine.heard(entry, its_own, now)

    def probe_not_sent(self, binding_id: int) -> None:
        """The last ProbeNode of this binding could not be carried out."""
        if entry := self.binding_update_list.by_id(binding_id):
            self._machine.not_asked(entry)

    def address_not_asked_for(self, binding_id: int) -> None:
        """The last DetectDuplicateAddress of this binding could not be carried out."""
        if entry := self.binding_update_list.by_id(binding_id):
            self._addresses.not_asked(entry)

    @property
    def address_collisions(self) -> int:
        """How often a node had the link-local address that was to be the gateway's."""
        return self._addresses.collisions

    def finish(self, now: float) -> None:
        """The gateway stops: what nodes still have to hear is said now.

        Bindings that are left are those whose LMA could not be told in time: their nodes lose
        their router with the others.
        """
        for entry in self.binding_update_list:
            self._service.take_leave(entry, now)
        self._former_routers.finish(now)
        self._withdrawals.finish(now)

    def forwarding_ready(self, binding_id: int, now: float) -> None:
        """The packet path forwards as the last ForwardingWanted of this binding said."""
        if entry := self.binding_update_list.by_id(binding_id):
            self._service.forwarding_ready(entry, now)

    # The LMA side

    def receive_message(self, data: bytes, source: IPv6Address, now: float) -> None:
        """Take one Mobility Header message (RFC 5213 §6.9.1.2, RFC 6275 §9.2).

        data: the message from its first octet. source: from its IPv6 header; messages from
        addresses that are no configured LMA are discarded unread.
        Raises nothing for bad input: a MessageDiscarded event and `discarded` say why.
        """
        peer = self.peers.get(source)
        if peer is None:
            self._discard(DiscardReason.UNKNOWN_PEER, source)
            return
        try:
            message = mobility_header.decode(data, source, self.settings.proxy_care_of_address)
        except WireError as error:
            self._discard(error.reason, source)
            self._error_answers.answer(error, data, source, now)
            return
        peer.updates.release()  # what sends Mobility Headers knows them
        match message:
            case ProxyBindingAcknowledgement():
                self._gates.receive(message, peer, now)
            case BindingError():
                self._events.append(BindingErrorReceived(source, message.status))
                # The only messages an LMA may not know are heartbeats.
                if message.status == BindingErrorStatus.UNRECOGNIZED_MH_TYPE:
                    self._heartbeats.refused(peer)
            case Heartbeat():
                if not self._heartbeats.receive(message, peer, now):
                    self._discard(DiscardReason.UNMATCHED, source)
            case _:
                self._discard(DiscardReason.UNEXPECTED_TYPE, source)

    def receive_error(
        self, error: tuple[int, int], quoted: bytes, lma_address: IPv6Address, now: float
    ) -> None:
        """An ICMPv6 error came back for a Mobility Header of ours (RFC 6275 §11.3.5).

        error: type and code. quoted: the beginning of that Mobility Header. lma_address: whom it
        was for. Raises nothing for bad input.
        """
        peer = self.peers.get(lma_address)
        if peer is None:
            self._discard(DiscardReason.UNKNOWN_PEER, lma_address)
        else:
            hold_s = self.settings.max_bindack_timeout_s
            self._network_errors.receive(peer, error, quoted, now, hold_s)

    def clock_is(self, *, in_step: bool, now: float) -> None:
        """Whether `utc` follows the domain's time; taken as granted until it is said.

        Without that nothing is asked again after status 156 (§6.9.1.2(9)).
        """
        self._replies.clock_is(in_step=in_step, now=now)

    def messages_to_send(self, now: float, utc: float) -> list[OutgoingMessage]:
        """Everything that is to go out now, timestamped with `utc`, seconds since 1970."""
        messages = self._other_messages + self._machine.messages_to_send(now, utc)
        self._other_messages.clear()
        return messages

    # Time and events

    def get_timer(self) -> float | None:
        """When `handle_timer` is due next, None if never."""
        deadlines = (
            self._timers.next_deadline(),
            self._machine.get_timer(),
            self._withdrawals.get_timer(),
            self._former_routers.get_timer(),
            self._heartbeats.get_timer(),
        )
        return min((each for each in deadlines if each is not None), default=None)

    def deadline(self, binding_id: int, timer: BindingTimer) -> float | None:
        """When a timer of a binding is due, None while it is not armed."""
        entry = self.binding_update_list.by_id(binding_id)
        return None if entry is None else self._timers.deadline(entry, timer)

    def handle_timer(self, now: float) -> None:
        """Do what is due; early and late calls are harmless."""
        self._heartbeats.handle_timer(now)
        self._withdrawals.handle_timer(now)
        self._former_routers.handle_timer(now)
        for entry, timer in self._timers.pop_due(now):
            match timer:
                case BindingTimer.REGISTRATION:
                    self._machine.timer_due(entry, now)
                case BindingTimer.LIFETIME:
                    self._machine.apply(entry, RegistrationInput.LIFETIME_ENDED, now)
                case BindingTimer.ADVERTISEMENT:
                    self._service.advertise(entry, now)
                case BindingTimer.DISMISSAL:
                    self._dismissals.begin(entry, now)
                case BindingTimer.PERMISSION_TO_SEND:
                    self._machine.permit(entry)
                case BindingTimer.PRESENCE:
                    self._machine.unanswered(entry, now)
                case BindingTimer.ADDRESS_DETECTION:
                    self._addresses.time_is_up(entry, now)

    def events(self) -> list[Event]:
        """What happened since the last call, oldest first."""
        events = self._events.copy()
        self._events.clear()
        return events

    # Ends of bindings and LMAs

    def _binding_gone(self, entry: BindingUpdateListEntry, now: float) -> None:
        self._dismissals.gone(entry, now)
        self._remove_if_done(self.peers[entry.lma_address])

    def _remove_if_done(self, peer: LmaPeer) -> None:
        if peer.is_leaving and not self.binding_update_list.count_with(peer.address):
            self._heartbeats.leave(peer.address)
            del self.peers[peer.address]
            self._events.append(PeerRemoved(peer.address))

    def _refusal(self, profile: PolicyProfile) -> RefusalReason | None:
        """Why an interface without an entry gets none."""
        siblings = self.binding_update_list.by_mn_id(profile.mn_id)
        if any(entry.hold and entry.hold.is_of_node for entry in siblings):
            return RefusalReason.NODE_HELD  # §6.9.1.2(7)
        if len(self.binding_update_list) >= self.settings.max_bindings:
            return RefusalReason.TABLE_FULL
        peer = self.peers.get(profile.lma_address)
        if peer is None or peer.is_leaving:
            return RefusalReason.UNKNOWN_LMA
        return None

    def _discard(self, reason: str, source: IPv6Address) -> None:
        self.discarded[reason] += 1
        self._events.append(MessageDiscarded(reason, source))

    def _send_heartbeat(self, message: Heartbeat, destination: IPv6Address) -> None:
        ours = self.settings.proxy_care_of_address
        data = mobility_header.encode(message, ours, destination)
        self._other_messages.append(OutgoingMessage(data, ours, destination))

    def _register_again(self, peer: LmaPeer, now: float) -> None:
        """The LMA has lost its bindings: refresh ours with it, evenly (RFC 5847 §3.2)."""
        count = self._machine.refresh_all(peer, now)
        self._events.append(PeerRestarted(peer.address, count))
