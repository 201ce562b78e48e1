"""Making an interface an access link (RFC 5213 §6.8), and giving it back as it was.

Address and link-layer address are the same on every access link of the domain (RFC 5213 §6.9.3,
RFC 6543): duplicate address detection would find the neighbouring gateway, so there is none.
"""

import errno
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Any, Final

from mag.dataplane.base import AccessLink, DataplaneError
from mag.dataplane.kernel import layout
from mag.dataplane.kernel.gateway_addresses import SINGLE_PREFIX_LENGTH
from mag.dataplane.kernel.interfaces import NO_GENERATED_ADDRESSES, Interface, Interfaces
from mag.dataplane.kernel.policy_rules import PolicyRule, PolicyRules, access_rules
from mag.dataplane.kernel.refusal import asking
from mag.dataplane.kernel.route_encoder import AF_INET6
from mag.dataplane.kernel.sysctl import read_setting, write_setting
from mag.dataplane.links_left import LinksLeft
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS

_NO_DAD: Final = 0x02
_LINK_SCOPE: Final = 253
_KERNEL_LINK_LOCAL: Final = 3
"""IFA_PROTO of the link-local address that the kernel made by itself."""
_OWN_PREFIX_LENGTH: Final = 64
"""Of the link's own address, which brings the route to all nodes."""
_UNSPECIFIED: Final = IPv6Address("::")


class AccessInterfaces:
    """The access links of the namespace, recognised by the note on the interface."""

    def __init__(self, netlink: Any, tables: layout.RoutingTables) -> None:
        """netlink: pyroute2's IPRoute."""
        self._netlink = netlink
        self._tables = tables
        self._interfaces = Interfaces(netlink)
        self._rules = PolicyRules(netlink)
        self._left = LinksLeft()

    def present(self) -> dict[str, AccessLink]:
        """The access links there are; one that lost a part of its set-up has the address `::`.

        One that somebody else has taken down is as it was left: until it is up, nothing is due.
        """
        rules = self._rules.present()
        return {
            interface.name: self._left.taken_down(interface.index, is_up=interface.is_up)
            or self._found(interface, rules)
            for interface in self._interfaces.all()
            if _note_of(interface)
        }

    def _found(self, interface: Interface, rules: set[PolicyRule]) -> AccessLink:
        is_whole = interface.is_up and rules.issuperset(access_rules(interface.name, self._tables))
        return AccessLink(
            interface=interface.name,
            gateway_link_local_address=self._gateway_address(interface)
            if is_whole
            else _UNSPECIFIED,
            gateway_link_layer_address=interface.link_layer_address,
            is_up=interface.is_up,
        )

    def ensure(self, link: AccessLink) -> Interface:
        """Set the interface up as `link` says. Raises DataplaneError if it does not exist.

        One that somebody else has taken down stays down, with what an interface keeps then.
        """
        interface = self._interfaces.get(link.interface)
        mark = layout.held_down_mark(interface.index)
        is_held = mark in interface.alternative_names
        is_set_up = _note_of(interface) is not None
        if not is_set_up:
            self._left.forget(interface.index)
        is_down = self._left.is_somebody_elses_doing(
            interface.index, is_up=interface.is_up, is_marked=is_set_up and not is_held
        )
        if not (link.is_up and interface.is_up) and not is_down and not is_held:
            self._interfaces.add_alternative_name(interface, mark)
            is_held = True
        if not is_set_up:
            note = _note_to_keep(interface)
            self._interfaces.add_alternative_name(interface, note.encode())
        write_setting(interface.name, "addr_gen_mode", NO_GENERATED_ADDRESSES)
        write_setting(interface.name, "accept_ra", 0)
        write_setting(interface.name, "forwarding", 1)
        self._set_link_layer_address(interface, link.gateway_link_layer_address)
        if interface.is_up is not link.is_up and not is_down:
            self._interfaces.change(interface, state="up" if link.is_up else "down")
        if link.is_up and is_held:
            self._interfaces.remove_alternative_name(interface, mark)
        self._left.leave(interface.index, link)
        if is_down or not link.is_up:  # nothing stays on an interface that is down
            return interface
        self._set_gateway_address(interface, link.gateway_link_local_address)
        for rule in access_rules(interface.name, self._tables):
            self._rules.ensure(rule)
        return interface

    def remove(self, name: str) -> None:
        """Give the interface back as it was; one that is gone is no error."""
        for rule in access_rules(name, self._tables):
            self._rules.remove(rule)
        interface = self._interfaces.find(name)
        if interface is None or (note := _note_of(interface)) is None:
            return
        self._left.forget(interface.index)
        for length in (SINGLE_PREFIX_LENGTH, _OWN_PREFIX_LENGTH):
            for address, _ in self._link_local_addresses(interface, length, layout.ROUTE_PROTOCOL):
                self._delete_address(interface, address, length)
        self._set_link_layer_address(interface, note.link_layer_address)
        write_setting(name, "forwarding", note.forwarding)
        write_setting(name, "accept_ra", note.accept_ra)
        write_setting(name, "addr_gen_mode", note.addr_gen_mode)
        if interface.is_up is not note.was_up:
            self._interfaces.change(interface, state="up" if note.was_up else "down")
        self._interfaces.remove_alternative_name(interface, note.encode())
        mark = layout.held_down_mark(interface.index)
        if mark in interface.alternative_names:
            self._interfaces.remove_alternative_name(interface, mark)

    def _set_link_layer_address(self, interface: Interface, address: bytes) -> None:
        if interface.link_layer_address == address:
            return
        if NO_LINK_LAYER_ADDRESS in (interface.link_layer_address, address):
            has_none = address != NO_LINK_LAYER_ADDRESS
            raise DataplaneError(
                "set up access link",
                "the interface has no link-layer addresses: say with mn_id whose link it is"
                if has_none
                else "the interface has a link-layer address: mn_id is for links without",
                target=interface.name,
            )
        try:
            self._interfaces.change(interface, address=address.hex(":"))
        except DataplaneError as error:
            raise DataplaneError(
                "set link-layer address",
                f"{error.reason} (put a macvlan on interfaces that cannot change it)",
                target=interface.name,
            ) from error

    def _gateway_address(self, interface: Interface) -> IPv6Address:
        for address, _ in self._link_local_addresses(
            interface, _OWN_PREFIX_LENGTH, layout.ROUTE_PROTOCOL
        ):
            return address
        return _UNSPECIFIED

    def _set_gateway_address(self, interface: Interface, wanted: IPv6Address) -> None:
        for address, owner in self._link_local_addresses(
            interface, _OWN_PREFIX_LENGTH, _KERNEL_LINK_LOCAL, layout.ROUTE_PROTOCOL
        ):
            if address != wanted or owner != layout.ROUTE_PROTOCOL:
                self._delete_address(interface, address, _OWN_PREFIX_LENGTH)
        self._add_address(interface, wanted, _OWN_PREFIX_LENGTH)

    def _add_address(self, interface: Interface, address: IPv6Address, prefix_length: int) -> None:
        with asking("add address", address, settled=(errno.EEXIST,)):
            self._netlink.addr(
                "add",
                family=AF_INET6,
                index=interface.index,
                address=str(address),
                prefixlen=prefix_length,
                scope=_LINK_SCOPE,
                flags=_NO_DAD,
                proto=layout.ROUTE_PROTOCOL,
            )

    def _link_local_addresses(
        self, interface: Interface, prefix_length: int, *owners: int
    ) -> Iterator[tuple[IPv6Address, int]]:
        for message in self._netlink.get_addr(family=AF_INET6, index=interface.index):
            address = IPv6Address(message.get_attr("IFA_ADDRESS"))
            owner = message.get_attr("IFA_PROTO")
            is_here = message["index"] == interface.index
            is_of_kind = message["prefixlen"] == prefix_length and owner in owners
            if is_here and is_of_kind and address.is_link_local:
                yield address, owner

    def _delete_address(
        self, interface: Interface, address: IPv6Address, prefix_length: int
    ) -> None:
        with asking("delete address", address, settled=(errno.EADDRNOTAVAIL, errno.ENODEV)):
            self._netlink.addr(
                "del",
                family=AF_INET6,
                index=interface.index,
                address=str(address),
                prefixlen=prefix_length,
            )


def _note_to_keep(interface: Interface) -> layout.AccessNote:
    return layout.AccessNote(
        ifindex=interface.index,
        link_layer_address=interface.link_layer_address,
        was_up=interface.is_up,
        forwarding=read_setting(interface.name, "forwarding"),
        accept_ra=read_setting(interface.name, "accept_ra"),
        addr_gen_mode=read_setting(interface.name, "addr_gen_mode"),
    )


def _note_of(interface: Interface) -> layout.AccessNote | None:
    notes = map(layout.AccessNote.decode, interface.alternative_names)
    return next((note for note in notes if note is not None), None)
