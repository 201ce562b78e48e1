"""Python's search for cyclic garbage, kept from standing the loop still.

A full search looks at every object: half a second with 100,000 bindings, whenever their number has
grown by a quarter. Hardly anything of ours is part of a cycle, and what has survived one search is
there to stay. So each search is followed by putting what it found alive out of reach of the next
one, which then takes some milliseconds. What is put away is still freed with its last reference.
"""

import contextlib
import gc
from collections.abc import Iterator, Mapping
from typing import Any, Final

_OLDEST_GENERATION: Final = 2


@contextlib.contextmanager
def short_searches() -> Iterator[None]:
    """For as long as the context lasts."""
    gc.callbacks.append(_put_away)
    try:
        yield
    finally:
        gc.callbacks.remove(_put_away)
        gc.unfreeze()


def _put_away(phase: str, info: Mapping[str, Any]) -> None:
    if phase == "stop" and info["generation"] == _OLDEST_GENERATION:
        gc.freeze()
