"""Between the LMA's core and its socket: carries out faults, so that the core stays correct.

Without input and output: messages and time in, messages, events and a deadline out. The core is
behind it like behind a network that loses, delays and falsifies, and like behind an LMA that has
made up its mind before it looks at the Binding Cache.
"""

import heapq
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.frozen import frozen
from mag.lab.anchor.core import OutgoingMessage
from mag.lab.anchor.events import FaultApplied
from mag.lab.anchor.false_answer import altered, garbled, granting, without
from mag.lab.anchor.faults import (
    Alter,
    Delay,
    Duplicate,
    Fault,
    Garble,
    Grant,
    Lose,
    MessageKind,
    Omit,
    Reject,
    Reorder,
    Way,
    Where,
)
from mag.lab.anchor.registration_request import RegistrationRequest
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.errors import WireError
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import HandoffIndicator
from mag.wire.options import MobileNodeIdentifierOption

REORDER_PATIENCE_S: Final = 0.5
"""An answer that nothing overtakes in this time goes out alone."""
_MAX_REMEMBERED: Final = 4096


@frozen
class ActiveFault:
    """A fault that was told, and what came of it."""

    fault_id: int
    fault: Fault
    applied: int = 0

    @property
    def is_used_up(self) -> bool:
        """It has been applied as often as it was to be."""
        return self.fault.times is not None and self.applied >= self.fault.times


@frozen
class _About:
    """What a fault can tell messages apart by."""

    gateway: IPv6Address
    kind: MessageKind
    mn_id: bytes = b""

    def matches(self, where: Where) -> bool:
        return (
            where.mn_id in (None, self.mn_id)
            and where.gateway in (None, self.gateway)
            and where.kind in (None, self.kind)
        )


@frozen
class _Copy:
    """One instance of an answer on its way out."""

    message: OutgoingMessage
    at: float
    is_overtaken: bool = False


class UnrulyLink:
    """The faults there are, and the messages that they hold back."""

    def __init__(self, address: IPv6Address, rng: random.Random) -> None:
        """address: the LMA's. rng: for everything that happens with a probability."""
        self._address = address
        self._rng = rng
        self._active: dict[int, ActiveFault] = {}
        self._last_fault_id = 0
        self._kinds: OrderedDict[tuple[IPv6Address, int], MessageKind] = OrderedDict()
        """Of requests by gateway and sequence number: their answers do not say it."""
        self._late: list[tuple[float, int, OutgoingMessage]] = []
        self._late_count = 0
        self._overtaken: dict[IPv6Address, list[tuple[float, OutgoingMessage]]] = {}
        self._outgoing: list[OutgoingMessage] = []
        self._events: list[FaultApplied] = []

    @property
    def faults(self) -> tuple[ActiveFault, ...]:
        """Oldest first, those that are used up included."""
        return tuple(self._active.values())

    def misbehave(self, fault: Fault) -> ActiveFault:
        """Apply a fault from now on, after those there are."""
        self._last_fault_id += 1
        active = ActiveFault(self._last_fault_id, fault)
        self._active[active.fault_id] = active
        return active

    def relent(self, fault_id: int | None = None) -> tuple[ActiveFault, ...]:
        """Take back one fault, or all; returns those that were there."""
        ids = list(self._active) if fault_id is None else [fault_id]
        return tuple(self._active.pop(each) for each in ids if each in self._active)

    def admits(self, data: bytes, source: IPv6Address, utc: float) -> bool:
        """A message has come; whether the core is to hear of it. utc: seconds since 1970."""
        try:
            message = mobility_header.decode(data, source, self._address)
        except WireError:
            return True
        about = self._about_request(message, source)
        if about is None:
            return True
        for active in self._meant(about):
            match active.fault.misdeed:
                case Lose(Way.REQUEST):
                    self._note(active, about)
                    return False
                case Reject(status) if isinstance(message, ProxyBindingUpdate):
                    request = RegistrationRequest.of(message, source)
                    self._note(active, about, status, request.home_network_prefixes)
                    self._refuse(request, status, utc)
                    return False
        return True

    def send(self, message: OutgoingMessage, now: float) -> None:
        """The core has an answer; what becomes of it comes out of messages_to_send."""
        about = self._about_answer(message)
        copies = [_Copy(message, now)]
        if about is not None:
            for active in self._meant(about):
                before = copies
                copies = [each for copy in copies for each in self._applied(active.fault, copy)]
                if copies != before:
                    self._note(active, about)
        for copy in copies:
            self._dispatch(copy, now)

    def get_timer(self) -> float | None:
        """When handle_timer has something to send; None: nothing waits."""
        deadlines = [at for waiting in self._overtaken.values() for at, _ in waiting]
        if self._late:
            deadlines.append(self._late[0][0])
        return min(deadlines, default=None)

    def handle_timer(self, now: float) -> None:
        """Let go what has been held back long enough."""
        while self._late and self._late[0][0] <= now:
            self._release(heapq.heappop(self._late)[2])
        for gateway, waiting in list(self._overtaken.items()):
            if all(at <= now for at, _ in waiting):
                del self._overtaken[gateway]
                self._outgoing.extend(message for _, message in waiting)

    def messages_to_send(self) -> tuple[OutgoingMessage, ...]:
        """Take what goes out now."""
        messages, self._outgoing = tuple(self._outgoing), []
        return messages

    def events(self) -> tuple[FaultApplied, ...]:
        """Take what faults did since the last call."""
        events, self._events = tuple(self._events), []
        return events

    # What a message is about

    def _about_request(
        self, message: mobility_header.MobilityMessage, source: IPv6Address
    ) -> _About | None:
        if isinstance(message, Heartbeat):
            return None if message.is_response else _About(source, MessageKind.HEARTBEAT)
        if not isinstance(message, ProxyBindingUpdate):
            return None
        request = RegistrationRequest.of(message, source)
        kind = MessageKind.REGISTRATION
        if request.lifetime_s == 0:
            kind = MessageKind.DEREGISTRATION
        elif request.handoff_indicator == HandoffIndicator.NOT_CHANGED:
            kind = MessageKind.REFRESH
        self._kinds[source, request.sequence] = kind
        if len(self._kinds) > _MAX_REMEMBERED:
            self._kinds.popitem(last=False)
        return _About(source, kind, request.mn_id)

    def _about_answer(self, message: OutgoingMessage) -> _About | None:
        answer = mobility_header.decode(message.data, self._address, message.destination)
        if isinstance(answer, Heartbeat):
            return _About(message.destination, MessageKind.HEARTBEAT)
        if not isinstance(answer, ProxyBindingAcknowledgement):
            return None
        identifier = answer.first(MobileNodeIdentifierOption)
        kind = self._kinds.get((message.destination, answer.sequence), MessageKind.REGISTRATION)
        return _About(message.destination, kind, identifier.identifier if identifier else b"")

    def _meant(self, about: _About) -> Iterator[ActiveFault]:
        """The faults that hit a message of this sort, chance included."""
        for active in tuple(self._active.values()):
            is_meant = not active.is_used_up and about.matches(active.fault.where)
            if is_meant and self._rng.random() < active.fault.probability:
                yield active

    def _note(
        self,
        active: ActiveFault,
        about: _About,
        status: int | None = None,
        asked: tuple[IPv6Network, ...] = (),
    ) -> None:
        self._active[active.fault_id] = replace(active, applied=active.applied + 1)
        name = active.fault.misdeed.name
        self._events.append(
            FaultApplied(name, about.mn_id, about.gateway, about.kind, status, asked)
        )

    # What becomes of it

    def _refuse(self, request: RegistrationRequest, status: int, utc: float) -> None:
        gateway = request.proxy_care_of_address
        try:
            data = mobility_header.encode(request.refusal(status, utc), self._address, gateway)
        except ValueError:
            return  # a request may fill a Mobility Header to the brim: no room for an answer
        self._outgoing.append(OutgoingMessage(data, gateway))

    def _applied(self, fault: Fault, copy: _Copy) -> list[_Copy]:
        copies = [copy]
        match fault.misdeed:
            case Lose(Way.ANSWER):
                copies = []
            case Delay(seconds, spread_s):
                copies = [replace(copy, at=copy.at + seconds + spread_s * self._rng.random())]
            case Duplicate(more):
                copies *= more + 1
            case Reorder():
                copies = [replace(copy, is_overtaken=True)]
            case Alter() as alter:
                copies = [self._rewritten(copy, lambda answer: altered(answer, alter))]
            case Omit(part):
                copies = [self._rewritten(copy, lambda answer: without(answer, part))]
            case Grant() as grant:
                copies = [self._rewritten(copy, lambda answer: granting(answer, grant))]
            case Garble() as garble:
                ends = (self._address, copy.message.destination)
                data = garbled(copy.message.data, garble, self._rng, ends)
                copies = [replace(copy, message=replace(copy.message, data=data))]
        return copies

    def _rewritten(
        self,
        copy: _Copy,
        change: Callable[[ProxyBindingAcknowledgement], ProxyBindingAcknowledgement],
    ) -> _Copy:
        """An acknowledgement changed; what is none, or would not fit any more, is left alone."""
        destination = copy.message.destination
        try:
            answer = mobility_header.decode(copy.message.data, self._address, destination)
            if not isinstance(answer, ProxyBindingAcknowledgement):
                return copy
            data = mobility_header.encode(change(answer), self._address, destination)
        except (WireError, ValueError):
            return copy
        return replace(copy, message=OutgoingMessage(data, destination))

    def _dispatch(self, copy: _Copy, now: float) -> None:
        if copy.is_overtaken:
            waiting = self._overtaken.setdefault(copy.message.destination, [])
            waiting.append((max(copy.at, now) + REORDER_PATIENCE_S, copy.message))
        elif copy.at > now:
            self._late_count += 1  # equal times go out in order
            heapq.heappush(self._late, (copy.at, self._late_count, copy.message))
        else:
            self._release(copy.message)

    def _release(self, message: OutgoingMessage) -> None:
        self._outgoing.append(message)
        overtaken = self._overtaken.pop(message.destination, [])
        self._outgoing.extend(each for _, each in overtaken)
