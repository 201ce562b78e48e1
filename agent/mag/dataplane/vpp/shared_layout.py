"""What all bindings share in VPP: the mobility table, its loopback, its multicast, the core side.

Access interfaces and the loopback live in the mobility table, which holds no other route of ours
than the plugin's own lookup: that way ICMPv6 errors and neighbour answers reach the nodes, and no
packet of a node meets the core's routes. The loopback carries the Proxy-CoA once more, as the
source of ICMPv6 errors to nodes.
"""

from collections.abc import AsyncIterator, Collection, Iterator
from ipaddress import IPv6Address, IPv6Interface
from typing import Any, Final, NewType

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp import marks
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.interfaces import (
    NO_INTERFACE,
    InterfaceDirectory,
    SwIfIndex,
    VppInterface,
)

TableId = NewType("TableId", int)

CORE_TABLE: Final = TableId(0)
ALL_DHCP_RELAY_AGENTS_AND_SERVERS: Final = IPv6Address("ff02::1:2")
"""VPP joins all other groups that nodes talk to when IPv6 is enabled on an interface."""

ROLE_CORE: Final = 1

_IP6: Final = 1
_ACCEPT_ALL_INTERFACES: Final = 8
_FORWARD: Final = 4
_LOCAL_PATH: Final = 1
_LABELS: Final = 16
_ADMIN_UP: Final = 1
_IS_IP6: Final = True
_WHOLE_ADDRESS: Final = 128

NO_SUCH_ENTRY: Final = -6
NO_SUCH_INTERFACE: Final = -2
VALUE_EXISTS: Final = -81
_DUPLICATE_ADDRESS: Final = -127


class SharedLayout:
    """Builds it, finds it, takes it away; only what carries our marks."""

    def __init__(
        self,
        client: VppClient,
        interfaces: InterfaceDirectory,
        *,
        proxy_care_of_address: IPv6Address,
        core_interfaces: tuple[str, ...],
        mobility_table: TableId,
        hand_off: bool,
    ) -> None:
        """interfaces: refreshed before every call that reads VPP's state."""
        self._client = client
        self._interfaces = interfaces
        self._address = proxy_care_of_address
        self._core_interfaces = core_interfaces
        self._table = mobility_table
        self._hand_off = hand_off

    async def check(self) -> None:
        """Raises DataplaneError with the first thing that stands in the way; changes nothing."""
        for name in self._core_interfaces:
            self._interfaces.get(name)
        for entry in await self._client.dump("ip_table_dump"):
            table = entry.table
            is_foreign = table.is_ip6 and table.name != marks.TABLE_NAME
            if is_foreign and table.table_id == self._table:
                reason = f"IPv6 table {self._table} is there already, as {table.name!r}"
                raise DataplaneError("check mobility table", reason)
        await self._check_address()

    async def build(self) -> SwIfIndex:
        """Bring it about, leaving alone what is there; the loopback's index."""
        await self._client.call("ip_table_add_del", is_add=True, table=self._table_record())
        await self._change_multicast_route(is_add=True)
        loopback = await self._ensure_loopback()
        await self._client.call(
            "mag_mobility_table_add_del",
            is_add=True,
            table_id=self._table,
            loopback_sw_if_index=NO_INTERFACE,
        )
        cores = [self._interfaces.get(name) for name in self._core_interfaces]
        await self._disable_cores(besides=cores)
        for core in cores:
            await self._client.call(
                "mag_core_interface_enable_disable",
                target=core.name,
                enable=True,
                sw_if_index=core.sw_if_index,
                hand_off=self._hand_off,
            )
        return loopback

    def is_begun(self) -> bool:
        """Whether something of it is in this VPP already: not one that has just started."""
        return next(self._loopbacks(), None) is not None

    async def losses(self) -> AsyncIterator[str]:
        """What is not as `build` left it, in words."""
        tables = await self._client.dump("mag_mobility_table_dump")
        if not await self._has_table() or self._table not in [each.table_id for each in tables]:
            yield f"mobility table {self._table}"
        if next(self._loopbacks(), None) is None:
            yield "loopback of the mobility table"
        entries = await self._client.dump("mag_interface_dump")
        enabled = {entry.sw_if_index for entry in entries if entry.role == ROLE_CORE}
        for name in self._core_interfaces:
            core = self._interfaces.find(name)
            if core is None or core.sw_if_index not in enabled:
                yield f"core interface {name}"

    async def remove(self) -> None:
        """Take it away; access interfaces must have left the mobility table."""
        await self._disable_cores(besides=())
        if not await self._has_table():
            return
        await self._client.call(
            "mag_mobility_table_add_del",
            settled=(NO_SUCH_ENTRY,),
            is_add=False,
            table_id=self._table,
            loopback_sw_if_index=NO_INTERFACE,
        )
        for loopback in self._loopbacks():
            await self._client.call("delete_loopback", sw_if_index=loopback.sw_if_index)
        await self._change_multicast_route(is_add=False)
        await self._client.call("ip_table_add_del", is_add=False, table=self._table_record())

    async def _disable_cores(self, besides: Collection[VppInterface]) -> None:
        kept = {core.sw_if_index for core in besides}
        for entry in await self._client.dump("mag_interface_dump"):
            if entry.role == ROLE_CORE and entry.sw_if_index not in kept:
                await self._client.call(
                    "mag_core_interface_enable_disable",
                    settled=(NO_SUCH_ENTRY, NO_SUCH_INTERFACE),
                    enable=False,
                    sw_if_index=entry.sw_if_index,
                    hand_off=False,
                )

    async def _check_address(self) -> None:
        """The Proxy-CoA is the operator's to configure, on a core interface or a loopback."""
        for interface in self._interfaces.all():
            if interface.tag == marks.LOOPBACK_TAG:
                continue
            addresses = await self._client.dump(
                "ip_address_dump", sw_if_index=interface.sw_if_index, is_ipv6=_IS_IP6
            )
            if any(entry.prefix.ip == self._address for entry in addresses):
                return
        reason = "is an address of no interface of this VPP"
        raise DataplaneError("check proxy_care_of_address", reason, target=str(self._address))

    async def _has_table(self) -> bool:
        tables = await self._client.dump("ip_table_dump")
        return any(
            entry.table.is_ip6
            and entry.table.table_id == self._table
            and entry.table.name == marks.TABLE_NAME
            for entry in tables
        )

    def _loopbacks(self) -> Iterator[VppInterface]:
        return (it for it in self._interfaces.all() if it.tag == marks.LOOPBACK_TAG)

    async def _ensure_loopback(self) -> SwIfIndex:
        found = next(self._loopbacks(), None)
        index = await self._create_loopback() if found is None else found.sw_if_index
        table = await self._client.call(
            "sw_interface_get_table", sw_if_index=index, is_ipv6=_IS_IP6
        )
        if table.vrf_id != self._table:
            await self._client.call(
                "sw_interface_set_table", sw_if_index=index, is_ipv6=_IS_IP6, vrf_id=self._table
            )
        await self._set_loopback_address(index)
        await self._client.call("sw_interface_set_flags", sw_if_index=index, flags=_ADMIN_UP)
        return index

    async def _create_loopback(self) -> SwIfIndex:
        reply = await self._client.call("create_loopback", mac_address=bytes(6))
        index = SwIfIndex(reply.sw_if_index)
        await self._client.call(
            "sw_interface_tag_add_del", is_add=True, sw_if_index=index, tag=marks.LOOPBACK_TAG
        )
        return index

    async def _set_loopback_address(self, index: SwIfIndex) -> None:
        wanted = IPv6Interface((self._address, _WHOLE_ADDRESS))
        addresses = [
            entry.prefix
            for entry in await self._client.dump(
                "ip_address_dump", sw_if_index=index, is_ipv6=_IS_IP6
            )
        ]
        for address in addresses:
            if address != wanted:
                await self._change_address(index, address, is_add=False)
        if wanted not in addresses:
            await self._change_address(index, wanted, is_add=True)

    async def _change_address(
        self, index: SwIfIndex, address: IPv6Interface, *, is_add: bool
    ) -> None:
        await self._client.call(
            "sw_interface_add_del_address",
            target=str(address),
            settled=(_DUPLICATE_ADDRESS,) if is_add else (),
            sw_if_index=index,
            is_add=is_add,
            del_all=False,
            prefix=str(address),
        )

    async def _change_multicast_route(self, *, is_add: bool) -> None:
        path = {
            "type": _LOCAL_PATH,
            "sw_if_index": NO_INTERFACE,
            "proto": _IP6,
            "label_stack": [{}] * _LABELS,
        }
        prefix = {
            "af": _IP6,
            "grp_address_length": _WHOLE_ADDRESS,
            "grp_address": {"ip6": ALL_DHCP_RELAY_AGENTS_AND_SERVERS},
            "src_address": {"ip6": IPv6Address("::")},
        }
        route = {
            "table_id": self._table,
            "entry_flags": _ACCEPT_ALL_INTERFACES,
            "prefix": prefix,
            "n_paths": 1,
            "paths": [{"itf_flags": _FORWARD, "path": path}],
        }
        await self._client.call("ip_mroute_add_del", is_add=is_add, is_multipath=True, route=route)

    def _table_record(self) -> dict[str, Any]:
        return {"table_id": self._table, "is_ip6": True, "name": marks.TABLE_NAME}
