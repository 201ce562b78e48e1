"""VPP as a plain IPv6 router with a /64 route for each node: the price of forwarding alone.

It also carries the two controls of every run: the same stream measured again, which must cost the
same, and one in small frames, which must be found to cost more.
"""

from dataclasses import replace
from typing import Final

from perf.dataplane.frames import CORE_NEXT_HOP, MobileNodes, plain_downlink_frame
from perf.dataplane.path import FULL_FRAME, Arm, Direction, Lane, make_arm
from perf.dataplane.vpp_process import VppProcess

NAME: Final = "forwarding"
AGAIN: Final = "forwarding-again"
SABOTAGED: Final = "forwarding-in-small-frames"
_SMALL_FRAME: Final = 32


class PlainForwarding:
    """All routes share one next hop: no neighbour, tunnel or check for each node."""

    name = NAME

    def install(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> tuple[Arm, ...]:
        """Consecutive /64 routes, made in one command."""
        # This command says how fast it was: an error would show as packets not delivered.
        vpp.cli(
            f"ip route add count {nodes.count} {nodes.prefix(0)} table {lane.access_table}"
            f" via {CORE_NEXT_HOP} {lane.core}"
        )
        arm = self._arm(vpp, lane, nodes, NAME, FULL_FRAME)
        sabotaged = self._arm(vpp, lane, nodes, SABOTAGED, _SMALL_FRAME)
        return (arm, replace(arm, name=AGAIN), sabotaged)

    def _arm(
        self, vpp: VppProcess, lane: Lane, nodes: MobileNodes, name: str, frame_limit: int
    ) -> Arm:
        return make_arm(
            vpp,
            name,
            Direction.DOWN,
            ingress=lane.access,
            egress=lane.core,
            nodes=nodes,
            frame=plain_downlink_frame,
            frame_limit=frame_limit,
        )
