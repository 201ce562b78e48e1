"""The admin API: HTTP with JSON on a Unix socket, and `/metrics` for Prometheus."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import prometheus_client
from aiohttp import web
from pydantic import BaseModel, ValidationError

from mag.services.gateway_control import (
    AttachRequest,
    ControlError,
    GatewayControl,
    NodeSelector,
    NotFoundError,
)

_SHUTDOWN_S: Final = 0.5
_LARGEST_BODY_OCTETS: Final = 64 * 1024

Body = TypeVar("Body", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminSocketError(Exception):
    """The socket cannot be opened; the text says why."""


class AdminApi:
    """Serves one gateway's control on one socket."""

    def __init__(self, control: GatewayControl, path: Path, mode: int) -> None:
        """mode: permission bits of the socket; they are the only access control there is."""
        self._control = control
        self._path = path
        self._mode = mode
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen. Raises AdminSocketError when another gateway does, or the path is no good."""
        application = web.Application(
            middlewares=[_errors_as_json], client_max_size=_LARGEST_BODY_OCTETS
        )
        application.add_routes(
            [
                web.get("/v1/status", self._status),
                web.get("/v1/bindings", self._bindings),
                web.get("/v1/peers", self._peers),
                web.get("/v1/dataplane", self._dataplane),
                web.get("/v1/counters", self._counters),
                web.get("/v1/events", self._events),
                web.get("/metrics", self._metrics),
                web.post("/v1/attachments", self._attach),
                web.post("/v1/detachments", self._detach),
                web.post("/v1/bindings/clear", self._clear),
            ]
        )
        try:
            listener = _listen(self._path, self._mode)
        except OSError as error:
            raise AdminSocketError(f"{self._path}: {error.strerror or error}") from None
        # From here on the path is ours to remove.
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def close(self) -> None:
        """Stop listening and remove the socket, if it is ours."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self._path.unlink(missing_ok=True)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._control.status())

    async def _bindings(self, _: web.Request) -> web.Response:
        return web.json_response({"bindings": await self._control.bindings()})

    async def _peers(self, _: web.Request) -> web.Response:
        return web.json_response({"peers": self._control.peers()})

    async def _dataplane(self, _: web.Request) -> web.Response:
        return web.json_response(await self._control.dataplane())

    async def _counters(self, _: web.Request) -> web.Response:
        return web.json_response(await self._control.counters())

    async def _metrics(self, _: web.Request) -> web.Response:
        text = await self._control.metrics()
        return web.Response(
            body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        )

    async def _attach(self, request: web.Request) -> web.Response:
        return web.json_response(await self._control.attach(await _body(request, AttachRequest)))

    async def _detach(self, request: web.Request) -> web.Response:
        selector = await _body(request, NodeSelector)
        return web.json_response({"bindings": self._control.detach(selector)})

    async def _clear(self, request: web.Request) -> web.Response:
        selector = await _body(request, NodeSelector)
        return web.json_response({"bindings": self._control.clear(selector)})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        # The stream ends when the client goes or the server shuts down.
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            async for entry in self._control.events():
                await response.write(web.json_response(entry).body + b"\n")  # type: ignore[operator]
        return response


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotFoundError as error:
        return web.json_response({"error": str(error)}, status=404)
    except ControlError as error:
        return web.json_response({"error": str(error)}, status=409)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)


async def _body(request: web.Request, model: type[Body]) -> Body:
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ControlError(f"{where}: {fault['msg']}" if where else fault["msg"]) from None


def _listen(path: Path, mode: int) -> socket.socket:
    """A listening socket at `path`; one left behind by a gateway that died is replaced."""
    if path.is_socket():
        if _answers(path):
            raise OSError("admin socket in use: another gateway is running")
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # too busy to answer, or not for us: somebody is there
            return True
    return True
