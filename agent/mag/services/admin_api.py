"""The admin API: HTTP with JSON on a Unix socket, and `/metrics` for Prometheus."""

import asyncio
import contextlib
import errno
import json
from pathlib import Path

import prometheus_client
from aiohttp import web

from mag.config.loader import MAX_FILE_OCTETS
from mag.services.gateway_control import (
    AttachRequest,
    ClearHeldRequest,
    ControlError,
    Document,
    DrainRequest,
    GatewayControl,
    NodeSelector,
)
from mag.services.unix_http_server import Handler, UnixHttpServer, read_body
from mag.steps import in_steps


class AdminSocketError(Exception):
    """The socket cannot be opened; the text says why."""


class AdminApi:
    """Serves one gateway's control on one socket."""

    def __init__(self, control: GatewayControl, path: Path, mode: int) -> None:
        """mode: permission bits of the socket; they are the only access control there is."""
        self._control = control
        self._path = path
        routes = (
            web.get("/v1/status", self._status),
            web.get("/v1/config", self._configuration),
            web.post("/v1/config/plan", self._once_serving(self._plan)),
            web.post("/v1/config/reload", self._once_serving(self._reload)),
            web.post("/v1/drain", self._once_serving(self._drain)),
            web.delete("/v1/drain", self._once_serving(self._undrain)),
            web.get("/v1/bindings", self._bindings),
            web.get("/v1/peers", self._peers),
            web.get("/v1/explanation", self._explanation),
            web.get("/v1/dataplane", self._dataplane),
            web.get("/v1/counters", self._counters),
            web.get("/v1/events", self._events),
            web.get("/metrics", self._metrics),
            web.post("/v1/attachments", self._once_serving(self._attach)),
            web.post("/v1/detachments", self._once_serving(self._detach)),
            web.post("/v1/bindings/clear", self._once_serving(self._clear)),
            web.post("/v1/bindings/clear-held", self._once_serving(self._clear_held)),
        )
        self._server = UnixHttpServer(routes, path, mode)

    async def open(self) -> None:
        """Listen. Raises AdminSocketError when another gateway does, or the path is no good."""
        try:
            await self._server.open()
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.EADDRINUSE:
                reason = "admin socket in use: another gateway is running"
            raise AdminSocketError(f"{self._path}: {reason}") from None

    async def close(self) -> None:
        """Stop listening and remove the socket, if it is ours."""
        await self._server.close()

    def _once_serving(self, handler: Handler) -> Handler:
        """Whoever wants to change something waits until all is restored from an earlier run."""

        async def wait_and_handle(request: web.Request) -> web.StreamResponse:
            await self._control.serving()
            return await handler(request)

        return wait_and_handle

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._control.status())

    async def _configuration(self, request: web.Request) -> web.Response:
        with_defaults = request.query.get("defaults") == "true"
        return web.json_response(self._control.configuration(with_defaults=with_defaults))

    async def _plan(self, request: web.Request) -> web.Response:
        octets = await _file(request)
        source = request.query.get("source", "configuration")
        return await _json(await self._control.plan(octets, source))

    async def _reload(self, _: web.Request) -> web.Response:
        return await _json(await self._control.reload())

    async def _drain(self, request: web.Request) -> web.Response:
        return web.json_response(await self._control.drain(await read_body(request, DrainRequest)))

    async def _undrain(self, _: web.Request) -> web.Response:
        return web.json_response(await self._control.undrain())

    async def _bindings(self, _: web.Request) -> web.Response:
        return await _json({"bindings": await self._control.bindings()})

    async def _peers(self, _: web.Request) -> web.Response:
        return web.json_response({"peers": self._control.peers()})

    async def _explanation(self, request: web.Request) -> web.Response:
        node = request.query.get("node", "")
        if not node:
            raise ControlError("say which node: ?node=MN-ID, link-layer address or IPv6 address")
        return web.json_response(await self._control.explain(node))

    async def _dataplane(self, _: web.Request) -> web.Response:
        return web.json_response(await self._control.dataplane())

    async def _counters(self, _: web.Request) -> web.Response:
        return await _json(await self._control.counters())

    async def _metrics(self, _: web.Request) -> web.Response:
        text = await self._control.metrics()
        return web.Response(
            body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        )

    async def _attach(self, request: web.Request) -> web.Response:
        return web.json_response(
            await self._control.attach(await read_body(request, AttachRequest))
        )

    async def _detach(self, request: web.Request) -> web.Response:
        selector = await read_body(request, NodeSelector)
        return web.json_response({"bindings": self._control.detach(selector)})

    async def _clear(self, request: web.Request) -> web.Response:
        selector = await read_body(request, NodeSelector)
        return web.json_response({"bindings": self._control.clear(selector)})

    async def _clear_held(self, request: web.Request) -> web.Response:
        meant = await read_body(request, ClearHeldRequest)
        return web.json_response(self._control.clear_held(meant))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        # The stream ends when the client goes or the server shuts down.
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            async for entry in self._control.events():
                await response.write(web.json_response(entry).body + b"\n")  # type: ignore[operator]
        return response


async def _json(document: Document) -> web.Response:
    """As `web.json_response`, with the rows of its lists written in steps: there may be many."""
    members = []
    for name, value in document.items():
        if isinstance(value, list):
            text = f"[{', '.join([json.dumps(row) async for row in in_steps(value)])}]"
        else:
            text = json.dumps(value)
        members.append(f"{json.dumps(name)}: {text}")
    return web.json_response(text=f"{{{', '.join(members)}}}")


async def _file(request: web.Request) -> bytes:
    """A configuration file, which may be larger than anything else that is sent."""
    octets = bytearray()
    async for chunk in request.content.iter_any():
        octets += chunk
        if len(octets) > MAX_FILE_OCTETS:
            raise ControlError(f"larger than {MAX_FILE_OCTETS} octets")
    return bytes(octets)
