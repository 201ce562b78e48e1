"""HTTP with JSON on a Unix socket: the listening end, for whichever daemon has routes."""

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from mag.services.gateway_control import ControlError, NotFoundError

_SHUTDOWN_S: Final = 0.5
_LARGEST_BODY_OCTETS: Final = 64 * 1024

Body = TypeVar("Body", bound=BaseModel)
Value = TypeVar("Value")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UnixHttpServer:
    """Serves routes on one socket; ControlErrors of their handlers are answers, not failures."""

    def __init__(self, routes: Iterable[web.RouteDef], path: Path, mode: int) -> None:
        """mode: permission bits of the socket; they are the only access control there is."""
        self._routes = list(routes)
        self._path = path
        self._mode = mode
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen. Raises OSError when another daemon does, or the path is no good."""
        application = web.Application(
            middlewares=[_errors_as_json], client_max_size=_LARGEST_BODY_OCTETS
        )
        application.add_routes(self._routes)
        listener = _listen(self._path, self._mode)
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


async def read_body(request: web.Request, model: type[Body]) -> Body:
    """The JSON body. Raises ControlError naming its first fault."""
    return await read_value(request, TypeAdapter(model))


async def read_value(request: web.Request, adapter: TypeAdapter[Value]) -> Value:
    """The same for a body that is no model."""
    try:
        return adapter.validate_json(await request.read())
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ControlError(f"{where}: {fault['msg']}" if where else fault["msg"]) from None


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


def _listen(path: Path, mode: int) -> socket.socket:
    """A listening socket at `path`; one left behind by a daemon that died is replaced."""
    if path.is_socket():
        if _answers(path):
            raise OSError(errno.EADDRINUSE, "socket in use")
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
