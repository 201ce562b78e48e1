"""All adapters of a gateway on a real VPP, with the test on its links."""

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from dataplane.conftest import vpp_installation
from dataplane.contract.bench import ACCESS_LINKS, LINKS, LMA_A, LMA_B, PROXY_COA, TUNNELS
from dataplane.contract.kernel_bench import (
    CORE,
    CORE_LINK_LAYER_ADDRESS,
    WORLD_LINK_LAYER_ADDRESS,
    tap_of,
)
from dataplane.contract.vpp_bench import VppBench
from mag.dataplane.reconciler import Reconciler
from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS
from mag.services.event_log import LogEntry
from mag.services.node_signal import NodeSignal
from mag.services.vpp_adapters import VppAdapters, VppSettings
from mag.wire.ethernet import ETHERTYPE_IPV6, EthernetFrame
from mag.wire.ipv6 import IPv6Packet
from support.namespaces import in_namespace, namespace_pair
from support.vpp_process import VppInstallation

DEADLINE_S: Final = 20.0
FRAME_DEADLINE_S: Final = 5.0
_Value = TypeVar("_Value")


async def eventually(condition: Callable[[], _Value]) -> _Value:
    """Let the loop and VPP work until the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        # VPP is another process: there is nothing of it to await.
        while not (value := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return value


class AdaptersBench:
    """The adapters, what they handed on, and the far ends of the links."""

    def __init__(self, bench: VppBench, punt_socket: Path) -> None:
        self.bench = bench
        self.adapters = VppAdapters(
            VppSettings(
                core_interfaces=(CORE,),
                punt_socket=str(punt_socket),
                api_socket=bench.vpp.api_socket,
                stats_socket=bench.vpp.stats_socket,
            ),
            proxy_care_of_address=PROXY_COA,
            lma_addresses=(LMA_A, LMA_B),
            gateway_link_layer_address=RESERVED_LINK_LAYER_ADDRESS,
            access_links=dict.fromkeys(LINKS, True),
        )
        self.reconciler = Reconciler(self.adapters.dataplane)
        self.signals: list[NodeSignal] = []
        self.notes: list[LogEntry] = []
        """What `keep_connected` told."""
        self.messages: list[tuple[bytes, object]] = []
        self._taps = in_namespace(
            bench.world, lambda: {name: tap_of(name) for name in (CORE, *LINKS)}
        )

    async def open(self) -> None:
        """As the daemon does."""
        await self.adapters.dataplane.open()
        for record in (*TUNNELS, *ACCESS_LINKS):
            self.reconciler.want(record)
        await self.resync()
        self.adapters.transport.open(
            lambda data, source: self.messages.append((data, source)), lambda *_: None
        )
        for port in self.adapters.ports.values():
            port.open(self.signals.append)

    async def resync(self) -> None:
        """Raises the first failure."""
        for outcome in await self.reconciler.resync():
            if outcome.error is not None:
                raise outcome.error

    def has_noted(self, name: str, words: str = "") -> bool:
        """Whether that was told, with these words in its facts."""
        return any(note.name == name and words in str(note.facts) for note in self.notes)

    async def close(self) -> None:
        """As the daemon does."""
        for port in self.adapters.ports.values():
            port.close()
        self.adapters.transport.close()
        await self.adapters.dataplane.close(remove=True)
        for tap in self._taps.values():
            tap.close()

    def send(self, link: str, frame: bytes) -> None:
        """A frame of a node, or of the core."""
        self._taps[link].send(frame)

    def send_from_core(self, packet: IPv6Packet) -> None:
        """To the gateway's link-layer address."""
        self.send(CORE, _framed(CORE_LINK_LAYER_ADDRESS, WORLD_LINK_LAYER_ADDRESS, packet))

    def await_frame(
        self, link: str, is_wanted: Callable[[EthernetFrame, IPv6Packet], bool]
    ) -> tuple[EthernetFrame, IPv6Packet]:
        """The first frame out of VPP on the link that is wanted."""
        tap = self._taps[link]
        give_up = time.monotonic() + FRAME_DEADLINE_S
        while time.monotonic() < give_up:
            if not select.select([tap], [], [], FRAME_DEADLINE_S)[0]:
                break
            data, (_, _, kind, *_) = tap.recvfrom(65535)
            frame = EthernetFrame.decode(data)
            packet = IPv6Packet.decode(frame.payload)
            if kind != socket.PACKET_OUTGOING and is_wanted(frame, packet):
                return frame, packet
        raise AssertionError(f"no such frame came out on {link}")


def frame_of(link_layer_source: bytes, destination: str, packet: IPv6Packet) -> bytes:
    """A node's frame."""
    return _framed(destination, link_layer_source.hex(":"), packet)


def _framed(destination: str, source: str, packet: IPv6Packet) -> bytes:
    addresses = (bytes.fromhex(text.replace(":", "")) for text in (destination, source))
    return EthernetFrame(*addresses, ETHERTYPE_IPV6, packet.encode()).encode()


@asynccontextmanager
async def opened_adapters(sections: tuple[str, ...] = ()) -> AsyncIterator[AdaptersBench]:
    """Two LMAs, two access links, nobody bound. sections: of VPP's startup.conf."""
    assert isinstance(vpp_installation, VppInstallation)
    with TemporaryDirectory(prefix="mag-vpp-") as folder, namespace_pair() as (gateway, world):
        wires = VppBench(gateway, world, vpp_installation, Path(folder), sections)
        bench = AdaptersBench(wires, Path(folder) / "agent.sock")
        try:
            await bench.open()
            yield bench
        finally:
            await bench.close()
            wires.close()
