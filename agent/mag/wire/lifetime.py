"""Lifetimes on the wire: units of four seconds in 16 bits (RFC 6275 §6.1.7)."""

from typing import Final

LIFETIME_UNIT_S: Final = 4
MAX_LIFETIME_S: Final = 0xFFFF * LIFETIME_UNIT_S


def lifetime_from_units(units: int) -> int:
    """Seconds."""
    return units * LIFETIME_UNIT_S


def lifetime_to_units(lifetime_s: int) -> int:
    """Wire units. Raises ValueError unless seconds are a multiple of 4 from 0 to 262140."""
    if not 0 <= lifetime_s <= MAX_LIFETIME_S or lifetime_s % LIFETIME_UNIT_S:
        raise ValueError(f"{lifetime_s} s is no lifetime: a multiple of 4 up to {MAX_LIFETIME_S}")
    return lifetime_s // LIFETIME_UNIT_S
