"""Python's search for cyclic garbage, kept from standing the loop still.

A full search looks at every object: half a second with 100,000 bindings, whenever their number has
grown by a quarter. Hardly anything of ours is part of a cycle, and what has survived one search is
there to stay. So each search is followed by putting what it found alive out of reach of the next
one, and the next one comes soon: each object is looked at once, some thousands at a time, which
takes milliseconds. What is put away is still freed with its last reference.
"""

import contextlib
import gc
from collections.abc import Iterator, Mapping
from typing import Any, Final

_OLDEST_GENERATION: Final = 2
_THRESHOLDS: Final = (700, 5, 1)
"""New objects, then searches of the younger generation, until the next search: a full one for each
8,000 objects that stay."""


@contextlib.contextmanager
def short_searches() -> Iterator[None]:
    """For as long as the context lasts."""
    thresholds = gc.get_threshold()
    gc.callbacks.append(_put_away)
    gc.freeze()  # what has been loaded by now stays
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(_put_away)
        gc.unfreeze()


def _put_away(phase: str, info: Mapping[str, Any]) -> None:
    if phase == "stop" and info["generation"] == _OLDEST_GENERATION:
        gc.freeze()
