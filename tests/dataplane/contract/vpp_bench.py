"""The bench around VPP: it runs in the gateway's namespace, on the veths of the kernel's bench."""

import asyncio
from pathlib import Path

from dataplane.contract import frames
from dataplane.contract.bench import LINKS, LMA_A, LMA_B, PROXY_COA, STRANGER, Seen
from dataplane.contract.kernel_bench import (
    CORE,
    CORE_LINK_LAYER_ADDRESS,
    WITNESS,
    WORLD_LINK_LAYER_ADDRESS,
    WireBench,
    silence,
)
from mag.dataplane.verdict import InnerPacket
from mag.dataplane.vpp.backend import VppDataplane
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.dataplane.vpp.stats import StatsSegment
from mag.protocol.settings import RESERVED_LINK_LOCAL_ADDRESS
from support.namespaces import in_namespace
from support.vpp_process import VppInstallation, VppProcess

MTU = 1500


def start_up_commands() -> str:
    """Interfaces named as the links, the core's address and neighbours."""
    lines = []
    for name in (CORE, *LINKS):
        lines += [
            f"create host-interface name {name}",
            f"set interface name host-{name} {name}",
            f"set interface mtu packet {MTU} {name}",
            f"set interface state {name} up",
        ]
    lines += [
        f"set interface mac address {CORE} {CORE_LINK_LAYER_ADDRESS}",
        f"set interface ip address {CORE} {PROXY_COA}/64",
        f"ip route add ::/0 via {LMA_A} {CORE}",
    ]
    for neighbor in (LMA_A, LMA_B, STRANGER, WITNESS):
        lines.append(f"set ip neighbor static {CORE} {neighbor} {WORLD_LINK_LAYER_ADDRESS}")
    return "\n".join(lines) + "\n"


class VppBench(WireBench):
    """Implements Bench."""

    def __init__(
        self,
        gateway: str,
        world: str,
        installation: VppInstallation,
        folder: Path,
        sections: tuple[str, ...] = (),
    ) -> None:
        """sections: of startup.conf, beside the usual ones."""
        super().__init__(gateway, world)
        in_namespace(gateway, silence)
        self.vpp = VppProcess(installation, folder, commands=start_up_commands(), sections=sections)
        try:
            self.start_vpp()
        except BaseException:
            super().close()
            raise
        self.dataplane: VppDataplane = self.another_instance()

    def start_vpp(self) -> None:
        """In the gateway's namespace."""
        self.vpp.start(lambda call: in_namespace(self.gateway, call))

    def another_instance(self) -> VppDataplane:
        client = VppClient(self.vpp.api_socket)
        return VppDataplane(
            client,
            InterfaceDirectory(client),
            StatsSegment(self.vpp.stats_socket),
            proxy_care_of_address=PROXY_COA,
            core_interfaces=(CORE,),
        )

    async def set_link(self, name: str, *, is_up: bool) -> None:
        state = "up" if is_up else "down"
        await asyncio.to_thread(self.vpp.cli, f"set interface state {name} {state}")

    async def is_link_up(self, name: str) -> bool:
        shown = await asyncio.to_thread(self.vpp.cli, f"show interface {name}")
        return " up " in shown

    async def from_node(
        self, access_interface: str, link_layer_source: bytes, packet: InnerPacket
    ) -> list[Seen]:
        if packet.source.is_link_local and frames.may_be_gateway(packet.destination):
            # VPP loses the packet that makes it resolve a neighbour; nodes resolve the gateway
            # first, which tells it their address.
            question = frames.neighbor_solicitation(
                packet.source, link_layer_source, RESERVED_LINK_LOCAL_ADDRESS
            )
            self.exchange(access_interface, question)
        return await super().from_node(access_interface, link_layer_source, packet)

    def close(self) -> None:
        super().close()
        self.vpp.stop()
