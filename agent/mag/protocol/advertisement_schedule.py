"""When Router Advertisements to a node are due, and how long its prefixes live (RFC 4861 §6.2)."""

import random
from typing import Final

from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.settings import RouterAdvertisementSettings

MAX_INITIAL_RTR_ADVERT_INTERVAL_S: Final = 16.0
MAX_INITIAL_RTR_ADVERTISEMENTS: Final = 3
MAX_RA_DELAY_TIME_S: Final = 0.5
MIN_DELAY_BETWEEN_RAS_S: Final = 3.0


class AdvertisementSchedule:
    """Draws the waits; keeps no state of any node."""

    def __init__(self, settings: RouterAdvertisementSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng

    def reconfigure(self, settings: RouterAdvertisementSettings) -> None:
        """Draw from these bounds from now on."""
        self._settings = settings

    @property
    def prefixes_live_with_binding(self) -> bool:
        """Whether a node hears at each refresh that its prefixes live on (RFC 5213 §6.7)."""
        return self._settings.prefixes_live_with_binding

    def prefix_lifetimes_s(self, profile: PolicyProfile, binding_left_s: float) -> tuple[int, int]:
        """Valid and preferred lifetime of a node's prefixes: its own, or the domain's.

        binding_left_s: what is left of its binding's lifetime.
        """
        valid_s = profile.prefix_lifetime_s
        if valid_s is None:
            valid_s = self._settings.valid_lifetime_s
        if self.prefixes_live_with_binding:
            valid_s = min(valid_s, max(0, int(binding_left_s)))
        return valid_s, min(valid_s, self._settings.preferred_lifetime_s)

    def until_next_s(self, already_sent: int) -> float:
        """The wait after an advertisement; the first few follow each other closely."""
        interval = self._rng.uniform(self._settings.min_interval_s, self._settings.max_interval_s)
        if already_sent < MAX_INITIAL_RTR_ADVERTISEMENTS:
            return min(interval, MAX_INITIAL_RTR_ADVERT_INTERVAL_S)
        return interval

    def resumed_delay_s(self) -> float:
        """The wait, after the gateway's start, before a node from before it hears of it again."""
        return self._rng.uniform(0.0, self._settings.min_interval_s)

    def solicited_delay_s(self) -> float:
        """The wait before answering a Router Solicitation of a node that has its prefixes."""
        return self._rng.uniform(0.0, MAX_RA_DELAY_TIME_S)
