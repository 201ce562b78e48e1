"""The agent's one client of VPP's binary API: connects, asks, hears events, connects again."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.connection import Connection, EventHandler
from mag.dataplane.vpp.definitions import MessageDefinitions
from mag.dataplane.vpp.errors import VppLostError, VppRefusedError, VppUnreachableError

DEFAULT_API_SOCKET: Final = "/run/vpp/api.sock"
DEFAULT_TIMEOUT_S: Final = 5.0
DEFAULT_WINDOW: Final = 64
"""Requests under way at once; more wait their turn."""
FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 0.25
"""VPP is a local socket: asking often costs little, and every node waits for it."""
_NOT_CONNECTED: Final = "not connected"


class VppClient:
    """All calls to one VPP; they raise VppLostError while it is away."""

    def __init__(
        self,
        api_socket: str = DEFAULT_API_SOCKET,
        *,
        name: str = "mag",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        window: int = DEFAULT_WINDOW,
    ) -> None:
        """name: what `show api clients` shows. timeout_s: longest time for each call."""
        self.api_socket = api_socket
        self.sessions = 0
        """Connections made so far; a new number means a VPP that may know nothing of us."""
        self._name = name
        self._timeout_s = timeout_s
        self._window = window
        self._definitions: MessageDefinitions | None = None
        self._connection: Connection | None = None
        self._absence = _NOT_CONNECTED
        self._unexpected_before = 0
        self._event_handlers: defaultdict[str, list[EventHandler]] = defaultdict(list)

    @property
    def is_connected(self) -> bool:
        """Whether calls have a chance now."""
        return self._connection is not None and not self._connection.ended.done()

    @property
    def times_lost(self) -> int:
        """How many of the connections have ended by themselves."""
        return self.sessions - self.is_connected

    @property
    def absence(self) -> str:
        """Why there is no connection; empty if there is one."""
        if self._connection is None:
            return self._absence
        return self._connection.ended.result() if self._connection.ended.done() else ""

    @property
    def unexpected(self) -> int:
        """Messages that answered nothing we waited for, over all connections."""
        now = self._connection.unexpected if self._connection is not None else 0
        return self._unexpected_before + now

    async def connect(self) -> None:
        """Connect once, unless connected.

        Raises VppUnreachableError, VppIncompatibleError, VppTimeoutError or VppLostError; VPP is
        as it was then.
        """
        if self.is_connected:
            return
        await self.close()
        self._definitions = self._definitions or MessageDefinitions()
        try:
            self._connection = await Connection.open(
                self.api_socket,
                self._name,
                self._definitions,
                timeout_s=self._timeout_s,
                window=self._window,
                event_handlers=self._event_handlers,
            )
        except OSError as error:
            self._absence = _unreachable_reason(error)
            raise VppUnreachableError("connect", self._absence, target=self.api_socket) from error
        self.sessions += 1

    async def close(self) -> None:
        """End the connection. What we made in VPP stays; event registrations go."""
        self._absence = self.absence or _NOT_CONNECTED
        connection, self._connection = self._connection, None
        if connection is not None:
            self._unexpected_before += connection.unexpected
            await connection.close()

    async def lost(self) -> str:
        """Wait until there is no connection; why."""
        if self._connection is None:
            return _NOT_CONNECTED
        return await asyncio.shield(self._connection.ended)

    def on_event(self, message: str, handler: EventHandler) -> None:
        """Have the handler called with every such event, over all connections to come.

        VPP sends events only to clients that asked it to, on each connection anew.
        """
        self._event_handlers[message].append(handler)

    async def call(
        self, message: str, *, target: str = "", settled: tuple[int, ...] = (), **fields: Any
    ) -> Any:
        """Send a message, give back its reply.

        target: the object, for the error. settled: return values that mean it is so already.
        Raises VppRefusedError for other negative return values, VppLostError, VppTimeoutError.
        """
        reply = await self._connected(message).request(message, **fields)
        if reply.retval < 0 and reply.retval not in settled:
            raise VppRefusedError(message, reply.retval, target=target)
        return reply

    async def call_packed(self, message: str, body: bytes) -> bytes:
        """Send a message packed by hand, from its fourth field on; the reply, unpacked by none."""
        return await self._connected(message).request_packed(message, body)

    async def dump(self, message: str, **fields: Any) -> list[Any]:
        """All details that a dump brings. Raises VppLostError or VppTimeoutError."""
        return await self._connected(message).dump(message, **fields)

    async def stream(self, message: str, **fields: Any) -> tuple[Any, list[bytes]]:
        """A request whose reply follows details: the reply, and the details still packed."""
        return await self._connected(message).stream(message, **fields)

    def _connected(self, message: str) -> Connection:
        if self._connection is None:
            raise VppLostError(message, _NOT_CONNECTED)
        return self._connection


async def keep_connected(
    client: VppClient,
    restore: Callable[[], Awaitable[None]],
    *,
    lost: Callable[[str], None],
    failed: Callable[[DataplaneError], None],
    restored: Callable[[], None],
) -> None:
    """Whenever VPP goes, wait for it and put everything back; until cancelled.

    restore: connects and rebuilds; raises DataplaneError to be called again a little later.
    lost: told why. failed: told of each attempt that failed. restored: all is back.
    """
    while True:
        lost(await client.lost())
        delay_s = FIRST_RETRY_S
        while True:
            try:
                await restore()
                break
            except DataplaneError as error:
                failed(error)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, LAST_RETRY_S)
        restored()


def _unreachable_reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket: VPP does not run, or its socksvr is elsewhere"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens: VPP does not run any more"
    if isinstance(error, PermissionError):
        return "may not write to the socket: the agent's user must be in VPP's group"
    return error.strerror or str(error)
