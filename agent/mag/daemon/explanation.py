"""Why a node has or has not service, in one sentence and with a reason that programs can read."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from mag.daemon.histories import Departure, Refusal
from mag.frozen import frozen
from mag.protocol.registration import LossReason
from mag.services.event_log import text_of_mn_id

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


class Reason(StrEnum):
    """Why; stable, for programs."""

    SERVED = "served"
    SERVED_UNREFRESHED = "served_unrefreshed"
    """In service, but the LMA does not answer the refresh."""
    SERVED_UNTIL_EXPIRY = "served_until_expiry"
    """In service until its lifetime ends, and not refreshed before an operator acts."""
    PRESENCE_IN_DOUBT = "presence_in_doubt"
    """The node is asked whether it is still there, and its LMA nothing before that is known."""
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


@frozen
class Explanation:
    """One answer."""

    reason: Reason
    has_service: bool
    sentence: str
    lifted_by: str | None = None
    """The command that an operator can end it with."""


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


_LOSSES: Final[Mapping[LossReason, str]] = {
    LossReason.DETACHED: "when it left its access link",
    LossReason.ABSENT: "as it did not answer any more where it was attached",
    LossReason.CLEARED: "cleared by an operator",
    LossReason.EXPIRED: "as its lifetime was over and the LMA had not extended it",
    LossReason.SUPERSEDED: "as the LMA gave its prefixes to another node",
    LossReason.RECONFIGURED: "as the changed configuration has no place for it",
    LossReason.DRAINED: "as the gateway gives up its nodes",
}
