"""Notices by itself when something else has taken away what is ours in the packet path."""

import asyncio
import contextlib
from asyncio import sleep
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

import structlog

from mag.dataplane.base import DataplaneError, Disturbance
from mag.services.event_log import Level, LogEntry

RETRY_S: Final = 1.0
PAUSE_S: Final = 0.1
MOST_PAUSES: Final = 20
"""What is heard is answered after a pause in which nothing more was, or after so many: a burst of
deletions is compared and put back once."""

_log = structlog.get_logger()


class PacketPathWatch:
    """Listens where the packet path tells of changes, and looks now and then; has it put back."""

    def __init__(
        self,
        *,
        losses: Callable[[], Awaitable[Sequence[str]]],
        disturbances: Callable[[], AsyncGenerator[Disturbance, None]] | None,
        interval_s: Callable[[], float],
        doubt: Callable[[], bool],
        note: Callable[[LogEntry], None],
    ) -> None:
        """losses: a look at what all bindings share. disturbances: None for a path that is silent.

        interval_s: from one look to the next. doubt: has everything compared and put back;
        False if it was about to be.
        """
        self.noticed: Counter[str] = Counter()
        """Losses, by how they were noticed: heard, or seen with a look."""
        self._heard: set[Disturbance] = set()
        self._is_news = asyncio.Event()
        self._trouble = ""
        """Why nothing could be heard last; said once."""
        self._losses = losses
        self._disturbances = disturbances
        self._interval_s = interval_s
        self._doubt = doubt
        self._note = note

    async def look_now_and_then(self) -> None:
        """Until cancelled."""
        while True:
            await sleep(self._interval_s())
            await self._look("seen")

    async def listen(self) -> None:
        """Until cancelled; at once over where nothing can be heard."""
        if self._disturbances is None:
            return
        while True:
            try:
                async with contextlib.aclosing(self._disturbances()) as disturbances:
                    async for disturbance in disturbances:
                        self._heard.add(disturbance)
                        self._is_news.set()
            except DataplaneError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    _log.error("packet_path_watch_failed", reason=self._trouble)
            await sleep(RETRY_S)

    async def answer(self) -> None:
        """What is heard, until cancelled."""
        while True:
            await self._is_news.wait()
            for _ in range(MOST_PAUSES):
                self._is_news.clear()
                await sleep(PAUSE_S)
                if not self._is_news.is_set():
                    break
            heard, self._heard = self._heard, set()
            if Disturbance.BINDINGS in heard:
                self._lost("heard", ["routes, neighbours or filters of bindings"])
            else:
                await self._look("heard")

    async def _look(self, how: str) -> None:
        try:
            lost = await self._losses()
        except DataplaneError:
            return  # a path that is away is told of elsewhere
        if lost:
            self._lost(how, lost)

    def _lost(self, how: str, what: Sequence[str]) -> None:
        if not self._doubt():
            return  # one of many deletions
        self.noticed[how] += 1
        facts = {"lost": list(what), "noticed": how}
        self._note(LogEntry("packet_path_disturbed", Level.WARNING, facts))
