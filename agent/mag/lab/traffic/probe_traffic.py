"""Live probe traffic between mobile nodes and the correspondent, both ways at once."""

import json
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any, Final

from mag.frozen import frozen
from mag.lab.traffic.traffic_statistics import (
    Arrival,
    DirectionStatistics,
    direction_statistics,
    together,
)
from mag.lab.world import topology
from mag.lab.world.node_process import NodeProcess, start_python

PROBES_PER_S: Final = 1000
"""Of one ProbeTraffic, each way."""
FIRST_PORT: Final = 5300
"""Each ProbeTraffic has its own, counted from here: all of them end at one correspondent."""
_START_TIMEOUT_S: Final = 5.0
_REPORT_TIMEOUT_S: Final = 10.0


@frozen
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


def in_sum(results: Sequence[TrafficResult]) -> TrafficResult:
    """Several runs at the same time as one."""
    return TrafficResult(
        together([each.uplink for each in results]), together([each.downlink for each in results])
    )


class ProbeTraffic:
    """Two probe processes: one with the mobile nodes, one in the correspondent."""

    def __init__(self, nodes: NodeProcess, correspondent: NodeProcess) -> None:
        self._nodes = nodes
        self._correspondent = correspondent

    @classmethod
    async def ready(
        cls, namespace: str, addresses: Mapping[str, IPv6Address], number: int = 0
    ) -> "ProbeTraffic":
        """Start both ends; nothing is sent yet. Raises LabError.

        addresses: by interface of the namespace, which are mobile nodes that share the probes in
        turn. number: another one for each that runs at the same time.
        """
        correspondent, port = str(topology.CORRESPONDENT_SIDE.ip), str(FIRST_PORT + number)
        up, down = [], []
        for interface, address in addresses.items():
            up += [f"{address}%{interface}", correspondent]
            down += [correspondent, str(address)]
        ends = (
            _start(namespace, f"{namespace}-probe", port, up),
            _start(topology.CORRESPONDENT, f"{topology.CORRESPONDENT}-probe-{port}", port, down),
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
        nodes = json.loads(await self._nodes.next_line(_REPORT_TIMEOUT_S))
        correspondent = json.loads(await self._correspondent.next_line(_REPORT_TIMEOUT_S))
        for end in (self._nodes, self._correspondent):
            await end.wait(_REPORT_TIMEOUT_S)
        return TrafficResult(_compare(nodes, correspondent), _compare(correspondent, nodes))

    def _tell(self, command: str) -> None:
        for end in (self._nodes, self._correspondent):
            end.tell(command)


def _start(namespace: str, name: str, port: str, addresses: Sequence[str]) -> NodeProcess:
    module = ("-m", "mag.lab.traffic.probe_process")
    return start_python(namespace, name, (*module, str(PROBES_PER_S), port, *addresses))


def _compare(sender: dict[str, Any], receiver: dict[str, Any]) -> DirectionStatistics:
    numbered = zip(receiver["received_sequence"], receiver["received_at_ns"], strict=False)
    return direction_statistics(sender["sent_at_ns"], (Arrival(*each) for each in numbered))
