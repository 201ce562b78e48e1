"""`show runtime`, read: what each graph node of a thread did since `clear runtime`."""

import re
from dataclasses import dataclass
from typing import Final

GENERATOR: Final = "pg-input"
_NAME_COLUMNS: Final = 30
"""VPP cuts longer names here and leaves no space behind them."""
_THREAD: Final = re.compile(r"^Thread (\d+) ")
_COUNTS: Final = re.compile(
    r"^\s*(?P<state>\S.*?)\s+(?P<calls>\d+)\s+(?P<vectors>\d+)\s+\d+\s+"
    r"(?P<clocks>\d[\d.e+-]*)\s+(?P<vectors_per_call>\d+\.\d+)\s*$"
)


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """One line of `show runtime`."""

    name: str
    calls: int
    vectors: int
    """Packets."""
    clocks: float
    """TSC clocks for each packet, or for each call of a node that saw none; three digits."""


@dataclass(frozen=True, slots=True)
class PathCost:
    """What packets cost from the generator to the interface on which they left."""

    generated: int
    delivered: int
    vectors_per_call: float
    """Of the generator."""
    clocks_per_packet: float
    """Sum over all nodes but the generator."""
    nodes: dict[str, float]
    """The same node by node, clocks for each packet generated."""


def parse_runtime(text: str) -> dict[int, list[NodeRuntime]]:
    """The lines of each thread; thread 0 is the main thread."""
    threads: dict[int, list[NodeRuntime]] = {}
    current: list[NodeRuntime] = []
    for line in text.splitlines():
        if thread := _THREAD.match(line):
            current = threads.setdefault(int(thread[1]), [])
        elif counts := _COUNTS.match(line[_NAME_COLUMNS:]):
            current.append(
                NodeRuntime(
                    line[:_NAME_COLUMNS].strip(),
                    int(counts["calls"]),
                    int(counts["vectors"]),
                    float(counts["clocks"]),
                )
            )
    return threads


def path_cost(nodes: list[NodeRuntime], egress: str) -> PathCost:
    """Cost of what one thread forwarded. Raises ValueError when the generator sent nothing.

    A node that packets pass twice counts twice: its clocks are those of a packet and visit.
    """
    working = {node.name: node for node in nodes if node.vectors}
    generator = working.pop(GENERATOR, None)
    if generator is None:
        raise ValueError("the packet generator sent nothing")
    generated = generator.vectors
    costs = {name: node.clocks * node.vectors / generated for name, node in working.items()}
    transmit = working.get(f"{egress}-tx")
    return PathCost(
        generated,
        transmit.vectors if transmit else 0,
        generated / generator.calls,
        sum(costs.values()),
        costs,
    )
