"""One connection to VPP's API socket, from the handshake until VPP or we end it.

vpp-papi packs and unpacks. Its asyncio client is not used to read: in 2.4.2 the first event ends
its reader, and at the end of a connection its callers wait for ever.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final, Self

from mag.dataplane.vpp.compatibility import REQUIRED_MESSAGES, check_messages
from mag.dataplane.vpp.definitions import (
    SOCKET_CREATE,
    SOCKET_CREATE_REPLY,
    MessageDefinitions,
)
from mag.dataplane.vpp.errors import VppIncompatibleError, VppLostError, VppTimeoutError

EventHandler = Callable[[Any], None]

_FRAME_HEADER: Final = Struct("!QII")
"""Queue, length of the message, time stamp: only the length means anything on a socket."""
_REPLY_HEADER: Final = Struct("!HI")
"""Message id and context."""
_MESSAGE_ID: Final = Struct("!H")
_REQUEST_HEADER: Final = Struct("!HII")
"""Message id, client index, context."""
_SOCKET_CREATE_ID: Final = 15
_SOCKET_CREATE_REPLY_ID: Final = 16
_LARGEST_MESSAGE: Final = 64 << 20
_FIRST_CONTEXT: Final = 1
_CONTEXT_LIMIT: Final = 1 << 32
_READ_BUFFER_OCTETS: Final = 1 << 18


@dataclass(slots=True)
class _Pending:
    """A request under way."""

    last_message_id: int
    answer: asyncio.Future[bytes]
    details: list[bytes] = field(default_factory=list)


class Connection:
    """Requests out, replies matched by their context, events to their handlers."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        timeout_s: float,
        window: int,
        event_handlers: Mapping[str, list[EventHandler]],
    ) -> None:
        """window: most requests under way. event_handlers: by message name; may change."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done with the reason when the connection is no more."""
        self.unexpected = 0
        """Messages that answer nothing we wait for: mostly answers after their time-out."""
        self._reader, self._writer = streams
        self._timeout_s = timeout_s
        self._window = asyncio.Semaphore(window)
        self._event_handlers = event_handlers
        self._client_index = 0
        self._context = _FIRST_CONTEXT
        self._pending: dict[int, _Pending] = {}
        self._table: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._layouts: dict[int, Any] = {}
        self._names: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: str,
        client_name: str,
        definitions: MessageDefinitions,
        *,
        timeout_s: float,
        window: int,
        event_handlers: Mapping[str, list[EventHandler]],
    ) -> Self:
        """Connect, check that this is a VPP we can work with, learn its messages.

        Raises OSError, VppIncompatibleError, VppTimeoutError or VppLostError; nothing is changed
        on VPP by any of it.
        """
        streams = await asyncio.open_unix_connection(path, limit=_READ_BUFFER_OCTETS)
        self = cls(streams, timeout_s=timeout_s, window=window, event_handlers=event_handlers)
        try:
            async with _limited("connect", timeout_s):
                await self._introduce(client_name, definitions)
            check_messages(self._table)
            self._task = asyncio.create_task(self._read_messages())
            await self._learn(definitions)
        except BaseException:
            await self.close("could not be set up")
            raise
        return self

    def layout(self, name: str) -> Any:
        """vpp-papi's packer of a message."""
        return self._layouts[self._ids[name]]

    async def request(self, name: str, **fields: Any) -> Any:
        """Send a message and unpack its reply. Raises VppTimeoutError or VppLostError."""
        answer = await self._exchange(name, self._body(name, fields))
        return self._unpack(answer)

    async def request_packed(self, name: str, body: bytes) -> bytes:
        """Send a message packed by hand, without its first three fields; the reply as it came."""
        return (await self._exchange(name, body)).answer.result()

    async def dump(self, name: str, **fields: Any) -> list[Any]:
        """Send a dump; its details, unpacked. Raises VppTimeoutError or VppLostError."""
        pending = await self._exchange(name, self._body(name, fields), ping=True)
        return [self._unpack_octets(octets) for octets in pending.details]

    async def stream(self, name: str, **fields: Any) -> tuple[Any, list[bytes]]:
        """Send a request that is answered with details and a reply: the reply, details packed."""
        pending = await self._exchange(name, self._body(name, fields))
        return self._unpack(pending), pending.details

    async def close(self, reason: str = "closed by us") -> None:
        """End the connection; whoever waits for an answer gets VppLostError."""
        self._end(reason)
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    # Set-up

    async def _introduce(self, client_name: str, definitions: MessageDefinitions) -> None:
        request = definitions.bootstrap(SOCKET_CREATE)
        octets = request.pack({"_vl_msg_id": _SOCKET_CREATE_ID, "name": client_name, "context": 0})
        self._writer.write(_framed(octets))
        try:
            answer = await self._read_message()
        except asyncio.IncompleteReadError:
            raise VppLostError("connect", "VPP closed the connection") from None
        (message_id,) = _MESSAGE_ID.unpack_from(answer)
        if message_id != _SOCKET_CREATE_REPLY_ID:
            raise VppIncompatibleError("connect", f"answered with message {message_id}")
        reply, _ = definitions.bootstrap(SOCKET_CREATE_REPLY).unpack(answer)
        self._client_index = reply.index
        self._table = {entry.name: entry.index for entry in reply.message_table}
        self._use(definitions)

    async def _learn(self, definitions: MessageDefinitions) -> None:
        if not definitions.knows(REQUIRED_MESSAGES):
            reply = await self.request("get_api_json")
            definitions.learn(reply.json)
            self._use(definitions)

    def _use(self, definitions: MessageDefinitions) -> None:
        for name_crc, layout in definitions.select(self._table).items():
            message_id = self._table[name_crc]
            self._ids[layout.name] = message_id
            self._layouts[message_id] = layout
            self._names[message_id] = layout.name

    # Out

    def _body(self, name: str, fields: Mapping[str, Any]) -> bytes:
        layout = self.layout(name)
        if unknown := fields.keys() - layout.field_by_name.keys():
            raise TypeError(f"{name} has no field {', '.join(sorted(unknown))}")
        packed: bytes = layout.pack({"_vl_msg_id": 0, "client_index": 0, "context": 0, **fields})
        return packed[_REQUEST_HEADER.size :]

    async def _exchange(self, name: str, body: bytes, *, ping: bool = False) -> _Pending:
        async with _limited(name, self._timeout_s), self._window:
            if self.ended.done():
                raise VppLostError(name, self.ended.result())
            context = self._next_context()
            last = self._ids["control_ping_reply" if ping else f"{name}_reply"]
            pending = _Pending(last, asyncio.get_running_loop().create_future())
            self._pending[context] = pending
            try:
                self._write(name, context, body)
                if ping:
                    self._write("control_ping", context, b"")
                await pending.answer
            finally:
                self._pending.pop(context, None)
            return pending

    def _next_context(self) -> int:
        self._context = max(_FIRST_CONTEXT, (self._context + 1) % _CONTEXT_LIMIT)
        return self._context

    def _write(self, name: str, context: int, body: bytes) -> None:
        header = _REQUEST_HEADER.pack(self._ids[name], self._client_index, context)
        self._writer.write(_framed(header + body))

    # In

    async def _read_messages(self) -> None:
        try:
            while True:
                self._take(await self._read_message())
        except asyncio.IncompleteReadError:
            self._end("VPP closed the connection")
        except OSError as error:
            self._end(error.strerror or str(error))
        except _BadFrameError as error:
            self._end(str(error))

    async def _read_message(self) -> bytes:
        header = await self._reader.readexactly(_FRAME_HEADER.size)
        _, length, _ = _FRAME_HEADER.unpack(header)
        if not _REPLY_HEADER.size <= length <= _LARGEST_MESSAGE:
            raise _BadFrameError(f"VPP announced a message of {length} octets")
        return await self._reader.readexactly(length)

    def _take(self, octets: bytes) -> None:
        message_id, context = _REPLY_HEADER.unpack_from(octets)
        if handlers := self._event_handlers.get(self._names.get(message_id, "")):
            for handler in handlers:
                asyncio.get_running_loop().call_soon(handler, self._unpack_octets(octets))
            return
        pending = self._pending.get(context)
        if pending is None or pending.answer.done():
            self.unexpected += 1
        elif message_id == pending.last_message_id:
            pending.answer.set_result(octets)
        else:
            pending.details.append(octets)

    def _unpack(self, pending: _Pending) -> Any:
        return self._unpack_octets(pending.answer.result())

    def _unpack_octets(self, octets: bytes) -> Any:
        (message_id,) = _MESSAGE_ID.unpack_from(octets)
        message, _ = self._layouts[message_id].unpack(octets)
        return message

    def _end(self, reason: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(reason)
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(VppLostError("request", reason))


class _BadFrameError(Exception):
    """What came is no message."""


def _framed(octets: bytes) -> bytes:
    return _FRAME_HEADER.pack(0, len(octets), 0) + octets


@contextlib.asynccontextmanager
async def _limited(operation: str, timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise VppTimeoutError(operation, f"no answer within {timeout_s:g} s") from None
