"""One TCP connection from a mobile node to the correspondent that has to survive its moves."""

import asyncio
import contextlib
import socket
from ipaddress import IPv6Address
from typing import Final, Self

from mag.frozen import frozen
from mag.lab.errors import LabError
from mag.lab.world import topology
from mag.lab.world.network_namespace import inside_network_namespace

TCP_MINIMUM_RETRANSMISSION_TIMEOUT_MS: Final = 200
"""Linux's TCP_RTO_MIN: one lost segment on an idle connection costs at least this."""
_PORT: Final = 5214
_WRITE_INTERVAL_S: Final = 0.005
_MESSAGE_OCTETS: Final = 16
_CONNECT_TIMEOUT_S: Final = 5.0


@frozen
class TcpResult:
    """How the connection fared."""

    survived: bool
    """It was still connected and everything that was written came back, in order."""
    echoed: int
    """Messages that made the round trip."""
    longest_stall_ms: float
    """Longest round trip of one message."""


class TcpSession:
    """Writes a small message every 5 ms and reads its echo; both sockets are the kernels'."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self._written_at: list[float] = []
        self._echoed_at: list[float] = []
        self._is_writing = True
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def connected(cls, node: str, address: IPv6Address) -> Self:
        """Connect from a node's address to the correspondent; LabError when that fails."""
        correspondent = str(topology.CORRESPONDENT_SIDE.ip)
        with inside_network_namespace(topology.CORRESPONDENT):
            listener = socket.create_server((correspondent, _PORT), family=socket.AF_INET6)
        with inside_network_namespace(node):
            client = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        with listener:
            listener.setblocking(False)
            client.setblocking(False)
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    client.bind((str(address), 0))
                    await loop.sock_connect(client, (correspondent, _PORT))
                    server, _ = await loop.sock_accept(listener)
            except (OSError, TimeoutError) as error:
                client.close()
                raise LabError(f"no TCP connection from {node}: {error or 'timeout'}") from error
        server.setblocking(False)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(client, server)

    def start(self) -> None:
        """Begin to write, echo and read."""
        for work in (self._write(), self._echo(), self._read()):
            self._tasks.append(asyncio.create_task(work))

    async def finish(self, timeout_s: float) -> TcpResult:
        """Write no more, wait for the last echo, close; returns how it went."""
        self._is_writing = False
        _, unfinished = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in (self._client, self._server):
            end.close()
        trips = zip(self._written_at, self._echoed_at, strict=False)
        return TcpResult(
            survived=len(self._echoed_at) == len(self._written_at) > 0,
            echoed=len(self._echoed_at),
            longest_stall_ms=max((back - out for out, back in trips), default=0.0) * 1000,
        )

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._is_writing:
            self._written_at.append(loop.time())
            message = len(self._written_at).to_bytes(_MESSAGE_OCTETS, "big")
            await loop.sock_sendall(self._client, message)
            await asyncio.sleep(_WRITE_INTERVAL_S)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)

    async def _echo(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._server, 4096):
            await loop.sock_sendall(self._server, data)
        self._server.shutdown(socket.SHUT_WR)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        received = b""
        while data := await loop.sock_recv(self._client, 4096):
            received += data
            while len(received) >= _MESSAGE_OCTETS:
                number = int.from_bytes(received[:_MESSAGE_OCTETS], "big")
                if number != len(self._echoed_at) + 1:
                    return
                self._echoed_at.append(loop.time())
                received = received[_MESSAGE_OCTETS:]
