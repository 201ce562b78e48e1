"""HTTP with JSON on a Unix socket: the asking end, for whichever daemon answers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from mag.services.gateway_control import Document

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 30.0


class UnixHttpError(Exception):
    """The daemon cannot be reached, or refuses; the text says which and why."""


class UnixHttpClient:
    """Talks to one daemon; an async context manager. Every method may raise its ERROR."""

    DAEMON: str = "daemon"
    """What it is called in errors."""
    ERROR: type[UnixHttpError] = UnixHttpError

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            "http://daemon",
            connector=aiohttp.UnixConnector(str(self._path)),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise self.ERROR("the client is not open: use `async with`")
        return self._session

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        file: bytes | None = None,
        query: dict[str, str] | None = None,
        patience_s: float = 0.0,
    ) -> Document:
        """file: goes as it is, instead of a body.

        patience_s: how much longer than usual the answer may take.
        """
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S + patience_s, sock_connect=_CONNECT_S)
        try:
            async with self._open_session.request(
                method, path, json=body, data=file, params=query, timeout=timeout
            ) as response:
                document: Document = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._unreachable(error) from None
        if not response.ok:
            raise self.ERROR(str(document.get("error", response.reason)))
        return document

    async def _lines(self, path: str) -> AsyncIterator[Document]:
        """One document a line, for as long as the daemon has something to say."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        try:
            async with self._open_session.get(path, timeout=timeout) as response:
                async for line in response.content:
                    yield json.loads(line)
        except aiohttp.ClientError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> UnixHttpError:
        cause = getattr(error, "os_error", error)
        reason = getattr(cause, "strerror", None) or str(cause) or "no answer in time"
        return self.ERROR(f"no {self.DAEMON} answers at {self._path}: {reason}")
