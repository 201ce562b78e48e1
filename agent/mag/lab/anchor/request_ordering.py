"""Requests are taken in the order they were sent (RFC 5213 §5.5).

Timestamps order all requests of a node; sequence numbers those of one mobility session."""

from collections.abc import Sequence

from mag.lab.anchor.binding_cache import BindingCacheEntry
from mag.lab.anchor.registration_request import RegistrationRequest
from mag.protocol.ordering import TICKS_PER_S, is_greater_sequence
from mag.wire.iana import BindingStatus


def ordering_refusal(
    request: RegistrationRequest,
    session: BindingCacheEntry | None,
    sessions: Sequence[BindingCacheEntry],
    utc: float,
    validity_window_s: float,
) -> BindingStatus | None:
    """The status that refuses a request that is late or whose clock is off; None: it is next.

    session: the one that the request is about, None if it makes a new one. sessions: all of the
    node. utc: our clock, seconds since 1970.
    """
    if request.timestamp_ticks is None:
        if session is None or is_greater_sequence(request.sequence, session.sequence):
            return None
        return BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW
    last = max((entry.timestamp_ticks or 0 for entry in sessions), default=0)
    if request.timestamp_ticks < last:
        return BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    skew_s = abs(request.timestamp_ticks / TICKS_PER_S - utc)
    if request.timestamp_ticks == last or skew_s > validity_window_s:
        return BindingStatus.TIMESTAMP_MISMATCH
    return None
