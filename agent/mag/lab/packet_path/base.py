"""What the lab asks of a packet path, whichever it is."""

from typing import Any, Protocol

from mag.lab.world.links import Links


class GatewayPacketPath(Protocol):
    """The packet path of all gateways of one lab; methods raise LabError."""

    name: str
    """As in `--dataplane`."""
    words: str
    """For a person."""
    words_when_clean: str
    """What gateways that took all of theirs away have left."""
    access_interface: str
    """What a gateway calls its interface towards the mobile nodes."""
    bypasses_kernel: bool
    """It is a process of its own, to which the gateways' interfaces belong."""

    def gateway_section(self, gateway: str) -> dict[str, Any]:
        """`dataplane:` of a gateway's configuration file."""

    async def start(self, links: Links) -> str:
        """Have it run for every gateway, before they do; in words, what runs."""

    async def crash(self, gateway: str) -> None:
        """Kill it where that gateway is (SIGKILL) and start it again, as a supervisor would."""

    async def left_behind(self, gateway: str) -> tuple[str, ...]:
        """What of a gateway that has ended is still there, in words."""

    async def stop(self) -> None:
        """End what `start` started, in order (SIGTERM)."""

    def logs(self) -> str:
        """The ends of its logs, to stand below an error."""

    def hints(self) -> tuple[str, ...]:
        """Commands worth trying in a held lab."""
