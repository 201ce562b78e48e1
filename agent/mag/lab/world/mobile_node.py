"""What a mobile node's own kernel believes: addresses, default router, MTU."""

import socket
from collections.abc import AsyncIterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, Final

from pyroute2 import AsyncIPRoute

from mag.frozen import frozen
from mag.lab.world import topology
from mag.lab.world.network_namespace import inside_network_namespace
from mag.wire.ethernet import parse_link_layer_address

_IFA_F_TENTATIVE: Final = 0x40
_SCOPE_UNIVERSE: Final = 0
_LOOPBACK: Final = 1
"""Its index in every namespace."""
_MAIN_TABLE: Final = 254
_SETTINGS: Final = Path("/proc/sys/net/ipv6/conf") / topology.NODE_INTERFACE


@frozen
class NodeAddress:
    """A global address that the node made by itself."""

    address: IPv6Address
    prefix: IPv6Network
    created: int
    """The kernel's stamp: another one means that the address went and came back."""


@frozen
class DefaultRouter:
    """Where the node sends what is not on its link."""

    link_local_address: IPv6Address
    link_layer_address: str | None
    """None while the node's neighbour cache does not know it."""


@frozen
class NodeView:
    """What moving must not change (RFC 5213 §6.7: the node notices nothing)."""

    address: NodeAddress | None
    """Usable: no longer tentative."""
    default_router: DefaultRouter | None
    mtu: int


def address_in(prefix: IPv6Network, node: topology.MobileNode) -> IPv6Address:
    """The address that the node's kernel makes in a /64 (RFC 4862 §5.5.3, modified EUI-64)."""
    mac = parse_link_layer_address(node.link_layer_address)
    identifier = bytes((mac[0] ^ 0x02,)) + mac[1:3] + b"\xff\xfe" + mac[3:]
    return prefix[int.from_bytes(identifier, "big")]


async def look_at(node: str, netlink: AsyncIPRoute) -> NodeView:
    """Read a mobile node's state. netlink: a socket in the node's namespace."""
    with inside_network_namespace(node):
        mtu = _setting("mtu")
    return NodeView(await _address(netlink), await _default_router(netlink), mtu)


async def sending_in_words(node: str, source: IPv6Address, netlink: AsyncIPRoute) -> str:
    """What a mobile node's kernel has to send from this address with, to stand in an error."""
    with inside_network_namespace(node):
        most = _setting("max_addresses")
    addresses = [each async for each in _addresses(netlink)]
    own = next((each for each in addresses if _address_of(each) == source), None)
    if own is None:
        # Those withdrawn count for two hours (RFC 4862 §5.5.3): it may have no room for this one.
        words = f"{source} is none of its {len(addresses)} addresses, it makes {most} at most"
    elif _is_tentative(own):
        words = f"it still looks for duplicates of {source}"
    else:
        words = f"it has {source}"
    router = await _default_router(netlink)
    if router is None:
        return f"{words}; no default router"
    return f"{words}; default router {router.link_local_address} at {router.link_layer_address}"


async def global_addresses(netlink: AsyncIPRoute) -> list[tuple[int, NodeAddress]]:
    """Usable global addresses with the index of their interface; netlink: as for look_at."""
    found = []
    async for message in _addresses(netlink):
        if message["scope"] == _SCOPE_UNIVERSE and not _is_tentative(message):
            address = _address_of(message)
            prefix = IPv6Network((address, message["prefixlen"]), strict=False)
            created = message.get_attr("IFA_CACHEINFO")["cstamp"]
            found.append((message["index"], NodeAddress(address, prefix, created)))
    return found


async def _addresses(netlink: AsyncIPRoute) -> AsyncIterator[Any]:
    """The kernel's messages about all but the loopback interface's."""
    async for message in await netlink.get_addr(family=socket.AF_INET6):
        if message["index"] != _LOOPBACK:
            yield message


def _address_of(message: Any) -> IPv6Address:
    return IPv6Address(message.get_attr("IFA_ADDRESS"))


def _is_tentative(message: Any) -> bool:
    return bool(message.get_attr("IFA_FLAGS") & _IFA_F_TENTATIVE)


def _setting(name: str) -> int:
    return int((_SETTINGS / name).read_text(encoding="ascii"))


async def _address(netlink: AsyncIPRoute) -> NodeAddress | None:
    return next((address for _, address in await global_addresses(netlink)), None)


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
