"""Live probe traffic between a mobile node and the correspondent, both ways at once."""

import json
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Final

from mag.lab.traffic.traffic_statistics import Arrival, DirectionStatistics, direction_statistics
from mag.lab.world import topology
from mag.lab.world.node_process import NodeProcess, start_python

PROBES_PER_S: Final = 1000
_START_TIMEOUT_S: Final = 5.0
_REPORT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class TrafficResult:
    """Both directions of one run."""

    uplink: DirectionStatistics
    """From the mobile node."""
    downlink: DirectionStatistics
    """To the mobile node."""

    @property
    def directions(self) -> tuple[DirectionStatistics, DirectionStatistics]:
        """Up, down."""
        return self.uplink, self.downlink


class ProbeTraffic:
    """Two probe processes: one in the mobile node, one in the correspondent."""

    def __init__(self, node: NodeProcess, correspondent: NodeProcess) -> None:
        self._node = node
        self._correspondent = correspondent

    @classmethod
    async def ready(cls, node: str, address: IPv6Address) -> "ProbeTraffic":
        """Start both ends; nothing is sent yet. address: the node's own. Raises LabError."""
        correspondent = topology.CORRESPONDENT_SIDE.ip
        ends = (
            _start(node, address, correspondent),
            _start(topology.CORRESPONDENT, correspondent, address),
        )
        for end in ends:
            await end.next_line(_START_TIMEOUT_S)
        return cls(*ends)

    def send(self) -> None:
        """Both ends send from now on."""
        self._tell("send")

    def stop(self) -> None:
        """Both ends stop sending; what is on its way still counts."""
        self._tell("stop")

    async def result(self) -> TrafficResult:
        """End both processes and compare what one sent with what the other received."""
        self._tell("report")
        node = json.loads(await self._node.next_line(_REPORT_TIMEOUT_S))
        correspondent = json.loads(await self._correspondent.next_line(_REPORT_TIMEOUT_S))
        for end in (self._node, self._correspondent):
            await end.wait(_REPORT_TIMEOUT_S)
        return TrafficResult(_compare(node, correspondent), _compare(correspondent, node))

    def _tell(self, command: str) -> None:
        for end in (self._node, self._correspondent):
            end.tell(command)


def _start(node: str, address: IPv6Address, peer: IPv6Address) -> NodeProcess:
    module = ("-m", "mag.lab.traffic.probe_process")
    return start_python(
        node, f"{node}-probe", (*module, str(address), str(peer), str(PROBES_PER_S))
    )


def _compare(sender: dict[str, Any], receiver: dict[str, Any]) -> DirectionStatistics:
    numbered = zip(receiver["received_sequence"], receiver["received_at_ns"], strict=False)
    return direction_statistics(sender["sent_at_ns"], (Arrival(*each) for each in numbered))
