"""Making a VPP interface an access link (RFC 5213 §6.8), and giving it back as it was.

Its IPv6 part is the gateway's alone: another table, unnumbered to our loopback, the fixed
link-local and link-layer addresses (RFC 5213 §6.9.3, RFC 6543). VPP does no duplicate address
detection for the link-local address, which is well: the neighbouring gateway has the same one.
"""

from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any, Final

from mag.dataplane.base import AccessLink, DataplaneError, GatewayAddress
from mag.dataplane.links_left import LinksLeft
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.interfaces import NO_INTERFACE, InterfaceDirectory, SwIfIndex, VppInterface
from mag.dataplane.vpp.marks import AccessTag
from mag.dataplane.vpp.shared_layout import (
    NO_SUCH_ENTRY,
    NO_SUCH_INTERFACE,
    VALUE_EXISTS,
    TableId,
)

ROLE_ACCESS: Final = 0
_IP6_NOT_ENABLED: Final = -62
_IS_IP6: Final = True
_UNSPECIFIED: Final = IPv6Address("::")
_DEFAULT_TABLE: Final = TableId(0)
_ADMIN_UP: Final = 1
_DOWN: Final = 0


class AccessInterfaces:
    """The access links of this VPP, recognised by the plugin's own list of them."""

    def __init__(
        self, client: VppClient, interfaces: InterfaceDirectory, mobility_table: TableId
    ) -> None:
        """interfaces: refreshed before every call."""
        self._client = client
        self._interfaces = interfaces
        self._table = mobility_table
        self.loopback = NO_INTERFACE
        """Whose address the access interfaces borrow; known once the layout is built."""
        self._left = LinksLeft()

    def begin(self) -> None:
        """With a VPP that has nothing of ours: it is another one than before."""
        self._left.forget_all()

    async def present(self) -> dict[str, AccessLink]:
        """The access links there are; one that lost a part of its set-up has the address `::`.

        One that somebody else has taken down is as it was left: until it is up, nothing is due.
        """
        borrowers = await self._borrowers()
        links: dict[str, AccessLink] = {}
        for entry in await self._client.dump("mag_interface_dump"):
            interface = self._interfaces.at(entry.sw_if_index)
            if entry.role != ROLE_ACCESS or interface is None:
                continue
            index, is_up = interface.sw_if_index, interface.is_admin_up
            if (left := self._left.taken_down(index, is_up=is_up)) is not None:
                links[interface.name] = left
                continue
            is_whole = is_up and index in borrowers
            links[interface.name] = AccessLink(
                interface=interface.name,
                gateway_link_local_address=await self._link_local_address(interface)
                if is_whole
                else _UNSPECIFIED,
                gateway_link_layer_address=interface.link_layer_address,
                is_up=is_up,
            )
        return links

    async def ensure(self, link: AccessLink) -> None:
        """Set the interface up as `link` says. Raises DataplaneError if it does not exist.

        One that somebody else has taken down stays down.
        """
        interface = self._interfaces.get(link.interface)
        index = interface.sw_if_index
        tag = AccessTag.decode(interface.tag)
        if not interface.tag:
            self._left.forget(index)
        is_taken_down = self._left.is_somebody_elses_doing(
            index, is_up=interface.is_admin_up, is_marked=tag is not None and not tag.is_held
        )
        is_held = not (link.is_up and interface.is_admin_up) and not is_taken_down
        interface = await self._tagged(interface, is_held=is_held)
        if not link.is_up:
            await self._call("sw_interface_set_flags", interface, flags=_DOWN)
            self._left.leave(index, link)
            return
        if interface.link_layer_address != link.gateway_link_layer_address:
            await self._call(
                "sw_interface_set_mac_address",
                interface,
                mac_address=link.gateway_link_layer_address,
            )
        await self._join_mobility_table(interface)
        await self._call(
            "sw_interface_ip6_enable_disable", interface, settled=(VALUE_EXISTS,), enable=True
        )
        if await self._link_local_address(interface) != link.gateway_link_local_address:
            await self._call(
                "sw_interface_ip6_set_link_local_address",
                interface,
                ip=link.gateway_link_local_address,
            )
        await self._call(
            "mag_access_interface_enable_disable",
            interface,
            enable=True,
            regular_table_id=NO_INTERFACE,
        )
        if not is_taken_down:
            await self._call("sw_interface_set_flags", interface, flags=_ADMIN_UP)
            if is_held:
                await self._tagged(interface, is_held=False)
        self._left.leave(index, link)

    async def remove(self, name: str) -> None:
        """Give the interface back as it was, bindings on it go; one that is gone is no error."""
        interface = self._interfaces.find(name)
        if interface is None:
            return
        self._left.forget(interface.sw_if_index)
        await self._call(
            "mag_access_interface_enable_disable",
            interface,
            settled=(NO_SUCH_ENTRY, NO_SUCH_INTERFACE),
            enable=False,
            regular_table_id=NO_INTERFACE,
        )
        await self._leave_mobility_table(interface)
        tag = AccessTag.decode(interface.tag)
        if tag is None:
            return
        if tag.link_layer_address != interface.link_layer_address:
            await self._call(
                "sw_interface_set_mac_address", interface, mac_address=tag.link_layer_address
            )
        flags = _ADMIN_UP if tag.was_up else _DOWN
        await self._call("sw_interface_set_flags", interface, flags=flags)
        await self._call("sw_interface_tag_add_del", interface, is_add=False, tag="")

    async def gateway_addresses(self) -> dict[tuple[str, IPv6Address], GatewayAddress]:
        """Those that single nodes know the gateway by, on all access links."""
        entries = await self._client.dump("mag_gateway_address_dump")
        found = ((self._interfaces.at(entry.sw_if_index), entry.address) for entry in entries)
        records = (
            GatewayAddress(interface.name, IPv6Address(address))
            for interface, address in found
            if interface is not None
        )
        return {record.key: record for record in records}

    async def ensure_address(self, record: GatewayAddress) -> None:
        """Answer for one more. Raises DataplaneError if the interface does not exist."""
        interface = self._interfaces.get(record.access_interface)
        await self._call(
            "mag_gateway_address_add_del", interface, is_add=True, address=record.address
        )

    async def remove_address(self, record: GatewayAddress) -> None:
        """Answer for it no longer; one that is gone is no error."""
        if (interface := self._interfaces.find(record.access_interface)) is not None:
            await self._call(
                "mag_gateway_address_add_del",
                interface,
                settled=(NO_SUCH_ENTRY, NO_SUCH_INTERFACE),
                is_add=False,
                address=record.address,
            )

    async def _tagged(self, interface: VppInterface, *, is_held: bool) -> VppInterface:
        """Note on the interface how it was and is; a tag of the operator's stays instead."""
        before = AccessTag.decode(interface.tag)
        if before is None and interface.tag:
            return interface
        first = before or AccessTag(interface.link_layer_address, interface.is_admin_up)
        tag = replace(first, is_held=is_held)
        if tag != before:
            await self._call("sw_interface_tag_add_del", interface, is_add=True, tag=tag.encode())
        return replace(interface, tag=tag.encode())

    async def _join_mobility_table(self, interface: VppInterface) -> None:
        if await self._table_of(interface) != self._table:
            await self._check_no_address(interface)
            await self._call(
                "sw_interface_set_table", interface, is_ipv6=_IS_IP6, vrf_id=self._table
            )
        await self._client.call(
            "sw_interface_set_unnumbered",
            target=interface.name,
            sw_if_index=self.loopback,
            unnumbered_sw_if_index=interface.sw_if_index,
            is_add=True,
        )

    async def _check_no_address(self, interface: VppInterface) -> None:
        addresses = await self._client.dump(
            "ip_address_dump", sw_if_index=interface.sw_if_index, is_ipv6=_IS_IP6
        )
        if addresses:
            reason = f"has the address {addresses[0].prefix}: an access link must have none"
            raise DataplaneError("set up access link", reason, target=interface.name)

    async def _leave_mobility_table(self, interface: VppInterface) -> None:
        if await self._table_of(interface) != self._table:
            return
        await self._client.call(
            "sw_interface_set_unnumbered",
            target=interface.name,
            sw_if_index=self.loopback,
            unnumbered_sw_if_index=interface.sw_if_index,
            is_add=False,
        )
        await self._call(
            "sw_interface_ip6_enable_disable", interface, settled=(VALUE_EXISTS,), enable=False
        )
        await self._call(
            "sw_interface_set_table", interface, is_ipv6=_IS_IP6, vrf_id=_DEFAULT_TABLE
        )

    async def _borrowers(self) -> set[SwIfIndex]:
        """Interfaces that borrow the address of our loopback."""
        entries = await self._client.dump("ip_unnumbered_dump", sw_if_index=NO_INTERFACE)
        return {
            SwIfIndex(entry.sw_if_index)
            for entry in entries
            if entry.ip_sw_if_index == self.loopback
        }

    async def _table_of(self, interface: VppInterface) -> TableId:
        reply = await self._call("sw_interface_get_table", interface, is_ipv6=_IS_IP6)
        return TableId(reply.vrf_id)

    async def _link_local_address(self, interface: VppInterface) -> IPv6Address:
        reply = await self._call(
            "sw_interface_ip6_get_link_local_address", interface, settled=(_IP6_NOT_ENABLED,)
        )
        return IPv6Address(reply.ip)

    async def _call(
        self,
        message: str,
        interface: VppInterface,
        *,
        settled: tuple[int, ...] = (),
        **fields: Any,
    ) -> Any:
        return await self._client.call(
            message,
            target=interface.name,
            settled=settled,
            sw_if_index=interface.sw_if_index,
            **fields,
        )
