"""Who is in the lab, where, and under which addresses (documentation prefix, RFC 3849).

mn1 mn2 mn3            mobile nodes: unmodified kernels, eth0
 |   |   |             radio: one bridge per radio cell
[cell1] [cell2]
   |       |
  mag1    mag2         gateways: access, core
   |       |
  [  core   ]          core: one segment
       |
      lma              local mobility anchor: core, cn
       |
      cn               correspondent: eth0
"""

from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from typing import Final

from mag.frozen import frozen

ACCESS_INTERFACE: Final = "access"
CORE_INTERFACE: Final = "core"
ANCHOR_TO_CORRESPONDENT: Final = "cn"
NODE_INTERFACE: Final = "eth0"

CROWD: Final = "crowd"
"""One namespace for all nodes of a crowd; there only where a scenario wants one."""
RADIO: Final = "radio"
CORE: Final = "core"
LOCAL_MOBILITY_ANCHOR: Final = "lma"
CORRESPONDENT: Final = "cn"

CORE_PREFIX_LENGTH: Final = 64
LMA_ADDRESS: Final = IPv6Address("2001:db8:c0::1")
ANCHOR_SIDE: Final = IPv6Interface("2001:db8:cc::1/64")
CORRESPONDENT_SIDE: Final = IPv6Interface("2001:db8:cc::2/64")
PREFIX_POOL: Final = IPv6Network("2001:db8:100::/48")
LINK_MTU: Final = 1500
TUNNEL_MTU: Final = LINK_MTU - 40


@frozen
class Gateway:
    """A Mobile Access Gateway and the radio cell it serves."""

    name: str
    cell: str
    proxy_care_of_address: IPv6Address


@frozen
class MobileNode:
    """A mobile node as it starts: its identity, its MAC and the cell it switches on in."""

    name: str
    mn_id: str
    link_layer_address: str
    cell: str


GATEWAYS: Final = (
    Gateway("mag1", "cell1", IPv6Address("2001:db8:c0::11")),
    Gateway("mag2", "cell2", IPv6Address("2001:db8:c0::12")),
)
MOBILE_NODES: Final = (
    MobileNode("mn1", "mn1@lab.example", "02:00:00:00:01:01", "cell1"),
    MobileNode("mn2", "mn2@lab.example", "02:00:00:00:01:02", "cell1"),
    MobileNode("mn3", "mn3@lab.example", "02:00:00:00:01:03", "cell2"),
)

NODES: Final = (
    *(node.name for node in MOBILE_NODES),
    *(gateway.name for gateway in GATEWAYS),
    LOCAL_MOBILITY_ANCHOR,
    CORRESPONDENT,
    RADIO,
    CORE,
)
"""Every network namespace of the lab: what `mag lab exec` takes."""

CAPTURED_INTERFACES: Final = (
    *(f"{node.name}/{NODE_INTERFACE}" for node in MOBILE_NODES),
    *(f"{gateway.name}/{ACCESS_INTERFACE}" for gateway in GATEWAYS),
    *(f"{gateway.name}/{CORE_INTERFACE}" for gateway in GATEWAYS),
    f"{LOCAL_MOBILITY_ANCHOR}/{CORE_INTERFACE}",
    f"{LOCAL_MOBILITY_ANCHOR}/{ANCHOR_TO_CORRESPONDENT}",
)
"""NODE/INTERFACE: radio, access links, core segment and the way to the correspondent."""


def gateway_of(cell: str) -> Gateway:
    """The gateway that serves a radio cell."""
    return next(gateway for gateway in GATEWAYS if gateway.cell == cell)


def crowd(size: int) -> tuple[MobileNode, ...]:
    """Light-weight mobile nodes: interfaces of one namespace, each with a MAC of its own."""
    return tuple(
        MobileNode(
            f"crowd{number}",
            f"crowd{number}@lab.example",
            f"02:00:00:01:{number >> 8:02x}:{number & 0xFF:02x}",
            "cell1",
        )
        for number in range(1, size + 1)
    )
