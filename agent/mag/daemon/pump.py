"""Feed, drain, send, re-arm one timer: where the core meets time and the network."""

import asyncio
import time
from collections.abc import Callable

from mag.protocol.events import Event
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.services.mobility_transport import MobilityTransport


class Pump:
    """Drives one core in the running loop.

    Whoever gives the core an input calls `wake`; inputs of one loop turn are drained together.
    """

    def __init__(
        self,
        core: MobileAccessGateway,
        transport: MobilityTransport,
        dispatch: Callable[[Event], None],
    ) -> None:
        """dispatch: turns an event into its effects; it must not wait and not call the core."""
        self._core = core
        self._transport = transport
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
            self._core.handle_timer(self.now())
            for message in self._core.messages_to_send(self.now(), time.time()):
                self._transport.send(message.data, message.destination)
            for event in self._core.events():
                self._dispatch(event)
        finally:
            self._rearm()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._core.get_timer()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self.wake)
