"""The other end of the admin API, for the command line and the lab."""

from collections.abc import AsyncIterator
from typing import Final

from mag.services.gateway_control import Document
from mag.services.unix_http_client import UnixHttpClient, UnixHttpError

_LARGE_FILE_S: Final = 300.0
"""Reading a million policy nodes takes minutes."""


class AdminError(UnixHttpError):
    """The gateway cannot be reached, or refuses; the text says which and why."""


class AdminClient(UnixHttpClient):
    """Talks to one gateway; an async context manager. Every method may raise AdminError."""

    DAEMON = "gateway"
    ERROR = AdminError

    async def status(self) -> Document:
        """Identity, version, uptime."""
        return await self._call("GET", "/v1/status")

    async def configuration(self, *, with_defaults: bool = False) -> Document:
        """What the gateway runs with, as values and as a file."""
        query = {"defaults": "true" if with_defaults else "false"}
        return await self._call("GET", "/v1/config", query=query)

    async def plan(self, octets: bytes, source: str) -> Document:
        """What taking the file with these octets would change; faults of it call it `source`."""
        query = {"source": source}
        return await self._call(
            "POST", "/v1/config/plan", file=octets, query=query, patience_s=_LARGE_FILE_S
        )

    async def reload(self) -> Document:
        """Have the gateway take its file again."""
        return await self._call("POST", "/v1/config/reload", patience_s=_LARGE_FILE_S)

    async def drain(self, rate_per_s: float) -> Document:
        """Have all nodes given up at this pace."""
        return await self._call("POST", "/v1/drain", {"rate_per_s": rate_per_s})

    async def undrain(self) -> Document:
        """Have what is left kept, and nodes taken again."""
        return await self._call("DELETE", "/v1/drain")

    async def bindings(self) -> list[Document]:
        """A row for each binding."""
        return _rows(await self._call("GET", "/v1/bindings"), "bindings")

    async def peers(self) -> list[Document]:
        """A row for each LMA."""
        return _rows(await self._call("GET", "/v1/peers"), "peers")

    async def explain(self, node: str) -> Document:
        """Why a node has or has not service; node: any name of it."""
        return await self._call("GET", "/v1/explanation", query={"node": node})

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
        identity: str | None = None,
        handoff: str = "unknown",
        wait_s: float | None = None,
    ) -> Document:
        """Report a node on an access link, as an access point does."""
        body = {
            "access_interface": access_interface,
            "link_layer_address": link_layer_address,
            "mn_id": mn_id,
            "identity": identity,
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

    async def clear_held(
        self, *, lma: str | None, reason: str | None, rate_per_s: float
    ) -> Document:
        """Let nodes try again that an LMA has refused for good."""
        body = {"lma": lma, "reason": reason, "rate_per_s": rate_per_s}
        return await self._call("POST", "/v1/bindings/clear-held", body)

    def events(self) -> AsyncIterator[Document]:
        """Everything that happens from now on, until the gateway stops."""
        return self._lines("/v1/events")


def _rows(document: Document, key: str) -> list[Document]:
    rows: list[Document] = document[key]
    return rows
