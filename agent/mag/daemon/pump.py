"""Feed, drain, send, re-arm one timer: where the core meets time and the network."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from mag.protocol.events import Event
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.journal.base import Journal
from mag.services.mobility_transport import MobilityTransport

CONGESTED_TURN_S: Final = 0.05
"""While nothing more can be sent: the shortest time between two looks at what else is due."""


class Pump:
    """Drives one core in the running loop.

    Whoever gives the core an input calls `wake`; inputs of one loop turn are drained together.
    Nothing is sent before the journal has what it rests on: what an LMA knows of us, we know
    after a crash. Nothing is sent again while its answer may have arrived, or the first of it has
    not left: overload would make more work of itself.
    """

    def __init__(
        self,
        core: MobileAccessGateway,
        transport: MobilityTransport,
        journal: Journal,
        dispatch: Callable[[Event], None],
    ) -> None:
        """dispatch: turns an event into its effects; it must not wait and not call the core."""
        self._core = core
        self._transport = transport
        self._journal = journal
        self._dispatch = dispatch
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due_at: float | None = None
        """When the timer calls."""
        self._is_scheduled = False
        transport.on_room(self.wake)

    def now(self) -> float:
        """The core's clock: monotonic seconds."""
        return self._loop.time()

    def wake(self) -> None:
        """Drain the core before the loop does anything else that can wait."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.run)

    def close(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def run(self) -> None:
        """Drain the core now: send what is to be sent, set in motion what events ask for."""
        self._is_scheduled = False
        try:
            if self._due_at is not None and self._due_at <= self.now():
                self._transport.catch_up()
            now, utc = self.now(), time.time()
            self._core.handle_timer(now)
            # What is not built yet costs nothing, keeps its place, and leaves with newer numbers.
            is_held = self._transport.is_congested
            messages = [] if is_held else self._core.messages_to_send(now, utc)
            self._journal.note(self._core.changes_to_store(now, utc))
            if messages:
                self._journal.when_written(partial(self._send, messages))
            self._tell()
        finally:
            self._rearm()

    def tell(self) -> None:
        """Set in motion what events ask for, while time stands still for the core."""
        self._journal.note(self._core.changes_to_store(self.now(), time.time()))
        self._tell()

    def _tell(self) -> None:
        for event in self._core.events():
            self._dispatch(event)

    def _send(self, messages: list[OutgoingMessage]) -> None:
        for message in messages:
            self._transport.send(message.data, message.destination, message.next_header)

    def _rearm(self) -> None:
        due_at = self._core.get_timer()
        if due_at is not None and self._transport.is_congested:
            due_at = max(due_at, self.now() + CONGESTED_TURN_S)
        if due_at == self._due_at and self._timer is not None:
            return
        self.close()
        self._due_at = due_at
        if due_at is not None:
            self._timer = self._loop.call_at(due_at, self._timer_due)

    def _timer_due(self) -> None:
        self._timer = None
        self.wake()
