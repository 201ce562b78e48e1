"""The Linux kernel as the gateways' packet path: there is nothing to start."""

from typing import Any

from mag.lab.errors import LabError
from mag.lab.world import topology
from mag.lab.world.links import Links


class KernelPacketPath:
    """Implements GatewayPacketPath."""

    name = "kernel"
    words = "the Linux kernel's packet path"
    words_when_clean = "no rule and no route behind"
    access_interface = topology.ACCESS_INTERFACE
    bypasses_kernel = False

    def gateway_section(self, gateway: str) -> dict[str, Any]:
        """`dataplane:` of a gateway's configuration file."""
        return {"kind": "kernel", "core_interfaces": [topology.CORE_INTERFACE]}

    async def start(self, links: Links) -> str:
        """The kernel runs."""
        return self.words

    async def crash(self, gateway: str) -> None:
        """Raises LabError."""
        raise LabError("the kernel's packet path cannot be killed and started again")

    async def left_behind(self, gateway: str) -> tuple[str, ...]:
        """Nothing beside rules and routes, which the lab looks for on every packet path."""
        return ()

    async def stop(self) -> None:
        """There is nothing to end."""

    def logs(self) -> str:
        """It writes none."""
        return ""

    def hints(self) -> tuple[str, ...]:
        """None beside those for every lab."""
        return ()
