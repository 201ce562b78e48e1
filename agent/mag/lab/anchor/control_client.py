"""The other end of the reference LMA's control socket, for scenarios and `mag lab tell lma`."""

from ipaddress import IPv6Address

from mag.lab.anchor.faults import FAULT, Fault
from mag.lab.anchor.unsolicited import TELEGRAM, Telegram
from mag.services.gateway_control import Document
from mag.services.unix_http_client import UnixHttpClient, UnixHttpError


class AnchorControlError(UnixHttpError):
    """The LMA cannot be reached, or refuses; the text says why."""


class AnchorControlClient(UnixHttpClient):
    """Steers one LMA; an async context manager. Every method may raise AnchorControlError."""

    DAEMON = "LMA"
    ERROR = AnchorControlError

    async def bindings(self) -> list[Document]:
        """A row for each session of the Binding Cache, de-registered ones included."""
        rows: list[Document] = (await self._call("GET", "/v1/bindings"))["bindings"]
        return rows

    async def faults(self) -> list[Document]:
        """What it has been told to do wrong, and how often it has."""
        rows: list[Document] = (await self._call("GET", "/v1/faults"))["faults"]
        return rows

    async def misbehave(self, fault: Fault) -> int:
        """Do wrong from now on; returns the fault's number."""
        body = FAULT.dump_python(fault, mode="json")
        return int((await self._call("POST", "/v1/faults", body))["fault_id"])

    async def relent(self, fault_id: int | None = None) -> list[Document]:
        """Take back one fault, or all; returns those that were there."""
        path = "/v1/faults" if fault_id is None else f"/v1/faults/{fault_id}"
        rows: list[Document] = (await self._call("DELETE", path))["faults"]
        return rows

    async def send(self, telegram: Telegram) -> None:
        """Send something that nobody asked for."""
        await self._call("POST", "/v1/messages", TELEGRAM.dump_python(telegram, mode="json"))

    async def change(
        self, *, lifetime_s: int | None = None, link_local_address: IPv6Address | None = None
    ) -> Document:
        """Change what it gives; returns the settings there are then."""
        address = None if link_local_address is None else str(link_local_address)
        body = {"lifetime_s": lifetime_s, "link_local_address": address}
        return await self._call("POST", "/v1/settings", body)

    async def restart(self, *, is_announced: bool = True) -> int:
        """Have it lose all bindings; returns how many there were."""
        body = {"is_announced": is_announced}
        return int((await self._call("POST", "/v1/restart", body))["bindings_lost"])
