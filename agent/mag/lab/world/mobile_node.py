"""What a mobile node's own kernel believes: addresses, default router, MTU."""

import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Final

from pyroute2 import AsyncIPRoute

from mag.lab.world import topology
from mag.lab.world.network_namespace import inside_network_namespace

_IFA_F_TENTATIVE: Final = 0x40
_SCOPE_UNIVERSE: Final = 0
_MAIN_TABLE: Final = 254
_MTU: Final = Path(f"/proc/sys/net/ipv6/conf/{topology.NODE_INTERFACE}/mtu")


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A global address that the node made by itself."""

    address: IPv6Address
    prefix: IPv6Network
    created: int
    """The kernel's stamp: another one means that the address went and came back."""


@dataclass(frozen=True, slots=True)
class DefaultRouter:
    """Where the node sends what is not on its link."""

    link_local_address: IPv6Address
    link_layer_address: str | None
    """None while the node's neighbour cache does not know it."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What moving must not change (RFC 5213 §6.7: the node notices nothing)."""

    address: NodeAddress | None
    """Usable: no longer tentative."""
    default_router: DefaultRouter | None
    mtu: int


async def look_at(node: str, netlink: AsyncIPRoute) -> NodeView:
    """Read a mobile node's state. netlink: a socket in the node's namespace."""
    with inside_network_namespace(node):
        mtu = int(_MTU.read_text(encoding="ascii"))
    return NodeView(await _address(netlink), await _default_router(netlink), mtu)


async def _address(netlink: AsyncIPRoute) -> NodeAddress | None:
    async for message in await netlink.get_addr(family=socket.AF_INET6):
        is_on_link = message["index"] != 1 and message["scope"] == _SCOPE_UNIVERSE
        if is_on_link and not message.get_attr("IFA_FLAGS") & _IFA_F_TENTATIVE:
            address = IPv6Address(message.get_attr("IFA_ADDRESS"))
            prefix = IPv6Network((address, message["prefixlen"]), strict=False)
            return NodeAddress(address, prefix, message.get_attr("IFA_CACHEINFO")["cstamp"])
    return None


async def _default_router(netlink: AsyncIPRoute) -> DefaultRouter | None:
    async for route in await netlink.get_routes(family=socket.AF_INET6, table=_MAIN_TABLE):
        gateway = route.get_attr("RTA_GATEWAY")
        if route["dst_len"] == 0 and gateway is not None:
            return DefaultRouter(IPv6Address(gateway), await _neighbour(netlink, gateway))
    return None


async def _neighbour(netlink: AsyncIPRoute, address: str) -> str | None:
    async for neighbour in await netlink.get_neighbours(family=socket.AF_INET6):
        if neighbour.get_attr("NDA_DST") == address:
            link_layer: str | None = neighbour.get_attr("NDA_LLADDR")
            return link_layer
    return None
