"""Our plugin, set up as the agent sets it up: one binding for each node serves both directions."""

import asyncio

from mag.dataplane.vpp.client import VppClient
from perf.dataplane.bindings import ENSURE, binding_messages, send_all
from perf.dataplane.frames import (
    LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    MobileNodes,
    limited_tunnel_frame,
    tunnel_frame,
    uplink_frame,
)
from perf.dataplane.path import Arm, Direction, Lane, make_arm
from perf.dataplane.vpp_process import CALL_TIMEOUT_S, VppProcess

_TUNNEL_MTU = 1460


class Own:
    """mag-uplink-ip6 and mag-downlink-ip6 with every check and counter that they have."""

    name = "own"

    def install(self, vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> tuple[Arm, ...]:
        """Interfaces, LMA and bindings; down also with the option that Linux LMAs send."""
        make_gateway(vpp, lane)
        asyncio.run(bind_all(vpp, lane, nodes))
        up = make_arm(
            vpp,
            "own-up",
            Direction.UP,
            ingress=lane.access,
            egress=lane.core,
            nodes=nodes,
            frame=uplink_frame,
        )
        down = (
            make_arm(
                vpp,
                name,
                Direction.DOWN,
                ingress=lane.core,
                egress=lane.access,
                nodes=nodes,
                frame=frame,
            )
            for name, frame in (
                ("own-down", tunnel_frame),
                ("own-down-limit", limited_tunnel_frame),
            )
        )
        return (up, *down)


def make_gateway(vpp: VppProcess, lane: Lane) -> None:
    """All but the bindings: loopback, mobility table, LMA, both interfaces enabled."""
    loopback = vpp.call("create_loopback").sw_if_index
    vpp.configure(
        [
            f"set interface ip6 table loop0 {lane.access_table}",
            "set interface state loop0 up",
            "set interface ip address loop0 2001:db8:ffff:d::1/128",
        ]
    )
    vpp.call(
        "mag_mobility_table_add_del", table_id=lane.access_table, loopback_sw_if_index=loopback
    )
    vpp.call(
        "mag_lma_add_del",
        lma_address=LMA_ADDRESS.packed,
        proxy_care_of_address=PROXY_CARE_OF_ADDRESS.packed,
        core_table_id=lane.core_table,
        tunnel_mtu=_TUNNEL_MTU,
    )
    access = vpp.interface(lane.access).sw_if_index
    vpp.call("mag_access_interface_enable_disable", sw_if_index=access)
    core = vpp.interface(lane.core).sw_if_index
    vpp.call("mag_core_interface_enable_disable", sw_if_index=core)


async def bind_all(vpp: VppProcess, lane: Lane, nodes: MobileNodes) -> None:
    """Bind every node to the lane's access interface."""
    client = VppClient(str(vpp.api_socket), name="mag-perf-bind", timeout_s=CALL_TIMEOUT_S)
    await client.connect()
    try:
        access = vpp.interface(lane.access).sw_if_index
        await send_all(client, binding_messages(nodes, range(nodes.count), access, ENSURE))
    finally:
        await client.close()
