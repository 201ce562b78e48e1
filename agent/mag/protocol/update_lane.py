"""The way of Proxy Binding Updates to one LMA: who goes next, and when (INT-08)."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from mag.protocol.lma_settings import LmaSettings
from mag.protocol.rate_limit import TokenBucket

URGENT_IN_A_ROW: Final = 3
"""While others wait, too: a storm of newcomers does not cost those their lifetime."""


class UpdateLane:
    """Bindings whose PBU waits to go to the LMA, in order, each once.

    First registrations, handoffs and de-registrations are urgent: somebody has no service, or
    holds what others could have. They overtake refreshes, of which one after each
    URGENT_IN_A_ROW still goes.
    """

    def __init__(self, settings: LmaSettings) -> None:
        self._bucket = TokenBucket(per_s=settings.updates_per_s, burst=settings.update_burst)
        self._urgent: OrderedDict[int, None] = OrderedDict()
        self._others: OrderedDict[int, None] = OrderedDict()
        self._urgent_in_a_row = 0
        self._held_until: float | None = None

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others)

    def __contains__(self, binding_id: object) -> bool:
        return binding_id in self._urgent or binding_id in self._others

    def reconfigure(self, settings: LmaSettings) -> None:
        """Go on at this pace, also with those that wait."""
        self._bucket.reconfigure(per_s=settings.updates_per_s, burst=settings.update_burst)

    def add(self, binding_id: int, *, is_urgent: bool) -> None:
        """The binding's PBU is to go out; one that waits keeps its place."""
        queue, other = self._urgent, self._others
        if not is_urgent:
            queue, other = other, queue
        other.pop(binding_id, None)
        queue[binding_id] = None

    def remove(self, binding_id: int) -> None:
        """It is not to go out any more; one that does not wait is no error."""
        self._urgent.pop(binding_id, None)
        self._others.pop(binding_id, None)

    def hold(self, until: float) -> None:
        """Give none before that moment, however many wait."""
        self._held_until = until

    def release(self) -> None:
        """Hold them no longer."""
        self._held_until = None

    def is_held(self, now: float) -> bool:
        """Whether nothing goes to the LMA, whatever waits."""
        return self.held_s(now) > 0.0

    def held_s(self, now: float) -> float:
        """For how long nothing goes to the LMA; 0 if it does."""
        return 0.0 if self._held_until is None else max(0.0, self._held_until - now)

    def take(self, now: float) -> Iterator[int]:
        """Those that may go now; each is out of the lane when it is given."""
        if self.is_held(now):
            return
        self._held_until = None
        while (self._urgent or self._others) and self._bucket.take(now):
            yield self._next()

    def get_timer(self) -> float | None:
        """When the next one may go; None if none has to wait."""
        if not len(self):
            return None
        return self._bucket.ready_at if self._held_until is None else self._held_until

    def _next(self) -> int:
        is_turn_of_others = self._others and self._urgent_in_a_row >= URGENT_IN_A_ROW
        if not self._urgent or is_turn_of_others:
            self._urgent_in_a_row = 0
            return self._others.popitem(last=False)[0]
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if self._others else 0
        return self._urgent.popitem(last=False)[0]
