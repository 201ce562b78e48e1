"""Requests of a node are taken in the order they were sent (RFC 5213 §5.5)."""

from collections.abc import Sequence
from typing import Final

from mag.lab.anchor.binding_cache import BindingCacheEntry
from mag.lab.anchor.registration_request import RegistrationRequest
from mag.protocol.ordering import TICKS_PER_S
from mag.wire.iana import BindingStatus

_SEQUENCE_MASK: Final = 0xFFFF
_SEQUENCE_WINDOW: Final = 0x8000


def ordering_refusal(
    request: RegistrationRequest,
    sessions: Sequence[BindingCacheEntry],
    utc: float,
    validity_window_s: float,
) -> BindingStatus | None:
    """The status that refuses a request that is late or whose clock is off; None: it is next.

    sessions: the node's. utc: our clock, seconds since 1970.
    """
    if request.timestamp_ticks is None:
        is_late = any(not _is_greater(request.sequence, entry.sequence) for entry in sessions)
        return BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW if is_late else None
    last = max((entry.timestamp_ticks or 0 for entry in sessions), default=0)
    if request.timestamp_ticks < last:
        return BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
    skew_s = abs(request.timestamp_ticks / TICKS_PER_S - utc)
    if request.timestamp_ticks == last or skew_s > validity_window_s:
        return BindingStatus.TIMESTAMP_MISMATCH
    return None


def _is_greater(sequence: int, last: int) -> bool:
    """RFC 6275 §9.5.1: not the last accepted number, nor one of the 32768 before it."""
    return (last - sequence) & _SEQUENCE_MASK > _SEQUENCE_WINDOW
