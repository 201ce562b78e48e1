"""Why a node has or has not service, in one sentence and with a reason that programs can read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mag.daemon.histories import Departure, Refusal, Remark, What
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.lma_peer import LmaPeer, PeerState
from mag.protocol.registration import LossReason, RegistrationState
from mag.services.event_log import text_of_mn_id
from mag.wire.iana import BindingStatus

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


class Reason(StrEnum):
    """Why; stable, for programs."""

    SERVED = "served"
    SERVED_UNREFRESHED = "served_unrefreshed"
    """In service, but the LMA does not answer the refresh."""
    SERVED_UNTIL_EXPIRY = "served_until_expiry"
    """In service until its lifetime ends, and not refreshed before an operator acts."""
    LEAVING = "leaving"
    REGISTERING = "registering"
    RATE_LIMITED = "rate_limited"
    """The next PBU waits for the rate limit."""
    LMA_SILENT = "lma_silent"
    LMA_UNREACHABLE = "lma_unreachable"
    """It used to answer heartbeats and does not any more."""
    REJECTED = "rejected"
    """Another try is due."""
    HELD = "held"
    """No try before an operator acts."""
    FORWARDING_PENDING = "forwarding_pending"
    FORWARDING_FAILED = "forwarding_failed"
    ROUTER_ADDRESS_PENDING = "router_address_pending"
    """The gateway looks for a link-local address that the node does not have."""
    DEPARTED = "departed"
    REFUSED = "refused"
    """Heard and not taken."""
    NO_POLICY = "no_policy"
    NEVER_HEARD = "never_heard"
    PREFIX_NOT_BOUND = "prefix_not_bound"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One answer."""

    reason: Reason
    has_service: bool
    sentence: str
    lifted_by: str | None = None
    """The command that an operator can end it with."""


@dataclass(frozen=True, slots=True)
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

    @property
    def node(self) -> str:
        """Its MN-Identifier as text."""
        return text_of_mn_id(self.entry.mn_id)

    @property
    def prefixes(self) -> str:
        """Its home network prefixes, in words."""
        return ", ".join(map(str, self.entry.home_network_prefixes))

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

    def last(self, what: What) -> Remark | None:
        """The newest remark of that sort."""
        return next((each for each in reversed(self.remarks) if each.what is what), None)


def explain_binding(about: Circumstances) -> Explanation:
    """Why the node of this binding has or has not service."""
    state = about.entry.state
    if state in _BY_STATE:
        return _BY_STATE[state](about)
    if not about.entry.is_forwarding:
        return _not_forwarded(about)
    if not about.entry.may_be_advertised:
        return _without_router(about)
    if state is RegistrationState.SILENT:
        return _silent(about)
    return _served(about)


def explain_departure(departure: Departure, utc: float) -> Explanation:
    """The node had a binding, and has none now."""
    node = text_of_mn_id(departure.binding.mn_id)
    how = _LOSSES.get(departure.reason, departure.reason.value)
    ago = duration(utc - departure.at)
    return Explanation(
        Reason.DEPARTED, False, f"{node} has no service: its binding ended {ago} ago, {how}."
    )


def explain_refusal(node: str, refusal: Refusal, utc: float) -> Explanation:
    """The node was heard and not taken."""
    ago = duration(utc - refusal.at)
    times = "" if refusal.count == 1 else f", {refusal.count} times by now"
    return Explanation(
        Reason.REFUSED,
        False,
        f"{node} has no service: heard on {refusal.access_interface} {ago} ago and refused"
        f"{times}: {refusal.reason}.",
    )


def explain_stranger(node: str) -> Explanation:
    """Policy would not serve it."""
    sentence = f"{node} has no service and would get none: policy has no profile for it."
    return Explanation(Reason.NO_POLICY, False, sentence)


def explain_absence(node: str, links: str, uptime_s: float) -> Explanation:
    """Policy would serve it; nobody has heard of it. links: the access links, in words."""
    return Explanation(
        Reason.NEVER_HEARD,
        False,
        f"{node} has no service: nothing was heard of it on {links} since the gateway started "
        f"{duration(uptime_s)} ago, and no access point has reported it.",
    )


def explain_free_address(address: str) -> Explanation:
    """No binding has a prefix with this address."""
    sentence = f"No node of this gateway has a home network prefix with {address} in it."
    return Explanation(Reason.PREFIX_NOT_BOUND, False, sentence)


def duration(seconds: float) -> str:
    """A time as a person says it; what is over is none."""
    seconds = max(0.0, seconds)
    if seconds < 10:  # noqa: PLR2004 - below, tenths matter
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.0f} h"


# With service


def _served(about: Circumstances) -> Explanation:
    entry = about.entry
    if entry.state is RegistrationState.REFRESHING and entry.attempts > 1:
        return Explanation(
            Reason.SERVED_UNREFRESHED,
            True,
            f"{about.node} has service {about.expires}, but {_silence(about)}; {about.next_try}.",
        )
    since = about.last(What.REGISTERED)
    registered = f", registered {duration(about.utc - since.first_at)} ago" if since else ""
    return Explanation(
        Reason.SERVED,
        True,
        f"{about.node} has service: {about.prefixes} on {entry.attachment.access_interface} "
        f"through {about.lma}{registered}, {about.expires} and refreshed before{_router(entry)}.",
    )


def _silent(about: Circumstances) -> Explanation:
    return Explanation(
        Reason.SERVED_UNTIL_EXPIRY,
        True,
        f"{about.node} has service {about.expires} and none after that: {_hold(about)}, "
        f"so it is not refreshed until an operator acts.",
        _clear(about),
    )


def _leaving(about: Circumstances) -> Explanation:
    return Explanation(
        Reason.LEAVING,
        about.entry.is_forwarding,
        f"{about.node} is leaving: {about.lma} has been told and has not answered yet; that is "
        f"waited for no longer than {duration((about.next_request_at or about.now) - about.now)}.",
    )


# Without


def _registering(about: Circumstances) -> Explanation:
    entry = about.entry
    if about.permitted_at is not None:
        wait = duration(about.permitted_at - about.now)
        sentence = f"the rate limit holds its Proxy Binding Update back for another {wait}"
        return _without_service(about, Reason.RATE_LIMITED, sentence)
    if (held_s := about.peer.updates.held_s(about.now)) > 0.0:
        sentence = (
            f"what has the address of {about.lma} does not know Mobility Headers (ICMPv6 Parameter "
            f"Problem) and is not asked for another {duration(held_s)}"
        )
        return _without_service(about, Reason.LMA_UNREACHABLE, sentence)
    if entry.binding_id in about.peer.updates:
        sentence = (
            f"its Proxy Binding Update is one of {len(about.peer.updates)} that wait for the pace "
            f"of {about.lma}, {about.peer.settings.updates_per_s} a second"
        )
        return _without_service(about, Reason.RATE_LIMITED, sentence)
    if about.peer.liveness.state is PeerState.UNREACHABLE:
        missed = about.peer.liveness.missed
        sentence = f"{about.lma} is unreachable, {missed} heartbeats in a row without an answer"
        return _without_service(about, Reason.LMA_UNREACHABLE, f"{sentence}; {about.next_try}")
    if entry.attempts > 1:
        sentence = f"{_silence(about)}; {about.next_try}"
        return _without_service(about, Reason.LMA_SILENT, sentence)
    asked = f"{about.lma} has been asked and has not answered yet; {about.next_try}"
    return _without_service(about, Reason.REGISTERING, asked)


def _rejected(about: Circumstances) -> Explanation:
    is_clock_waited_for = about.next_request_at is None and (
        about.entry.last_status == BindingStatus.TIMESTAMP_MISMATCH
    )
    next_try = "asked again as soon as our clock is in step" if is_clock_waited_for else None
    sentence = f"{_last_rejection(about)}; {next_try or about.next_try}"
    return _without_service(about, Reason.REJECTED, sentence)


def _held(about: Circumstances) -> Explanation:
    sentence = f"{_hold(about)}, so nothing is asked again until an operator acts"
    return _without_service(about, Reason.HELD, sentence, _clear(about))


def _not_forwarded(about: Circumstances) -> Explanation:
    registered = f"it is registered with {about.lma}, but the packet path"
    if about.dataplane_failure is not None:
        sentence = f"{registered} refused, and is tried again: {about.dataplane_failure}"
        return _without_service(about, Reason.FORWARDING_FAILED, sentence)
    sentence = f"{registered} has not confirmed yet"
    return _without_service(about, Reason.FORWARDING_PENDING, sentence)


def _without_router(about: Circumstances) -> Explanation:
    collided = about.entry.collided_link_local_address
    why = f": {collided} is the node's own" if collided else f", as {about.lma} has given none"
    sentence = f"its gateway looks for a link-local address{why}; that takes a second or two"
    return _without_service(about, Reason.ROUTER_ADDRESS_PENDING, sentence)


def _without_service(
    about: Circumstances, reason: Reason, because: str, lifted_by: str | None = None
) -> Explanation:
    sentence = f"{about.node} has no service: {because}."
    return Explanation(reason, False, sentence, lifted_by)


_BY_STATE: Final[Mapping[RegistrationState, Callable[[Circumstances], Explanation]]] = {
    RegistrationState.REGISTERING: _registering,
    RegistrationState.REJECTED: _rejected,
    RegistrationState.HELD: _held,
    RegistrationState.DEREGISTERING: _leaving,
}
"""States in which it is all the same whether the packet path has something of the node."""

_LOSSES: Final[Mapping[LossReason, str]] = {
    LossReason.DETACHED: "when it left its access link",
    LossReason.ABSENT: "as it did not answer any more where it was attached",
    LossReason.CLEARED: "cleared by an operator",
    LossReason.EXPIRED: "as its lifetime was over and the LMA had not extended it",
    LossReason.SUPERSEDED: "as the LMA gave its prefixes to another node",
    LossReason.RECONFIGURED: "as the changed configuration has no place for it",
    LossReason.DRAINED: "as the gateway gives up its nodes",
}


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


def _clear(about: Circumstances) -> str:
    return f"mag clear binding {about.node}"
