"""Long work in the event loop, done in steps: with many bindings nothing may stand it still."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final, TypeVar

TURN_S: Final = 0.002
"""Of the loop's time for one piece of long work; what its steps set in motion comes on top."""

_T = TypeVar("_T")


async def in_steps(items: Iterable[_T]) -> AsyncIterator[_T]:
    """Each item; now and then the loop gets its turn.

    What the items are taken from must not change meanwhile: give a copy of what may.
    """
    end = time.monotonic() + TURN_S
    for item in items:
        yield item
        if time.monotonic() >= end:
            await asyncio.sleep(0)
            end = time.monotonic() + TURN_S


def turns(steps: Iterable[object]) -> Iterator[None]:
    """Do the steps; each time this gives something the loop is to get its turn."""
    end = time.monotonic() + TURN_S
    for _ in steps:
        if time.monotonic() >= end:
            yield
            end = time.monotonic() + TURN_S
