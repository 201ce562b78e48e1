"""The reference LMA's control socket: HTTP with JSON on a Unix socket, like the gateway's.

What it takes and tells is in mag.lab.anchor.faults and mag.lab.anchor.unsolicited: the same
shapes as data. It is a test peer's; nothing guards it but the socket's permissions.
"""

from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from mag.lab.anchor.binding_cache import BindingCacheEntry
from mag.lab.anchor.faults import FAULT
from mag.lab.anchor.shell import AnchorShell
from mag.lab.anchor.unruly_link import ActiveFault
from mag.lab.anchor.unsolicited import TELEGRAM
from mag.lab.errors import LabError
from mag.protocol.settings import LIFETIME_UNIT_S, MAX_LIFETIME_S
from mag.services.gateway_control import ControlError, Document, NotFoundError
from mag.services.unix_http_server import UnixHttpServer, read_body, read_value

_SOCKET_MODE: Final = 0o600


class SettingsChange(BaseModel):
    """What is to be otherwise from now on; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    lifetime_s: Annotated[
        int | None, Field(ge=LIFETIME_UNIT_S, le=MAX_LIFETIME_S, multiple_of=LIFETIME_UNIT_S)
    ] = None
    """The most that is granted."""
    link_local_address: IPv6Address | None = None
    """For new sessions whose gateway asks for one."""


class RestartRequest(BaseModel):
    """Forget everything."""

    model_config = ConfigDict(extra="forbid")

    is_announced: bool = True
    """Tell the gateways that had bindings, as RFC 5847 §3.2 wants it."""


class AnchorControlApi:
    """Steers one LMA; an async context manager that listens. Raises LabError if it cannot."""

    def __init__(self, shell: AnchorShell, path: Path) -> None:
        self._shell = shell
        self._path = path
        routes = (
            web.get("/v1/bindings", self._bindings),
            web.get("/v1/faults", self._faults),
            web.post("/v1/faults", self._misbehave),
            web.delete("/v1/faults", self._relent),
            web.delete("/v1/faults/{fault_id:\\d{1,9}}", self._relent),
            web.post("/v1/messages", self._send),
            web.post("/v1/settings", self._change),
            web.post("/v1/restart", self._restart),
        )
        self._server = UnixHttpServer(routes, path, _SOCKET_MODE)

    async def __aenter__(self) -> None:
        try:
            await self._server.open()
        except OSError as error:
            raise LabError(f"{self._path}: {error.strerror or error}") from error

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _bindings(self, _: web.Request) -> web.Response:
        return web.json_response({"bindings": [_row(entry) for entry in self._shell.bindings]})

    async def _faults(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": [_fault(each) for each in self._shell.link.faults]})

    async def _misbehave(self, request: web.Request) -> web.Response:
        fault = await read_value(request, FAULT)
        return web.json_response(_fault(self._shell.link.misbehave(fault)))

    async def _relent(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("fault_id")
        gone = self._shell.link.relent(None if wanted is None else int(wanted))
        if wanted is not None and not gone:
            raise NotFoundError(f"no fault {wanted}")
        return web.json_response({"faults": [_fault(each) for each in gone]})

    async def _send(self, request: web.Request) -> web.Response:
        telegram = await read_value(request, TELEGRAM)
        try:
            self._shell.send(telegram)
        except ValueError as error:
            raise ControlError(str(error)) from None
        return web.json_response(TELEGRAM.dump_python(telegram, mode="json"))

    async def _change(self, request: web.Request) -> web.Response:
        change = (await read_body(request, SettingsChange)).model_dump(exclude_none=True)
        self._shell.change(replace(self._shell.settings, **change))
        return web.json_response(self._settings())

    async def _restart(self, request: web.Request) -> web.Response:
        body = await read_body(request, RestartRequest)
        lost = await self._shell.restart(is_announced=body.is_announced)
        return web.json_response({"bindings_lost": lost, **self._settings()})

    def _settings(self) -> Document:
        settings = self._shell.settings
        address = settings.link_local_address
        return {
            "lifetime_s": settings.lifetime_s,
            "link_local_address": None if address is None else str(address),
            "restart_counter": settings.restart_counter,
        }


def _fault(active: ActiveFault) -> Document:
    document: Document = FAULT.dump_python(active.fault, mode="json")
    return {"fault_id": active.fault_id, "applied": active.applied, **document}


def _row(entry: BindingCacheEntry) -> Document:
    return {
        "mn_id": entry.mn_id.decode(errors="backslashreplace"),
        "home_network_prefixes": [str(prefix) for prefix in entry.home_network_prefixes],
        "proxy_care_of_address": str(entry.proxy_care_of_address),
        "lifetime_s": entry.lifetime_s,
        "link_local_address": str(entry.link_local_address),
        "is_deregistered": entry.is_deregistered,
        "sequence": entry.sequence,
        "timestamp_ticks": entry.timestamp_ticks,
    }
