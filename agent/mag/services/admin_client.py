"""The other end of the admin API, for the command line and the lab."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from mag.services.gateway_control import Document

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 30.0


class AdminError(Exception):
    """The gateway cannot be reached, or refuses; the text says which and why."""


class AdminClient:
    """Talks to one gateway; an async context manager. Every method may raise AdminError."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            "http://gateway",
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

    async def status(self) -> Document:
        """Identity, version, uptime."""
        return await self._call("GET", "/v1/status")

    async def bindings(self) -> list[Document]:
        """A row for each binding."""
        return _rows(await self._call("GET", "/v1/bindings"), "bindings")

    async def peers(self) -> list[Document]:
        """A row for each LMA."""
        return _rows(await self._call("GET", "/v1/peers"), "peers")

    async def dataplane(self) -> Document:
        """The packet path."""
        return await self._call("GET", "/v1/dataplane")

    async def counters(self) -> Document:
        """Signalling, discarded messages, drops."""
        return await self._call("GET", "/v1/counters")

    async def attach(
        self,
        access_interface: str,
        link_layer_address: str,
        *,
        mn_id: str | None = None,
        handoff: str = "unknown",
        wait_s: float | None = None,
    ) -> Document:
        """Report a node on an access link, as an access point does."""
        body = {
            "access_interface": access_interface,
            "link_layer_address": link_layer_address,
            "mn_id": mn_id,
            "handoff": handoff,
            "wait_s": wait_s,
        }
        return await self._call("POST", "/v1/attachments", body, patience_s=wait_s or 0.0)

    async def detach(
        self,
        *,
        mn_id: str | None = None,
        link_layer_address: str | None = None,
        access_interface: str | None = None,
    ) -> list[Document]:
        """Report that a node has left."""
        body = {
            "mn_id": mn_id,
            "link_layer_address": link_layer_address,
            "access_interface": access_interface,
        }
        return _rows(await self._call("POST", "/v1/detachments", body), "bindings")

    async def clear(self, mn_id: str) -> list[Document]:
        """End a node's bindings as an operator."""
        return _rows(await self._call("POST", "/v1/bindings/clear", {"mn_id": mn_id}), "bindings")

    async def events(self) -> AsyncIterator[Document]:
        """Everything that happens from now on, until the gateway stops."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        try:
            async with self._open_session.get("/v1/events", timeout=timeout) as response:
                async for line in response.content:
                    yield json.loads(line)
        except aiohttp.ClientError as error:
            raise AdminError(self._unreachable(error)) from None

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise AdminError("the client is not open: use `async with`")
        return self._session

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        patience_s: float = 0.0,
    ) -> Document:
        """patience_s: how much longer than usual the answer may take."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S + patience_s, sock_connect=_CONNECT_S)
        try:
            async with self._open_session.request(
                method, path, json=body, timeout=timeout
            ) as response:
                document: Document = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise AdminError(self._unreachable(error)) from None
        if not response.ok:
            raise AdminError(str(document.get("error", response.reason)))
        return document

    def _unreachable(self, error: Exception) -> str:
        cause = getattr(error, "os_error", error)
        reason = getattr(cause, "strerror", None) or str(cause) or "no answer in time"
        return f"no gateway answers at {self._path}: {reason}"


def _rows(document: Document, key: str) -> list[Document]:
    rows: list[Document] = document[key]
    return rows
