"""What happened to each node lately: enough to explain its state, small enough to keep for all.

Fed with the core's events. A binding that goes well has one remark about its registration, one
about its forwarding and one about all its refreshes together, some 280 octets; one in trouble has
MAX_REMARKS at most.
"""

from collections import OrderedDict
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeVar

from mag.frozen import frozen
from mag.protocol.events import (
    Binding,
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    Event,
    ForwardingInstalled,
    ProxyBindingUpdateSent,
)
from mag.protocol.registration import LossReason

MAX_REMARKS: Final = 6
"""Per binding; the oldest goes first."""
MAX_DEPARTED: Final = 1024
"""Nodes that have left, and strangers that were refused; the oldest goes first."""

RESOLUTION_S: Final = 0.1
"""Of the times in remarks."""

_FIELDS: Final = 5
"""Of a Remark."""
_Kept = TypeVar("_Kept")


class What(StrEnum):
    """What a remark is about."""

    UNANSWERED = "unanswered"
    """A PBU went out again since the one before had no answer."""
    REGISTERED = "registered"
    REFRESHED = "refreshed"
    REJECTED = "rejected"
    """By the LMA, or for what it granted or echoed; the detail says why."""
    FORWARDED = "forwarded"
    """The packet path confirmed."""


@frozen
class Remark:
    """Something that happened, once or several times in a row."""

    what: What
    detail: str
    """Kind of the PBU, or the reason of a rejection; may be empty."""
    first_at: float
    """Seconds since 1970."""
    last_at: float
    count: int = 1


@frozen
class Departure:
    """A binding that has ended."""

    at: float
    """Seconds since 1970."""
    binding: Binding
    reason: LossReason
    remarks: tuple[Remark, ...]


@frozen
class Refusal:
    """A node that was heard and got no binding."""

    at: float
    """The last time, seconds since 1970."""
    access_interface: str
    reason: str
    count: int


class Histories:
    """Remarks by binding, departures by MN-Identifier, refusals by link-layer address."""

    KINDS: ClassVar[tuple[type[Event], ...]] = (
        ProxyBindingUpdateSent,
        BindingEstablished,
        BindingRefreshed,
        BindingRejected,
        ForwardingInstalled,
        BindingLost,
    )
    """Of events that are of interest here."""

    def __init__(self) -> None:
        self._remarks: dict[int, tuple[Any, ...]] = {}
        """By binding, the fields of its remarks one behind the other: as objects they would take
        twice the memory, and hardly any is ever read."""
        self._moment = 0.0
        """Of the last event; shared by those that come in the same tenth of a second."""
        self._departures: OrderedDict[bytes, Departure] = OrderedDict()
        self._refusals: OrderedDict[bytes, Refusal] = OrderedDict()

    def take(self, event: Event, at: float) -> None:
        """Something happened at `at`, seconds since 1970."""
        match event:
            case ProxyBindingUpdateSent(binding=binding, kind=kind, attempt=attempt):
                if attempt > 1:
                    self._remark(binding, What.UNANSWERED, kind.value, at)
            case BindingEstablished(binding):
                self._remark(binding, What.REGISTERED, "", at)
            case BindingRefreshed(binding):
                self._remark(binding, What.REFRESHED, "", at)
            case BindingRejected(binding=binding, reason=reason):
                self._remark(binding, What.REJECTED, reason, at)
            case ForwardingInstalled(binding):
                self._remark(binding, What.FORWARDED, "", at)
            case BindingLost(binding, reason):
                departure = Departure(at, binding, reason, self.of(binding.binding_id))
                self._remarks.pop(binding.binding_id, None)
                _keep(self._departures, binding.mn_id, departure)

    def refused(
        self, access_interface: str, mn_link_layer_address: bytes, reason: str, at: float
    ) -> None:
        """A node was heard and is not served."""
        before = self._refusals.get(mn_link_layer_address)
        count = 1 if before is None else before.count + 1
        refusal = Refusal(at, access_interface, reason, count)
        _keep(self._refusals, mn_link_layer_address, refusal)

    def of(self, binding_id: int) -> tuple[Remark, ...]:
        """What happened to a binding, oldest first."""
        fields = self._remarks.get(binding_id, ())
        return tuple(
            Remark(*fields[start : start + _FIELDS]) for start in range(0, len(fields), _FIELDS)
        )

    def departure_of(self, mn_id: bytes) -> Departure | None:
        """How a node's last binding ended, if that is remembered."""
        return self._departures.get(mn_id)

    def refusal_of(self, mn_link_layer_address: bytes) -> Refusal | None:
        """Why a node was not served when it was heard last, if that is remembered."""
        return self._refusals.get(mn_link_layer_address)

    def _remark(self, binding: Binding, what: What, detail: str, at: float) -> None:
        if not 0.0 <= at - self._moment < RESOLUTION_S:
            self._moment = at
        at = self._moment
        fields = self._remarks.get(binding.binding_id, ())
        if fields[-_FIELDS:-3] == (what, detail):
            fields = (*fields[:-2], at, fields[-1] + 1)
        else:
            fields = (*fields, what, detail, at, at, 1)[-MAX_REMARKS * _FIELDS :]
        self._remarks[binding.binding_id] = fields


def _keep(kept: OrderedDict[bytes, _Kept], key: bytes, value: _Kept) -> None:
    """The newest last; no more than MAX_DEPARTED."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MAX_DEPARTED:
        kept.popitem(last=False)
