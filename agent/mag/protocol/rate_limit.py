"""A token bucket with time as an argument."""

from typing import Final

_ROUNDING: Final = 1e-3
"""A token may be short of this much when its moment has come: such is arithmetic with seconds.
What was short is paid by the next one, so that the rate is kept."""


class TokenBucket:
    """At most `burst` at once and `per_s` on average."""

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at = 0.0

    def reconfigure(self, *, per_s: float, burst: int) -> None:
        """Go on with this pace; what is in the bucket stays as far as there is room for it."""
        self._per_s = per_s
        self._burst = float(burst)
        self._tokens = min(self._tokens, self._burst)

    @property
    def ready_at(self) -> float | None:
        """Monotonic seconds when there will be a token again; None: there was one left."""
        if self._has_token:
            return None
        return self._filled_at + (1.0 - self._tokens) / self._per_s

    def take(self, now: float) -> bool:
        """Take one token; False if there is none. `now`: monotonic seconds."""
        elapsed = max(0.0, now - self._filled_at)
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_s)
        self._filled_at = now
        if not self._has_token:
            return False
        self._tokens -= 1.0
        return True

    @property
    def _has_token(self) -> bool:
        return self._tokens >= 1.0 - _ROUNDING
