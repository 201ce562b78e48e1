"""One gateway's VPP: started, asked, killed, ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from ipaddress import IPv6Interface
from typing import Any, Final

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp import marks
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.errors import VppIncompatibleError
from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.lab.errors import LabError
from mag.lab.packet_path.vpp_files import files_of, vpp_interface, write_files
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.world import topology
from mag.lab.world.links import Links
from mag.lab.world.node_process import NodeProcess, start_program

_READY_TIMEOUT_S: Final = 30.0
"""Of which VPP itself lets two seconds pass before its start-up commands."""
_STOP_TIMEOUT_S: Final = 5.0
_POLL_INTERVAL_S: Final = 0.02


class VppInstance:
    """A VPP in a gateway's namespace. Methods raise LabError."""

    def __init__(self, installation: VppInstallation, gateway: topology.Gateway) -> None:
        self.files = files_of(gateway.name)
        self._installation = installation
        self._gateway = gateway
        self._process: NodeProcess | None = None
        # Kept, since it learns VPP's messages from the first VPP, which takes a while.
        self._client = VppClient(str(self.files.api_socket), name="mag lab")

    async def prepare(self, links: Links) -> None:
        """Write its files."""
        length = topology.CORE_PREFIX_LENGTH
        address = IPv6Interface((self._gateway.proxy_care_of_address, length))
        mac = await links.link_layer_address(self._gateway.name, topology.CORE_INTERFACE)
        write_files(self.files, self._installation, address, mac)

    def start(self) -> None:
        """Start it; it is ready some seconds later."""
        name = self._gateway.name
        command = (str(self._installation.program), "-c", str(self.files.startup))
        self._process = start_program(name, f"{name}-vpp", command, reads_output=False)

    async def ready(self) -> str:
        """Wait until it has done its start-up commands; its release, and the plugin's."""
        process = self._running()
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while (release := await self._release_when_ready()) is None:
            if process.exit_status is not None:
                raise LabError(f"{process.name} has ended{process.log_tail()}")
            if time.monotonic() > deadline:
                reason = f"is not ready in {_READY_TIMEOUT_S:g} s"
                raise LabError(f"{process.name} {reason}{process.log_tail()}")
            await asyncio.sleep(_POLL_INTERVAL_S)
        await self._client.close()
        return release

    async def kill(self) -> None:
        """End it without a chance to clean up."""
        await self._running().kill(_STOP_TIMEOUT_S)

    async def stop(self) -> None:
        """End it in order."""
        process = self._running()
        status = await process.stop(_STOP_TIMEOUT_S)
        if status != 0:
            raise LabError(f"{process.name} ended with status {status}{process.log_tail()}")

    async def left_behind(self) -> tuple[str, ...]:
        """What carries the marks of a gateway, in words."""
        try:
            await self._client.connect()
            return tuple([each async for each in _marked(self._client)])
        except DataplaneError as error:
            raise LabError(f"cannot ask {self._running().name}: {error}") from error
        finally:
            await self._client.close()

    def log_tail(self) -> str:
        """The end of its log, as lines that go below an error."""
        return "" if self._process is None else self._process.log_tail()

    async def _release_when_ready(self) -> str | None:
        """None until the last of the start-up commands has been carried out."""
        try:
            await self._client.connect()
            interfaces = InterfaceDirectory(self._client)
            await interfaces.refresh()
            access = interfaces.find(vpp_interface(topology.ACCESS_INTERFACE))
            if access is None or not access.is_up:
                return None
            plugin = await self._client.call("mag_plugin_get")
        except VppIncompatibleError as error:
            raise LabError(f"{self._installation.program} does not fit: {error}") from error
        except DataplaneError:
            return None
        return f"VPP {plugin.vpp_version} with plugin mag {plugin.version}"

    def _running(self) -> NodeProcess:
        if self._process is None:
            raise LabError(f"VPP of {self._gateway.name} was not started")
        return self._process


async def _marked(client: VppClient) -> AsyncIterator[str]:
    plugin = await client.call("mag_plugin_get")
    if plugin.n_bindings:
        yield f"{plugin.n_bindings} bindings"
    if plugin.n_lmas:
        yield f"{plugin.n_lmas} tunnels"
    served = await client.dump("mag_interface_dump")
    if served:
        yield f"the plugin on {len(served)} interfaces"
    for entry in await client.dump("ip_table_dump"):
        if _is_ours(entry.table):
            yield f"table {entry.table.table_id}"
    interfaces = InterfaceDirectory(client)
    await interfaces.refresh()
    for interface in interfaces.all():
        if interface.tag == marks.LOOPBACK_TAG or marks.AccessTag.decode(interface.tag):
            yield f"{interface.name} tagged {interface.tag!r}"


def _is_ours(table: Any) -> bool:
    return bool(table.is_ip6) and table.name == marks.TABLE_NAME
