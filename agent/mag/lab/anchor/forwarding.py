"""The reference LMA's packet path: one veth pair a gateway, encapsulating with seg6 `encap.red`.

A packet for a home network prefix is *forwarded* into the pair's near end like into any tunnel
device, so hop limits, Packet Too Big and Time Exceeded are the kernel's own; it comes in at the
far end and is encapsulated there (RFC 2473 without options). What gateways send is taken out by
`End.DT6`, from known gateways only. A binding is one route, and a handover replaces that route
in one netlink message.

Rules (the kernel's own rule for `local` moves from 0 to 100, and back at the end):

    20   iif core ipproto 41 lookup DECAPSULATION   LMAA from each Proxy-CoA, else dropped
    22   iif <far end> lookup 214xx                 encapsulate; the outer packet: out of here
    100  lookup local
"""

import asyncio
import errno
import socket
from ipaddress import IPv6Address, IPv6Network
from types import TracebackType
from typing import Any, Final, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from mag.dataplane.base import DataplaneError
from mag.dataplane.kernel.seg6 import (
    UNSPECIFIED,
    decapsulation,
    encapsulation,
    set_tunnel_source,
)
from mag.lab.errors import LabError
from mag.protocol.settings import IPV6_HEADER_OCTETS
from mag.wire.iana import IP_PROTOCOL_IPV6

_PROTOCOL: Final = 214
"""rtnetlink protocol number that marks what is ours."""
_LOCAL_TABLE: Final = 255
_MAIN_TABLE: Final = 254
_DECAPSULATION_TABLE: Final = 21400
_FIRST_ENCAPSULATION_TABLE: Final = 21401
_DECAPSULATION_PRIORITY: Final = 20
_ENCAPSULATION_PRIORITY: Final = 22
_LOCAL_PRIORITY: Final = 100
_TUNNEL_LINK_LAYER_ADDRESS: Final = "02:00:00:00:02:14"
# Whom it names is all the same: the pair has no neighbour discovery (arp off).
_FAR_END: Final = "fe80::1"
_KERNEL_PROTOCOL: Final = 2
_NEAR_END_ALIAS: Final = "mag-lab:tunnel"


def tunnel_interface(number: int) -> str:
    """Name of the interface that leads into the tunnel of that number, from 0 as they appear."""
    return f"mag-tun{number}"


class AnchorForwarding:
    """Tunnels by Proxy-CoA and routes by home network prefix, in this network namespace.

    An async context manager; leaving it takes everything away. Methods raise LabError.
    """

    def __init__(self, address: IPv6Address, core_interface: str, prefix_pool: IPv6Network) -> None:
        """address: LMAA, already on `core_interface`. prefix_pool: dropped where not routed."""
        self._address = address
        self._core_interface = core_interface
        self._prefix_pool = prefix_pool
        self._netlink = AsyncIPRoute()
        self._core = 0
        self._tunnel_mtu = 0
        self._tunnels: dict[IPv6Address, int] = {}
        """Interface index of the end that packets are routed into, by Proxy-CoA."""

    async def __aenter__(self) -> Self:
        await self._netlink.__aenter__()
        try:
            await self._set_up()
        except (NetlinkError, DataplaneError, LabError) as error:
            await self.__aexit__(None, None, None)
            raise LabError(str(error)) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._remove_what_is_ours()
        await asyncio.to_thread(set_tunnel_source, UNSPECIFIED)
        await self._netlink.__aexit__(kind, error, traceback)

    async def forward(
        self, prefixes: tuple[IPv6Network, ...], proxy_care_of_address: IPv6Address
    ) -> None:
        """Send what is for the prefixes through the tunnel to that gateway from now on."""
        try:
            tunnel = await self._tunnel_to(proxy_care_of_address)
            for prefix in prefixes:
                await self._route("replace", dst=str(prefix), oif=tunnel, gateway=_FAR_END)
        except NetlinkError as error:
            raise LabError(f"cannot forward to {proxy_care_of_address}: {error}") from error

    async def drop(self, prefixes: tuple[IPv6Network, ...]) -> None:
        """Drop what is for the prefixes from now on."""
        for prefix in prefixes:
            try:
                await self._route("del", dst=str(prefix))
            except NetlinkError as error:
                if error.code != errno.ESRCH:
                    raise LabError(f"cannot take away the route of {prefix}: {error}") from error

    async def _set_up(self) -> None:
        await self._remove_what_is_ours()
        found = await self._netlink.link_lookup(ifname=self._core_interface)
        if not found:
            raise LabError(f"no interface {self._core_interface}")
        self._core = int(found[0])
        async for link in await self._netlink.get_links(self._core):
            self._tunnel_mtu = int(link.get_attr("IFLA_MTU")) - IPV6_HEADER_OCTETS
        await asyncio.to_thread(set_tunnel_source, self._address)
        await self._require_reduced_encapsulation()
        await self._rule("add", priority=_LOCAL_PRIORITY, table=_LOCAL_TABLE)
        await self._rule(
            "add",
            priority=_DECAPSULATION_PRIORITY,
            iifname=self._core_interface,
            ip_proto=IP_PROTOCOL_IPV6,
            table=_DECAPSULATION_TABLE,
        )
        await self._rule("del", priority=0, table=_LOCAL_TABLE, protocol=0)
        await self._route("add", dst="default", type="blackhole", table=_DECAPSULATION_TABLE)
        await self._route("add", dst=str(self._prefix_pool), type="blackhole")
        # End.DT6 looks in `main` alone: our own address is to be found there too.
        await self._route("add", dst=f"{self._address}/128", type="local", oif=self._core)

    async def _require_reduced_encapsulation(self) -> None:
        """Fail early, in words, on kernels before 6.0 or without SRv6 lightweight tunnels."""
        table = _FIRST_ENCAPSULATION_TABLE
        probe = {"dst": "default", "table": table, "oif": self._core}
        try:
            await self._route("add", **probe, encap=encapsulation(self._address))
        except NetlinkError as error:
            raise LabError(
                "this kernel cannot do SRv6 reduced encapsulation (seg6 encap.red, Linux 6.0 or "
                f"newer): {error}"
            ) from error
        await self._route("del", **probe)

    async def _tunnel_to(self, proxy_care_of_address: IPv6Address) -> int:
        tunnel = self._tunnels.get(proxy_care_of_address)
        if tunnel is None:
            number = len(self._tunnels)
            tunnel = await self._build_tunnel(number, proxy_care_of_address)
            self._tunnels[proxy_care_of_address] = tunnel
        return tunnel

    async def _build_tunnel(self, number: int, proxy_care_of_address: IPv6Address) -> int:
        near = tunnel_interface(number)
        far = f"{near}-enc"
        table = _FIRST_ENCAPSULATION_TABLE + number
        # One address for both ends: without neighbour discovery a packet goes to the sender's
        # own, and the far end drops what is addressed to somebody else.
        ends = {"ifname": far, "address": _TUNNEL_LINK_LAYER_ADDRESS}
        await self._netlink.link(
            "add", ifname=near, kind="veth", peer=ends, address=_TUNNEL_LINK_LAYER_ADDRESS
        )
        near_end = await self._bring_up(near, ifalias=_NEAR_END_ALIAS)
        await self._bring_up(far)
        await self._route_into(proxy_care_of_address, table)
        await self._rule("add", priority=_ENCAPSULATION_PRIORITY, iifname=far, table=table)
        await self._route(
            "add",
            dst=f"{self._address}/128",
            src=f"{proxy_care_of_address}/128",
            table=_DECAPSULATION_TABLE,
            oif=self._core,
            encap=decapsulation(_MAIN_TABLE),
        )
        return near_end

    async def _bring_up(self, end: str, **attributes: str) -> int:
        (index,) = await self._netlink.link_lookup(ifname=end)
        mtu = self._tunnel_mtu
        await self._netlink.link("set", index=index, arp=False, mtu=mtu, **attributes)
        await self._netlink.link("set", index=index, state="up")
        return int(index)

    async def _route_into(self, proxy_care_of_address: IPv6Address, table: int) -> None:
        header = encapsulation(proxy_care_of_address)
        await self._route("add", dst="default", table=table, oif=self._core, encap=header)
        # Encapsulated, the packet is looked up once more with the same input interface.
        await self._route("add", dst=f"{proxy_care_of_address}/128", type="throw", table=table)

    async def _remove_what_is_ours(self) -> None:
        """By mark, never from memory: an anchor that was killed left its objects behind."""
        if not await self._has_local_rule():
            await self._rule("add", priority=0, table=_LOCAL_TABLE, protocol=_KERNEL_PROTOCOL)
        await self._netlink.flush_rules(family=socket.AF_INET6, protocol=_PROTOCOL)
        await self._netlink.flush_routes(family=socket.AF_INET6, proto=_PROTOCOL)
        links = [link async for link in await self._netlink.get_links()]
        for link in links:
            is_near_end = link.get_attr("IFLA_IFALIAS") == _NEAR_END_ALIAS
            if is_near_end:
                await self._netlink.link("del", index=link["index"])

    async def _has_local_rule(self) -> bool:
        """Whether the kernel's rule for `local` stands where it put it."""
        async for rule in await self._netlink.get_rules(family=socket.AF_INET6):
            is_first = not rule.get_attr("FRA_PRIORITY")
            if is_first and rule.get_attr("FRA_TABLE") == _LOCAL_TABLE:
                return True
        return False

    async def _route(self, command: str, **attributes: Any) -> None:
        attributes.setdefault("table", _MAIN_TABLE)
        await self._netlink.route(command, family=socket.AF_INET6, proto=_PROTOCOL, **attributes)

    async def _rule(self, command: str, **attributes: Any) -> None:
        attributes.setdefault("protocol", _PROTOCOL)
        await self._netlink.rule(command, family=socket.AF_INET6, **attributes)
