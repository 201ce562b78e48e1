"""What every packet path under measurement gives: itself installed in VPP, and its traffic."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from perf.dataplane.frames import (
    CORE_NEXT_HOP,
    CORE_NEXT_HOP_MAC,
    LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    MobileNodes,
    write_capture,
)
from perf.dataplane.vpp_process import VppProcess

Frame = Callable[[MobileNodes, int, bytes], bytes]
"""Of a node, to a MAC of the gateway."""

FULL_FRAME: Final = 256
"""Packets in a full frame of VPP."""
_UNLIMITED: Final = 1_000_000_000_000
"""Packets: a stream from a pcap file ends after one pass unless told."""
_FIRST_TABLE: Final = 1000


class Direction(StrEnum):
    """Of a stream, seen from the mobile nodes."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Lane:
    """Two interfaces and two IPv6 tables that one path has for itself."""

    number: int
    access: str
    core: str
    access_table: int
    core_table: int


@dataclass(frozen=True, slots=True)
class Arm:
    """One stream through one path: what is switched on and measured for a slice of time."""

    name: str
    stream: str
    """The packet generator's; two arms may share one."""
    direction: Direction
    egress: str
    """Interface on which every packet must leave."""
    frame_limit: int = FULL_FRAME
    """Packets that the generator sends at once."""


class ForwardingPath(Protocol):
    """A way to do a gateway's forwarding, or a part of it."""

    name: str
    """The first word of its arms' names."""

    def install(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> tuple[Arm, ...]:
        """Make all that forwarding for the nodes takes, and the streams that use it."""
        ...


def make_lane(vpp: VppProcess, number: int) -> Lane:
    """Access and core interface, each in its own table, with a resolved route to the LMA."""
    access_table = _FIRST_TABLE + 2 * number
    core_table = access_table + 1
    access = vpp.create_interface(2 * number, access_table)
    core = vpp.create_interface(2 * number + 1, core_table)
    next_hop_mac = CORE_NEXT_HOP_MAC.hex(":")
    vpp.configure(
        [
            f"set interface ip address {core} {PROXY_CARE_OF_ADDRESS}/64",
            f"ip neighbor {core} {CORE_NEXT_HOP} {next_hop_mac} static",
            f"ip route add {LMA_ADDRESS}/128 table {core_table} via {CORE_NEXT_HOP} {core}",
        ]
    )
    return Lane(number, access, core, access_table, core_table)


def make_arm(
    vpp: VppProcess,
    name: str,
    direction: Direction,
    *,
    ingress: str,
    egress: str,
    nodes: MobileNodes,
    frame: Frame,
    frame_limit: int = FULL_FRAME,
) -> Arm:
    """A stream of one frame for each node, over and over, into an interface."""
    gateway_mac = bytes(vpp.interface(ingress).l2_address.packed)
    capture = vpp.directory / "frames.pcap"
    write_capture(capture, (frame(nodes, node, gateway_mac) for node in nodes.shuffled()))
    vpp.configure(
        [
            f"packet-generator new {{ name {name} limit {_UNLIMITED} maxframe {frame_limit}"
            f" worker 0 interface {ingress} node ethernet-input pcap {capture} }}"
        ]
    )
    capture.unlink()
    return Arm(name, name, direction, egress, frame_limit)


def make_ipip_tunnel(vpp: VppProcess, lane: Lane) -> str:
    """VPP's own tunnel to the LMA, its inside in the access table; its name."""
    command = (
        f"create ipip tunnel src {PROXY_CARE_OF_ADDRESS} dst {LMA_ADDRESS}"
        f" outer-table-id {lane.core_table}"
    )
    tunnel = vpp.cli(command).strip()
    vpp.configure(
        [
            f"set interface ip6 table {tunnel} {lane.access_table}",
            f"set interface state {tunnel} up",
            f"enable ip6 interface {tunnel}",
        ]
    )
    return tunnel
