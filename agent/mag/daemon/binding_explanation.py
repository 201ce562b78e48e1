"""Why the node of a binding has or has not service: causes in order, of which the first holds."""

from collections.abc import Callable
from enum import Enum
from typing import Final

from mag.daemon.explanation import Explanation, Reason, duration
from mag.daemon.histories import Remark, What
from mag.frozen import frozen
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.lma_peer import LmaPeer, PeerState
from mag.protocol.registration import RegistrationState
from mag.services.event_log import text_of_mn_id
from mag.wire.iana import BindingStatus


@frozen
class Circumstances:
    """What bears on one binding."""

    entry: BindingUpdateListEntry
    lma: str
    """Name of its LMA."""
    peer: LmaPeer
    now: float
    """Monotonic seconds."""
    utc: float
    """The same moment, seconds since 1970."""
    next_request_at: float | None
    """When its registration timer is due, monotonic."""
    permitted_at: float | None
    """Until when the rate limit holds its PBU back, monotonic; None: it does not."""
    remarks: tuple[Remark, ...]
    dataplane_failure: str | None
    """What the packet path refused last and has not done since."""
    asked_again_at: float | None = None
    """When the node itself, which has not answered yet, is asked the next time or given up; None:
    it is not asked."""
    solicitations: int = 0
    """Unanswered ones after which it counts as gone."""

    @property
    def node(self) -> str:
        """Its MN-Identifier as text."""
        return text_of_mn_id(self.entry.mn_id)

    @property
    def expires(self) -> str:
        """Until when what it has lasts."""
        return f"for another {duration(self.entry.expires_at - self.now)}"

    @property
    def next_try(self) -> str:
        """When the next PBU goes out, as a clause."""
        if self.next_request_at is None:
            return "nothing is due"
        return f"asked again in {duration(self.next_request_at - self.now)}"

    def is_in(self, *states: RegistrationState) -> bool:
        """Whether the binding is in one of these states."""
        return self.entry.state in states

    def last(self, what: What) -> Remark | None:
        """The newest remark of that sort."""
        return next((each for each in reversed(self.remarks) if each.what is what), None)


class _Frame(Enum):
    """What the words of a cause are put into, behind the node's name."""

    SERVED = "has service {}"
    WITHOUT = "has no service: {}"
    LEAVING = "is leaving: {}"


@frozen
class _Cause:
    """Something that decides about service."""

    reason: Reason
    frame: _Frame
    holds: Callable[[Circumstances], bool]
    words: Callable[[Circumstances], str]
    is_lifted_by_clearing: bool = False

    def explanation(self, about: Circumstances) -> Explanation:
        is_served = self.frame is _Frame.SERVED
        if self.frame is _Frame.LEAVING:
            is_served = about.entry.is_forwarding
        sentence = f"{about.node} {self.frame.value.format(self.words(about))}."
        lifted_by = f"mag clear binding {about.node}" if self.is_lifted_by_clearing else None
        return Explanation(self.reason, is_served, sentence, lifted_by)


def explain_binding(about: Circumstances) -> Explanation:
    """Why the node of this binding has or has not service."""
    return next(cause for cause in _CAUSES if cause.holds(about)).explanation(about)


# Which cause it is


def _is_leaving(about: Circumstances) -> bool:
    return about.is_in(RegistrationState.DEREGISTERING)


def _is_held(about: Circumstances) -> bool:
    return about.is_in(RegistrationState.HELD)


def _is_asked_for(about: Circumstances) -> bool:
    return about.asked_again_at is not None


def _is_asked_for_without_service(about: Circumstances) -> bool:
    return _is_asked_for(about) and (_is_registering(about) or _is_rejected(about))


def _is_rejected(about: Circumstances) -> bool:
    return about.is_in(RegistrationState.REJECTED)


def _is_registering(about: Circumstances) -> bool:
    return about.is_in(RegistrationState.REGISTERING)


def _waits_for_its_own_rate(about: Circumstances) -> bool:
    return _is_registering(about) and about.permitted_at is not None


def _waits_for_an_unable_lma(about: Circumstances) -> bool:
    return _is_registering(about) and about.peer.updates.held_s(about.now) > 0.0


def _waits_for_the_pace_of_its_lma(about: Circumstances) -> bool:
    return _is_registering(about) and about.entry.binding_id in about.peer.updates


def _is_lma_unreachable(about: Circumstances) -> bool:
    return _is_registering(about) and about.peer.liveness.state is PeerState.UNREACHABLE


def _is_lma_silent(about: Circumstances) -> bool:
    return _is_registering(about) and about.entry.attempts > 1


def _is_refused_by_the_packet_path(about: Circumstances) -> bool:
    return not about.entry.is_forwarding and about.dataplane_failure is not None


def _is_not_forwarded(about: Circumstances) -> bool:
    return not about.entry.is_forwarding


def _has_no_router(about: Circumstances) -> bool:
    return not about.entry.may_be_advertised


def _is_silent(about: Circumstances) -> bool:
    return about.is_in(RegistrationState.SILENT)


def _is_not_refreshed(about: Circumstances) -> bool:
    return about.is_in(RegistrationState.REFRESHING) and about.entry.attempts > 1


def _always(_: Circumstances) -> bool:
    return True


# In words


def _leaving(about: Circumstances) -> str:
    rest = duration((about.next_request_at or about.now) - about.now)
    return (
        f"{about.lma} has been told and has not answered yet; that is waited for no longer than "
        f"{rest}"
    )


def _held(about: Circumstances) -> str:
    return f"{_hold(about)}, so nothing is asked again until an operator acts"


def _asked_for(about: Circumstances) -> str:
    asked, allowed = about.entry.solicitations, about.solicitations
    rest = duration((about.asked_again_at or about.now) - about.now)
    then = "it counts as gone" if asked >= allowed else "it is asked again"
    return (
        f"it has not answered {asked} of {allowed} questions whether it is still there; {then} in "
        f"{rest}"
    )


def _asked_for_without_service(about: Circumstances) -> str:
    return f"{about.lma} is not asked again before the node has been heard: {_asked_for(about)}"


def _rejected(about: Circumstances) -> str:
    is_clock_waited_for = about.next_request_at is None and (
        about.entry.last_status == BindingStatus.TIMESTAMP_MISMATCH
    )
    next_try = "asked again as soon as our clock is in step" if is_clock_waited_for else None
    return f"{_last_rejection(about)}; {next_try or about.next_try}"


def _own_rate(about: Circumstances) -> str:
    rest = duration((about.permitted_at or about.now) - about.now)
    return f"the rate limit holds its Proxy Binding Update back for another {rest}"


def _unable_lma(about: Circumstances) -> str:
    rest = duration(about.peer.updates.held_s(about.now))
    return (
        f"what has the address of {about.lma} does not know Mobility Headers (ICMPv6 Parameter "
        f"Problem) and is not asked for another {rest}"
    )


def _pace_of_its_lma(about: Circumstances) -> str:
    return (
        f"its Proxy Binding Update is one of {len(about.peer.updates)} that wait for the pace "
        f"of {about.lma}, {about.peer.settings.updates_per_s} a second"
    )


def _lma_unreachable(about: Circumstances) -> str:
    missed = about.peer.liveness.missed
    return (
        f"{about.lma} is unreachable, {missed} heartbeats in a row without an answer; "
        f"{about.next_try}"
    )


def _lma_silent(about: Circumstances) -> str:
    return f"{_silence(about)}; {about.next_try}"


def _registering(about: Circumstances) -> str:
    return f"{about.lma} has been asked and has not answered yet; {about.next_try}"


def _refused_by_the_packet_path(about: Circumstances) -> str:
    return (
        f"it is registered with {about.lma}, but the packet path refused, and is tried again: "
        f"{about.dataplane_failure}"
    )


def _not_forwarded(about: Circumstances) -> str:
    return f"it is registered with {about.lma}, but the packet path has not confirmed yet"


def _without_router(about: Circumstances) -> str:
    collided = about.entry.collided_link_local_address
    why = f": {collided} is the node's own" if collided else f", as {about.lma} has given none"
    return f"its gateway looks for a link-local address{why}; that takes a second or two"


def _silent(about: Circumstances) -> str:
    return (
        f"{about.expires} and none after that: {_hold(about)}, so it is not refreshed until an "
        f"operator acts"
    )


def _served_while_asked_for(about: Circumstances) -> str:
    return f"{about.expires}, but {_asked_for(about)}, and is not refreshed before"


def _not_refreshed(about: Circumstances) -> str:
    return f"{about.expires}, but {_silence(about)}; {about.next_try}"


def _served(about: Circumstances) -> str:
    entry = about.entry
    prefixes = ", ".join(map(str, entry.home_network_prefixes))
    since = about.last(What.REGISTERED)
    registered = f", registered {duration(about.utc - since.first_at)} ago" if since else ""
    return (
        f"on {entry.attachment.access_interface} through {about.lma} with {prefixes}{registered}, "
        f"{about.expires} and refreshed before{_router(entry)}"
    )


# Clauses


def _silence(about: Circumstances) -> str:
    entry = about.entry
    words = f"{about.lma} has answered none of {entry.attempts} Proxy Binding Updates"
    if about.peer.last_heard_at is None:
        return f"{words}, nor anything before"
    return f"{words}; it was heard last {duration(about.now - about.peer.last_heard_at)} ago"


def _last_rejection(about: Circumstances) -> str:
    rejection = about.last(What.REJECTED)
    if rejection is None:
        return f"{about.lma} refused"
    times = "" if rejection.count == 1 else f", {rejection.count} times in a row"
    ago = duration(about.utc - rejection.last_at)
    return f"{about.lma} did not accept it {ago} ago{times}: {rejection.detail}"


def _router(entry: BindingUpdateListEntry) -> str:
    """Worth a word only where it is another than was meant."""
    if (collided := entry.collided_link_local_address) is None:
        return ""
    ours = entry.gateway_link_local_address
    return f"; its router is {ours}, as {collided}, which the LMA gave, is the node's own"


def _hold(about: Circumstances) -> str:
    """Why nothing is sent; a binding may be held for what its sibling was told."""
    hold, rejection = about.entry.hold, about.last(What.REJECTED)
    if hold is None or (rejection is not None and rejection.detail == hold.reason):
        return _last_rejection(about)
    return f"{about.lma} refused the node: {hold.reason}"


_CAUSES: Final = (
    _Cause(Reason.LEAVING, _Frame.LEAVING, _is_leaving, _leaving),
    _Cause(Reason.HELD, _Frame.WITHOUT, _is_held, _held, is_lifted_by_clearing=True),
    _Cause(
        Reason.PRESENCE_IN_DOUBT,
        _Frame.WITHOUT,
        _is_asked_for_without_service,
        _asked_for_without_service,
    ),
    _Cause(Reason.REJECTED, _Frame.WITHOUT, _is_rejected, _rejected),
    _Cause(Reason.RATE_LIMITED, _Frame.WITHOUT, _waits_for_its_own_rate, _own_rate),
    _Cause(Reason.LMA_UNREACHABLE, _Frame.WITHOUT, _waits_for_an_unable_lma, _unable_lma),
    _Cause(Reason.RATE_LIMITED, _Frame.WITHOUT, _waits_for_the_pace_of_its_lma, _pace_of_its_lma),
    _Cause(Reason.LMA_UNREACHABLE, _Frame.WITHOUT, _is_lma_unreachable, _lma_unreachable),
    _Cause(Reason.LMA_SILENT, _Frame.WITHOUT, _is_lma_silent, _lma_silent),
    _Cause(Reason.REGISTERING, _Frame.WITHOUT, _is_registering, _registering),
    _Cause(
        Reason.FORWARDING_FAILED,
        _Frame.WITHOUT,
        _is_refused_by_the_packet_path,
        _refused_by_the_packet_path,
    ),
    _Cause(Reason.FORWARDING_PENDING, _Frame.WITHOUT, _is_not_forwarded, _not_forwarded),
    _Cause(Reason.ROUTER_ADDRESS_PENDING, _Frame.WITHOUT, _has_no_router, _without_router),
    _Cause(
        Reason.SERVED_UNTIL_EXPIRY, _Frame.SERVED, _is_silent, _silent, is_lifted_by_clearing=True
    ),
    _Cause(Reason.PRESENCE_IN_DOUBT, _Frame.SERVED, _is_asked_for, _served_while_asked_for),
    _Cause(Reason.SERVED_UNREFRESHED, _Frame.SERVED, _is_not_refreshed, _not_refreshed),
    _Cause(Reason.SERVED, _Frame.SERVED, _always, _served),
)
"""What rules out more comes first."""
