"""Telling that an LMA's quirks made a difference: they are off by default and never silent."""

from collections.abc import Callable, Iterable

from mag.protocol.events import Event, QuirkApplied
from mag.protocol.lma_peer import LmaPeer


def note_quirks(peer: LmaPeer, quirks: Iterable[str], emit: Callable[[Event], None]) -> None:
    """Count each use of one of the LMA's quirks, and tell the first time."""
    for quirk in quirks:
        if peer.apply_quirk(quirk):
            emit(QuirkApplied(peer.address, quirk))
