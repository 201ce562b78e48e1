"""The `router_advertisement` section: RFC 4861 §6.2.1 variables with its bounds."""

from typing import Annotated, Final

from pydantic import ValidationInfo, field_validator

from mag.config.refusal import refusal
from mag.config.section import Section
from mag.config.values import Between, Switch
from mag.protocol.settings import RouterAdvertisementSettings

_DEFAULTS: Final = RouterAdvertisementSettings()
_SMALLEST_MIN_INTERVAL_S: Final = 3.0
_MAX_MIN_INTERVAL_PART: Final = 0.75
_MIN_INTERVAL_PART: Final = _DEFAULTS.min_interval_s / _DEFAULTS.max_interval_s
_ROUTER_LIFETIME_INTERVALS: Final = _DEFAULTS.router_lifetime_s / _DEFAULTS.max_interval_s

_Milliseconds = Annotated[int, Between(0, 2**32 - 1)]
_PrefixLifetime = Annotated[int, Between(0, 2**32 - 1)]


class RouterAdvertisementSection(Section):
    """What Router Advertisements say; None: follows from the key it is bound to."""

    max_interval_s: Annotated[float, Between(4, 1800)] = _DEFAULTS.max_interval_s
    min_interval_s: Annotated[float, Between(_SMALLEST_MIN_INTERVAL_S, 1350)] | None = None
    router_lifetime_s: Annotated[int, Between(0, 9000)] | None = None
    cur_hop_limit: Annotated[int, Between(0, 255)] = _DEFAULTS.cur_hop_limit
    reachable_time_ms: Annotated[int, Between(0, 3_600_000)] = _DEFAULTS.reachable_time_ms
    retrans_timer_ms: _Milliseconds = _DEFAULTS.retrans_timer_ms
    valid_lifetime_s: _PrefixLifetime = _DEFAULTS.valid_lifetime_s
    preferred_lifetime_s: _PrefixLifetime | None = None
    prefixes_live_with_binding: Switch = _DEFAULTS.prefixes_live_with_binding
    """Prefixes are valid no longer than the binding is (RFC 5213 §6.7)."""

    @field_validator("min_interval_s")
    @classmethod
    def _min_is_well_below_max(cls, value: float, info: ValidationInfo) -> float:
        maximum = info.data.get("max_interval_s")
        if maximum is not None and value > _MAX_MIN_INTERVAL_PART * maximum:
            part = f"{_MAX_MIN_INTERVAL_PART} of max_interval_s ({maximum:g})"
            raise refusal(f"{value:g} is more than {part} (RFC 4861 §6.2.1)")
        return value

    @field_validator("router_lifetime_s")
    @classmethod
    def _router_outlives_interval(cls, value: int, info: ValidationInfo) -> int:
        maximum = info.data.get("max_interval_s")
        if maximum is not None and 0 < value < maximum:
            least = f"max_interval_s ({maximum:g})"
            raise refusal(f"{value} is neither 0 nor at least {least} (RFC 4861 §6.2.1)")
        return value

    @field_validator("preferred_lifetime_s")
    @classmethod
    def _preferred_is_within_valid(cls, value: int, info: ValidationInfo) -> int:
        valid = info.data.get("valid_lifetime_s")
        if valid is not None and value > valid:
            raise refusal(f"{value} is more than valid_lifetime_s ({valid}) (RFC 4861 §6.2.1)")
        return value

    def settings(self) -> RouterAdvertisementSettings:
        """The protocol's form, with what was left open filled in."""
        return RouterAdvertisementSettings(
            max_interval_s=self.max_interval_s,
            min_interval_s=self._effective_min_interval_s(),
            router_lifetime_s=self._effective_router_lifetime_s(),
            cur_hop_limit=self.cur_hop_limit,
            reachable_time_ms=self.reachable_time_ms,
            retrans_timer_ms=self.retrans_timer_ms,
            valid_lifetime_s=self.valid_lifetime_s,
            preferred_lifetime_s=self._effective_preferred_lifetime_s(),
            prefixes_live_with_binding=self.prefixes_live_with_binding,
        )

    def _effective_min_interval_s(self) -> float:
        if self.min_interval_s is not None:
            return self.min_interval_s
        return max(_SMALLEST_MIN_INTERVAL_S, _MIN_INTERVAL_PART * self.max_interval_s)

    def _effective_router_lifetime_s(self) -> int:
        if self.router_lifetime_s is not None:
            return self.router_lifetime_s
        return round(_ROUTER_LIFETIME_INTERVALS * self.max_interval_s)

    def _effective_preferred_lifetime_s(self) -> int:
        if self.preferred_lifetime_s is not None:
            return self.preferred_lifetime_s
        return min(_DEFAULTS.preferred_lifetime_s, self.valid_lifetime_s)
