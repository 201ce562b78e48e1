"""Packets into and out of VPP's packet generator interfaces."""

import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import PcapReader

from vpp.plugin.vpp_process import VppProcess

ARRIVAL_TIMEOUT_SECONDS = 3.0
ENDLESS_PACKETS = 10**12
PCAP_HEADER = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
"""Link type 1: Ethernet."""
MLD_ROUTERS = "33:33:00:00:00:16"
"""Where VPP reports its groups, seconds after an interface came up (RFC 3810 section 5.2.14)."""
PACKETS_PER_STREAM = 63
"""One less than 64: main loop and tail of every node run."""


class Port:
    """A packet generator interface, as VPP sees it and as its peer does."""

    def __init__(self, vpp: VppProcess, number: int, *, segment_octets: int = 0) -> None:
        """segment_octets: TCP comes in as from a NIC that leaves checksums and segments to us."""
        self._vpp = vpp
        self.number = number
        self.sw_if_index = vpp.api.pg_create_interface(
            interface_id=number, gso_enabled=bool(segment_octets), gso_size=segment_octets
        ).sw_if_index
        self.name = f"pg{number}"
        self.mac = str(self._details().l2_address)
        self._streams = 0

    def _details(self) -> Any:
        return next(
            d
            for d in self._vpp.api.sw_interface_dump(sw_if_index=self.sw_if_index)
            if d.sw_if_index == self.sw_if_index
        )

    def refresh(self) -> None:
        """Read the MAC again."""
        self.mac = str(self._details().l2_address)

    def queue(
        self,
        frames: Sequence[Packet | bytes],
        *,
        worker: int | None = None,
        limit: int | None = None,
    ) -> None:
        """Make a stream that the next `run` sends: once, or until so many packets are sent."""
        path = self._path(f"in-{self._streams}")
        path.write_bytes(_pcap(frames))
        name = f"{self.name}-{self._streams}"
        self._streams += 1
        suffix = "" if worker is None else f" worker {worker}"
        suffix += "" if limit is None else f" limit {limit}"
        reply = self._vpp.cli(
            f"packet-generator new pcap {path} source pg{self.number} name {name}{suffix}"
        )
        assert reply == "", reply

    def start_capture(self) -> None:
        """Forget what came out before."""
        self._path("out").unlink(missing_ok=True)
        self._vpp.cli(f"packet-generator capture {self.name} disable")
        self._vpp.cli(f"packet-generator capture {self.name} pcap {self._path('out')}")

    def captured(self) -> list[Packet]:
        """What came out since start_capture, but for what VPP says of its own groups."""
        path = self._path("out")
        if not path.exists() or path.stat().st_size <= 24:
            return []
        try:
            with PcapReader(str(path)) as reader:
                frames = [Ether(bytes(p)) for p in reader]
        except EOFError:
            return []
        return [frame for frame in frames if frame.dst != MLD_ROUTERS]

    def _path(self, name: str) -> Path:
        return self._vpp.run / f"{self.name}-{name}.pcap"


def _pcap(frames: Iterable[Packet | bytes]) -> bytes:
    """The frames as a file: scapy's own writer is too slow for millions."""
    parts = [PCAP_HEADER]
    for frame in map(bytes, frames):
        parts += (struct.pack("=IIII", 0, 0, len(frame), len(frame)), frame)
    return b"".join(parts)


@contextmanager
def endless_traffic(
    vpp: VppProcess, *streams: tuple[Port, Sequence[Packet]], worker: int | None = None
) -> Iterator[None]:
    """Each stream is repeated as fast as it goes, until the end; nothing is captured."""
    for port, frames in streams:
        port.queue(frames, worker=worker, limit=ENDLESS_PACKETS)
    vpp.cli("packet-generator enable-stream")
    try:
        yield
    finally:
        vpp.cli("packet-generator disable-stream")
        delete_streams(vpp)


def run(vpp: VppProcess, ports: Sequence[Port]) -> None:
    """Send every queued stream; returns when VPP has taken all of it and run its graph."""
    for port in ports:
        port.start_capture()
    vpp.cli("packet-generator enable-stream")
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_SECONDS
    while "Yes" in vpp.cli("show packet-generator"):
        assert time.monotonic() < deadline, "the stream does not end"
    # each command stops the workers between two runs of their graphs
    for _ in range(2 * (vpp.workers + 1)):
        vpp.cli("show packet-generator")


def delete_streams(vpp: VppProcess) -> None:
    """Forget the streams that were sent."""
    for line in vpp.cli("show packet-generator").splitlines()[1:]:
        vpp.cli(f"packet-generator delete {line.split()[0]}")


def send(
    vpp: VppProcess,
    port: Port,
    frames: Sequence[Packet | bytes],
    ports: Sequence[Port],
    worker: int | None,
) -> None:
    """Send frames into one port, capturing at all."""
    port.queue(frames, worker=worker)
    try:
        run(vpp, ports)
    finally:
        delete_streams(vpp)


def wait_for_packets(port: Port, count: int) -> list[Packet]:
    """What came out of the port; fewer than count only if they do not come in time."""
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_SECONDS
    while len(packets := port.captured()) < count and time.monotonic() < deadline:
        pass
    return packets
