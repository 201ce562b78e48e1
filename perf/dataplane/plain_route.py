"""Up by one default route into VPP's own tunnel: nothing is known of the nodes, nothing checked."""

from perf.dataplane.frames import MobileNodes, uplink_frame
from perf.dataplane.path import Arm, Direction, Lane, make_arm, make_ipip_tunnel
from perf.dataplane.vpp_process import VppProcess


class PlainRoute:
    """The cheapest encapsulation that VPP has."""

    name = "plain-route"

    def install(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> tuple[Arm, ...]:
        """A tunnel and a route, whatever the number of nodes."""
        tunnel = make_ipip_tunnel(vpp, lane)
        vpp.configure([f"ip route add ::/0 table {lane.access_table} via {tunnel}"])
        arm = make_arm(
            vpp,
            self.name,
            Direction.UP,
            ingress=lane.access,
            egress=lane.core,
            nodes=nodes,
            frame=uplink_frame,
        )
        return (arm,)
