"""FD.io VPP with our plugin as the gateways' packet path: one VPP in each gateway's namespace."""

import asyncio
from pathlib import Path
from typing import Any, Final

from mag.lab.errors import LabError
from mag.lab.packet_path.vpp_files import files_of, vpp_interface
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_instance import VppInstance
from mag.lab.world import linux_calls, topology
from mag.lab.world.links import Links

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where VPP makes its API segment
_SHARED_MEMORY_OPTIONS: Final = "size=512m,mode=1777"


class VppPacketPath:
    """Implements GatewayPacketPath."""

    name = "vpp"
    words = "VPP"
    words_when_clean = "nothing of theirs behind in VPP"
    access_interface = vpp_interface(topology.ACCESS_INTERFACE)
    bypasses_kernel = True

    def __init__(self, installation: VppInstallation) -> None:
        self._control_program = installation.control_program
        self._instances = {
            gateway.name: VppInstance(installation, gateway) for gateway in topology.GATEWAYS
        }

    def gateway_section(self, gateway: str) -> dict[str, Any]:
        """`dataplane:` of a gateway's configuration file."""
        files = files_of(gateway)
        return {
            "kind": "vpp",
            "core_interfaces": [vpp_interface(topology.CORE_INTERFACE)],
            "vpp": {
                "api_socket": files.api_socket,
                "stats_socket": files.stats_socket,
                "punt_socket": files.agent_punt_socket,
            },
        }

    async def start(self, links: Links) -> str:
        """One VPP for each gateway; returns when all have their interfaces."""
        _make_private_shared_memory()
        for instance in self._instances.values():
            await instance.prepare(links)
            instance.start()
        releases = [await instance.ready() for instance in self._instances.values()]
        return f"{releases[0]}, one process each for {' and '.join(self._instances)}"

    async def crash(self, gateway: str) -> None:
        """Kill it and start it again; it has its interfaces some seconds later."""
        instance = self._instances[gateway]
        await instance.kill()
        instance.start()

    async def left_behind(self, gateway: str) -> tuple[str, ...]:
        """Objects in VPP that carry a gateway's marks."""
        instance = self._instances.get(gateway)
        return () if instance is None else await instance.left_behind()

    async def stop(self) -> None:
        """End all in order."""
        await asyncio.gather(*(instance.stop() for instance in self._instances.values()))

    def logs(self) -> str:
        """The ends of all VPPs' logs."""
        return "".join(
            f"\n  VPP of {gateway} said:{instance.log_tail()}"
            for gateway, instance in self._instances.items()
        )

    def hints(self) -> tuple[str, ...]:
        """VPP's own view of the bindings."""
        gateway = topology.GATEWAYS[0].name
        socket = files_of(gateway).cli_socket
        return (f"mag lab exec {gateway} {self._control_program} -s {socket} show mag binding",)


def _make_private_shared_memory() -> None:
    """VPP's API segment is a file there, which a killed VPP would leave to the machine."""
    guarded = linux_calls.MS_NOSUID | linux_calls.MS_NODEV
    try:
        linux_calls.mount("tmpfs", _SHARED_MEMORY, "tmpfs", guarded, _SHARED_MEMORY_OPTIONS)
    except OSError as error:
        raise LabError(f"private shared memory is not permitted here: {error}") from error
