"""A gateway's forwarding composed of VPP's own features.

Up: source VRF selection takes the table by the packet's source, its default route the tunnel.
Down: the tunnel takes the outer header off, a route to the prefix leads to the node's neighbour.
No MAC check, no counters of a binding, no encapsulation limit.
"""

from perf.dataplane.frames import MobileNodes, tunnel_frame, uplink_frame
from perf.dataplane.path import Arm, Direction, Lane, make_arm, make_ipip_tunnel
from perf.dataplane.vpp_process import VppProcess

_TUNNEL_TABLE = 3000
_SOURCE_TABLE = 3001
_SPARE_NEIGHBOURS = 1000
"""Above the number of nodes; VPP's own limit is 50,000."""


class SvsIpip:
    """svs source table and default route into ipip; ipip, /64 route and neighbour for each node."""

    name = "composed"

    def install(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> tuple[Arm, ...]:
        """Both directions on one tunnel."""
        tunnel = make_ipip_tunnel(vpp, lane)
        return (self._up(vpp, lane, nodes, tunnel), self._down(vpp, lane, nodes))

    def _up(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes, tunnel: str) -> Arm:
        vpp.configure(
            [
                f"ip6 table add {_TUNNEL_TABLE}",
                f"ip route add ::/0 table {_TUNNEL_TABLE} via {tunnel}",
                f"svs table add ip6 table-id {_SOURCE_TABLE}",
                f"svs enable ip6 table-id {_SOURCE_TABLE} {lane.access}",
            ]
        )
        vpp.execute(
            f"svs route add table-id {_SOURCE_TABLE} {nodes.prefix(node)}"
            f" src-table-id {_TUNNEL_TABLE}"
            for node in range(nodes.count)
        )
        return make_arm(
            vpp,
            f"{self.name}-up",
            Direction.UP,
            ingress=lane.access,
            egress=lane.core,
            nodes=nodes,
            frame=uplink_frame,
        )

    def _down(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> Arm:
        vpp.configure(
            [
                f"set ip neighbor-config ip6 limit {nodes.count + _SPARE_NEIGHBOURS}",
                f"ip neighbor {lane.access} {nodes.link_local(0)} {nodes.mac(0).hex(':')}"
                f" static count {nodes.count}",
            ]
        )
        vpp.execute(
            f"ip route add {nodes.prefix(node)} table {lane.access_table}"
            f" via {nodes.link_local(node)} {lane.access}"
            for node in range(nodes.count)
        )
        return make_arm(
            vpp,
            f"{self.name}-down",
            Direction.DOWN,
            ingress=lane.core,
            egress=lane.access,
            nodes=nodes,
            frame=tunnel_frame,
        )
