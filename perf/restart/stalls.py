"""How long the loop is kept from its next turn."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

_INTERVAL_S: Final = 0.001


@dataclass(slots=True)
class Stalls:
    """What a watch has seen so far."""

    longest_s: float = 0.0
    """By which a turn of the loop came late."""

    @property
    def longest_ms(self) -> float:
        """The same in milliseconds."""
        return 1000 * self.longest_s


@contextlib.asynccontextmanager
async def watch_stalls() -> AsyncIterator[Stalls]:
    """Look at the running loop every millisecond until the context ends."""
    stalls = Stalls()
    watch = asyncio.create_task(_watch(stalls))
    try:
        await asyncio.sleep(0)
        yield stalls
        await asyncio.sleep(_INTERVAL_S)  # what stood still until now is seen as well
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def _watch(stalls: Stalls) -> None:
    while True:
        begun = time.monotonic()
        await asyncio.sleep(_INTERVAL_S)
        stalls.longest_s = max(stalls.longest_s, time.monotonic() - begun - _INTERVAL_S)
