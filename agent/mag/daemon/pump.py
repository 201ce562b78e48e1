"""Feed, drain, send, re-arm one timer: where the core meets time and the network."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from mag.protocol.events import Event
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.journal.base import Journal
from mag.services.mobility_transport import MobilityTransport


class Pump:
    """Drives one core in the running loop.

    Whoever gives the core an input calls `wake`; inputs of one loop turn are drained together.
    Nothing is sent before the journal has what it rests on: what an LMA knows of us, we know
    after a crash.
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
        self._is_scheduled = False

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
            now, utc = self.now(), time.time()
            self._core.handle_timer(now)
            messages = self._core.messages_to_send(now, utc)
            self._journal.note(self._core.changes_to_store(now, utc))
            if messages:
                self._journal.when_written(partial(self._send, messages))
            for event in self._core.events():
                self._dispatch(event)
        finally:
            self._rearm()

    def _send(self, messages: list[OutgoingMessage]) -> None:
        for message in messages:
            self._transport.send(message.data, message.destination, message.next_header)

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._core.get_timer()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self.wake)
