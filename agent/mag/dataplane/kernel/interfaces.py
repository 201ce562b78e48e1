"""Interfaces as the kernel shows them, and the veth pairs that we make."""

import errno
from collections.abc import Iterator
from typing import Any, Final

from mag.dataplane.base import DataplaneError
from mag.dataplane.kernel.refusal import asking
from mag.dataplane.kernel.sysctl import write_setting
from mag.frozen import frozen
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS

_UP: Final = 0x1
LARGEST_MTU_OCTETS: Final = 65535
NO_GENERATED_ADDRESSES: Final = 1
"""addr_gen_mode: no link-local address but those that are configured."""


@frozen
class Interface:
    """What of an interface we need to know."""

    index: int
    name: str
    alias: str | None
    is_up: bool
    mtu_octets: int
    link_layer_address: bytes
    """NO_LINK_LAYER_ADDRESS: interfaces of this kind have none."""
    alternative_names: tuple[str, ...]


class Interfaces:
    """The interfaces of the namespace."""

    def __init__(self, netlink: Any) -> None:
        """netlink: pyroute2's IPRoute."""
        self._netlink = netlink

    def all(self) -> Iterator[Interface]:
        """Every interface."""
        for message in self._netlink.get_links():
            yield _interface_of(message)

    def find(self, name: str) -> Interface | None:
        """The interface of that name, None if there is none."""
        with asking("find interface", name, settled=(errno.ENODEV,)):
            for message in self._netlink.link("get", ifname=name):
                return _interface_of(message)
        return None

    def get(self, name: str) -> Interface:
        """The interface of that name. Raises DataplaneError naming it if there is none."""
        if (interface := self.find(name)) is None:
            raise DataplaneError("find interface", "no such interface", target=name)
        return interface

    def change(self, interface: Interface, **settings: Any) -> None:
        """Set link attributes, named as pyroute2 does."""
        with asking("set interface", interface.name):
            self._netlink.link("set", index=interface.index, **settings)

    def remove(self, interface: Interface) -> None:
        """Delete an interface of ours with its peer."""
        with asking("delete interface", interface.name, settled=(errno.ENODEV,)):
            self._netlink.link("del", index=interface.index)

    def ensure_pair(
        self, name: str, peer: str, *, alias: str, link_layer_address: str, mtu_octets: int
    ) -> tuple[Interface, Interface]:
        """A veth pair without neighbour discovery or own addresses, both ends up.

        mtu_octets: of the first end only; the other takes whatever comes.
        """
        if self.find(name) is None:
            with asking("create interface", name):
                self._netlink.link(
                    "add",
                    ifname=name,
                    kind="veth",
                    address=link_layer_address,
                    peer={"ifname": peer, "address": link_layer_address},
                )
        near, far = self.get(name), self.get(peer)
        for end, mtu in ((near, mtu_octets), (far, LARGEST_MTU_OCTETS)):
            write_setting(end.name, "addr_gen_mode", NO_GENERATED_ADDRESSES)
            write_setting(end.name, "accept_ra", 0)
            self.change(end, mtu=mtu, arp=False, state="up")
        # Last: the alias says that the pair is complete.
        self.change(near, ifalias=alias)
        return near, far

    def add_alternative_name(self, interface: Interface, name: str) -> None:
        """Put a mark on an interface that is not ours."""
        with asking("mark interface", interface.name, settled=(errno.EEXIST,)):
            self._netlink.link("property_add", index=interface.index, altname=name)

    def remove_alternative_name(self, interface: Interface, name: str) -> None:
        """Take the mark away."""
        with asking("unmark interface", interface.name, settled=(errno.ENOENT,)):
            self._netlink.link("property_del", index=interface.index, altname=name)


def _interface_of(message: Any) -> Interface:
    properties = message.get_attr("IFLA_PROP_LIST")
    attributes = properties["attrs"] if properties else ()
    return Interface(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        alias=message.get_attr("IFLA_IFALIAS"),
        is_up=bool(message["flags"] & _UP),
        mtu_octets=message.get_attr("IFLA_MTU") or 0,
        link_layer_address=_octets(message.get_attr("IFLA_ADDRESS")) or NO_LINK_LAYER_ADDRESS,
        alternative_names=tuple(
            value for attribute, value in attributes if attribute == "IFLA_ALT_IFNAME"
        ),
    )


def _octets(link_layer_address: str | None) -> bytes:
    return bytes.fromhex((link_layer_address or "").replace(":", ""))
