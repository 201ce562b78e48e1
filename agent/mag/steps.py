"""Long work in the event loop, done in steps: with many bindings nothing may stand it still."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

AT_ONCE: Final = 500
"""Steps in one turn of the loop; each is to cost some microseconds."""

_T = TypeVar("_T")


async def in_steps(items: Iterable[_T]) -> AsyncIterator[_T]:
    """Each item; after so many of them the loop gets its turn.

    What the items are taken from must not change meanwhile: give a copy of what may.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
