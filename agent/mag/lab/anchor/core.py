"""The reference LMA without input and output: PBUs and time in; PBAs, events and a deadline out.

RFC 5213 §5.3 for one address, IPv6 home network prefixes only. It is a test peer: correct, not
complete. Deadlines are per session, the pool is bounded, and so is the table.
"""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.frozen import frozen
from mag.lab.anchor.binding_cache import BindingCache, BindingCacheEntry
from mag.lab.anchor.events import (
    AnchorEvent,
    BindingDeleted,
    BindingDeregistered,
    BindingExtended,
    BindingMoved,
    BindingRegistered,
    MessageIgnored,
    RequestRejected,
)
from mag.lab.anchor.prefix_pool import PrefixAssignment
from mag.lab.anchor.registration_request import RegistrationRequest
from mag.lab.anchor.request_ordering import ordering_refusal
from mag.lab.anchor.session_lookup import (
    ExistingSession,
    NewSession,
    Refused,
    WaitForDeregistration,
    find_session,
)
from mag.lab.anchor.settings import AnchorSettings
from mag.protocol.settings import LIFETIME_UNIT_S
from mag.protocol.timer_queue import TimerQueue
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.errors import WireError
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import BindingStatus, HeartbeatFlag
from mag.wire.options import RestartCounterOption

_ALL_ZERO: Final = IPv6Address("::")
_FIRST_LINK_LOCAL: Final = int(IPv6Address("fe80::6d61:672d:0:0"))
"""Sessions are counted from here; no interface identifier that a node would make of its MAC."""


@frozen
class OutgoingMessage:
    """A Mobility Header message, checksum included, and where it goes."""

    data: bytes
    destination: IPv6Address


class LocalMobilityAnchor:
    """Binding Cache, prefix pool and the rules between them."""

    def __init__(self, settings: AnchorSettings) -> None:
        self._settings = settings
        self._cache = BindingCache()
        self._prefixes = PrefixAssignment(settings)
        self._deadlines: TimerQueue[int] = TimerQueue()
        """By session: the end of its lifetime, or of its delay after de-registration."""
        self._waiting: dict[bytes, RegistrationRequest] = {}
        self._waiting_deadlines: TimerQueue[bytes] = TimerQueue()
        self._last_session = 0
        self._outgoing: list[OutgoingMessage] = []
        self._events: list[AnchorEvent] = []

    @property
    def settings(self) -> AnchorSettings:
        """What it was told last."""
        return self._settings

    def change(self, settings: AnchorSettings) -> None:
        """Go on with other settings; address, pool and nodes stay those it began with."""
        self._settings = settings

    @property
    def bindings(self) -> tuple[BindingCacheEntry, ...]:
        """The Binding Cache, de-registered sessions included."""
        return tuple(self._cache)

    def receive_message(self, data: bytes, source: IPv6Address, now: float, utc: float) -> None:
        """Take one Mobility Header message that came to the LMA's address.

        now: monotonic seconds; utc: seconds since 1970. Raises nothing for bad input.
        """
        try:
            message = mobility_header.decode(data, source, self._settings.address)
        except WireError as error:
            self._ignore(source, error.reason)
            return
        if isinstance(message, Heartbeat):
            self._answer_heartbeat(message, source)
            return
        if not isinstance(message, ProxyBindingUpdate) or not message.is_proxy:
            self._ignore(source, "no_proxy_binding_update")
            return
        request = RegistrationRequest.of(message, source)
        refusal = self._refusal(request)
        if refusal is not None:
            self._reject(request, refusal, utc)
        elif request.lifetime_s == 0:
            self._deregister(request, now, utc)
        else:
            self._register(request, now, utc)

    def get_timer(self) -> float | None:
        """When handle_timer has something to do; None: nothing is pending."""
        deadlines = (self._deadlines.next_deadline(), self._waiting_deadlines.next_deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Delete what is over, answer what has waited long enough."""
        for mn_id in self._waiting_deadlines.pop_due(now):
            self._create(self._waiting.pop(mn_id), now)
        for session in self._deadlines.pop_due(now):
            self._delete(session)

    def messages_to_send(self) -> tuple[OutgoingMessage, ...]:
        """Take the answers that are ready. Carry out the events before sending them."""
        messages, self._outgoing = tuple(self._outgoing), []
        return messages

    def events(self) -> tuple[AnchorEvent, ...]:
        """Take what happened since the last call, in order."""
        events, self._events = tuple(self._events), []
        return events

    def _refusal(self, request: RegistrationRequest) -> BindingStatus | None:
        """§5.3.1: what bars a request whatever it asks for."""
        gateways = self._settings.gateways
        if request.defect is not None:
            return request.defect
        if gateways is not None and request.proxy_care_of_address not in gateways:
            return BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG
        if not self._settings.serves(request.mn_id):
            return BindingStatus.PROXY_REG_NOT_ENABLED
        return None

    def _is_late(
        self, request: RegistrationRequest, session: BindingCacheEntry | None, utc: float
    ) -> bool:
        """Whether it comes out of order; then it has been answered so.

        session: the one it is about, None if it makes a new one.
        """
        sessions = self._cache.of_node(request.mn_id)
        window_s = self._settings.timestamp_validity_window_s
        status = ordering_refusal(request, session, sessions, utc, window_s)
        if status is not None:
            self._reject(request, status, utc, session)
        return status is not None

    def _register(self, request: RegistrationRequest, now: float, utc: float) -> None:
        found = find_session(self._cache, request)
        session = None
        if isinstance(found, ExistingSession | WaitForDeregistration):
            session = found.entry
        if self._is_late(request, session, utc):
            return
        match found:
            case ExistingSession(entry):
                self._update(entry, request, now)
            case NewSession():
                self._create(request, now)
            case WaitForDeregistration(_):
                self._wait(request, now)
            case Refused(status):
                self._reject(request, status, utc)

    def _wait(self, request: RegistrationRequest, now: float) -> None:
        if request.mn_id not in self._waiting:
            delay_s = self._settings.max_delay_before_new_bce_assign_s
            self._waiting_deadlines.set(request.mn_id, now + delay_s)
        # A retransmission replaces what it repeats: the newest one is answered.
        self._waiting[request.mn_id] = request

    def _create(self, request: RegistrationRequest, now: float) -> None:
        prefixes = self._assigned(request)
        if isinstance(prefixes, BindingStatus):
            self._reject(request, prefixes)
            return
        self._last_session += 1
        entry = BindingCacheEntry(
            session=self._last_session,
            mn_id=request.mn_id,
            home_network_prefixes=prefixes,
            proxy_care_of_address=request.proxy_care_of_address,
            access_technology_type=request.access_technology_type,
            mn_link_layer_id=request.mn_link_layer_id,
            lifetime_s=self._granted(request),
            link_local_address=self._link_local_address(request, _ALL_ZERO, self._last_session),
            sequence=request.sequence,
            timestamp_ticks=request.timestamp_ticks,
        )
        self._events.append(BindingRegistered(entry))
        self._accept(entry, request, now)

    def _assigned(self, request: RegistrationRequest) -> tuple[IPv6Network, ...] | BindingStatus:
        if len(self._cache) >= self._settings.max_bindings:
            return BindingStatus.INSUFFICIENT_RESOURCES
        return self._prefixes.assign(request, self._cache)

    def _update(self, old: BindingCacheEntry, request: RegistrationRequest, now: float) -> None:
        """§5.3.3, §5.3.4: more lifetime, or another gateway; the prefixes stay."""
        entry = replace(
            old,
            proxy_care_of_address=request.proxy_care_of_address,
            access_technology_type=request.access_technology_type,
            mn_link_layer_id=request.mn_link_layer_id,
            lifetime_s=self._granted(request),
            link_local_address=self._link_local_address(
                request, old.link_local_address, old.session
            ),
            sequence=request.sequence,
            timestamp_ticks=request.timestamp_ticks,
            is_deregistered=False,
        )
        if entry.proxy_care_of_address != old.proxy_care_of_address:
            self._events.append(BindingMoved(entry, old.proxy_care_of_address))
        elif old.is_deregistered:
            self._events.append(BindingRegistered(entry))
        else:
            self._events.append(BindingExtended(entry))
        self._accept(entry, request, now)

    def _accept(self, entry: BindingCacheEntry, request: RegistrationRequest, now: float) -> None:
        self._cache.put(entry)
        self._deadlines.set(entry.session, now + entry.lifetime_s)
        self._forget_waiting(entry.mn_id)
        answer = request.answer(
            BindingStatus.ACCEPTED,
            lifetime_s=entry.lifetime_s,
            home_network_prefixes=entry.home_network_prefixes,
            link_local_address=entry.link_local_address,
        )
        self._send(answer, request)

    def _deregister(self, request: RegistrationRequest, now: float, utc: float) -> None:
        """§5.3.5. From a gateway the node has left, it is late: silence (INT-28)."""
        entry = self._session_to_end(request)
        if entry is None:
            self._ignore(request.proxy_care_of_address, "not_the_current_gateway", request.mn_id)
            return
        if self._is_late(request, entry, utc):
            return
        ended = replace(
            entry,
            sequence=request.sequence,
            timestamp_ticks=request.timestamp_ticks,
            is_deregistered=True,
        )
        self._cache.put(ended)
        delay_s = self._settings.min_delay_before_bce_delete_s
        self._deadlines.set(entry.session, now + delay_s)
        self._events.append(BindingDeregistered(ended))
        prefixes = ended.home_network_prefixes
        answer = request.answer(BindingStatus.ACCEPTED, home_network_prefixes=prefixes)
        self._send(answer, request)
        self._hand_over_to_waiting(ended, now)

    def _session_to_end(self, request: RegistrationRequest) -> BindingCacheEntry | None:
        for entry in self._cache.of_node(request.mn_id):
            is_named = not request.home_network_prefixes or set(
                request.home_network_prefixes
            ) == set(entry.home_network_prefixes)
            is_current = entry.proxy_care_of_address == request.proxy_care_of_address
            if is_named and is_current and not entry.is_deregistered:
                return entry
        return None

    def _hand_over_to_waiting(self, ended: BindingCacheEntry, now: float) -> None:
        waiting = self._waiting.get(ended.mn_id)
        if waiting is not None:
            self._update(ended, waiting, now)

    def _forget_waiting(self, mn_id: bytes) -> None:
        self._waiting.pop(mn_id, None)
        self._waiting_deadlines.cancel(mn_id)

    def _delete(self, session: int) -> None:
        entry = self._cache.remove(session)
        self._prefixes.release(entry.home_network_prefixes)
        self._events.append(BindingDeleted(entry, was_expired=not entry.is_deregistered))

    def _granted(self, request: RegistrationRequest) -> int:
        granted = min(request.lifetime_s, self._settings.lifetime_s)
        return granted - granted % LIFETIME_UNIT_S

    def _link_local_address(
        self, request: RegistrationRequest, known: IPv6Address, session: int
    ) -> IPv6Address:
        """§5.3.6: what the gateway says, what the session has, or one of ours."""
        asked = request.link_local_address
        if asked is None:
            return _ALL_ZERO
        if asked != _ALL_ZERO:
            return asked
        if known != _ALL_ZERO:
            return known
        return self._settings.link_local_address or IPv6Address(_FIRST_LINK_LOCAL + session)

    def _reject(
        self,
        request: RegistrationRequest,
        status: BindingStatus,
        utc: float = 0.0,
        session: BindingCacheEntry | None = None,
    ) -> None:
        answer = request.refusal(status, utc)
        if status is BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW and session is not None:
            answer = replace(answer, sequence=session.sequence)
        rejected = RequestRejected(request.mn_id, request.proxy_care_of_address, status)
        self._events.append(rejected)
        self._send(answer, request)

    def _answer_heartbeat(self, heartbeat: Heartbeat, source: IPv6Address) -> None:
        """RFC 5847 §3: every request is answered; what gateways tell of themselves is not used."""
        if heartbeat.is_response:
            return
        counter = RestartCounterOption(self._settings.restart_counter)
        answer = Heartbeat(heartbeat.sequence, HeartbeatFlag.RESPONSE, (counter,))
        data = mobility_header.encode(answer, self._settings.address, source)
        self._outgoing.append(OutgoingMessage(data, source))

    def _send(self, answer: mobility_header.MobilityMessage, request: RegistrationRequest) -> None:
        destination = request.proxy_care_of_address
        try:
            data = mobility_header.encode(answer, self._settings.address, destination)
        except ValueError:
            # A request may fill a Mobility Header to the brim; its answer says a little more.
            self._ignore(destination, "no_room_for_an_answer", request.mn_id)
            return
        self._outgoing.append(OutgoingMessage(data, destination))

    def _ignore(self, source: IPv6Address, reason: str, mn_id: bytes = b"") -> None:
        self._events.append(MessageIgnored(source, reason, mn_id))
