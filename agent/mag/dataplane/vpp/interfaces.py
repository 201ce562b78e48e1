"""VPP's interfaces by name and by index."""

from typing import Any, Final, NewType

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.client import VppClient
from mag.frozen import frozen

SwIfIndex = NewType("SwIfIndex", int)
NO_INTERFACE: Final = SwIfIndex(0xFFFFFFFF)

_ADMIN_UP: Final = 1
_LINK_UP: Final = 2
_DOT1AD: Final = 8
_TPID_DOT1Q: Final = 0x8100
_TPID_DOT1AD: Final = 0x88A8
_TWO_TAGS: Final = 2


@frozen
class VppInterface:
    """An interface, or a VLAN on one."""

    sw_if_index: SwIfIndex
    name: str
    link_layer_address: bytes
    """All zero where frames have no Ethernet header."""
    is_admin_up: bool
    has_carrier: bool
    mtu_octets: int
    """Largest IPv6 packet."""
    tag: str
    """What somebody wrote on it, at most 63 characters."""
    vlan_tags: bytes = b""
    """What stands between the addresses and the EtherType of its frames."""

    @property
    def is_up(self) -> bool:
        """Whether packets can pass."""
        return self.is_admin_up and self.has_carrier

    @property
    def has_ethernet(self) -> bool:
        """Whether its frames have an Ethernet header."""
        return any(self.link_layer_address)


class InterfaceDirectory:
    """The interfaces of VPP as they were at the last refresh."""

    def __init__(self, client: VppClient) -> None:
        self._client = client
        self._by_name: dict[str, VppInterface] = {}
        self._by_index: dict[int, VppInterface] = {}

    async def refresh(self) -> None:
        """Ask VPP. Raises DataplaneError."""
        details = await self._client.dump(
            "sw_interface_dump", sw_if_index=NO_INTERFACE, name_filter_valid=False, name_filter=""
        )
        found = [_interface(entry) for entry in details]
        self._by_name = {interface.name: interface for interface in found}
        self._by_index = {interface.sw_if_index: interface for interface in found}

    def all(self) -> list[VppInterface]:
        """Every interface."""
        return list(self._by_name.values())

    def find(self, name: str) -> VppInterface | None:
        """The interface of that name."""
        return self._by_name.get(name)

    def get(self, name: str) -> VppInterface:
        """The interface of that name. Raises DataplaneError if there is none."""
        interface = self._by_name.get(name)
        if interface is None:
            raise DataplaneError("find interface", "VPP has no such interface", target=name)
        return interface

    def at(self, sw_if_index: int) -> VppInterface | None:
        """The interface of that index."""
        return self._by_index.get(sw_if_index)


def _interface(details: Any) -> VppInterface:
    return VppInterface(
        sw_if_index=SwIfIndex(details.sw_if_index),
        name=details.interface_name,
        link_layer_address=bytes(details.l2_address.packed),
        is_admin_up=bool(details.flags & _ADMIN_UP),
        has_carrier=bool(details.flags & _LINK_UP),
        mtu_octets=details.mtu[0] or details.link_mtu,
        tag=details.tag,
        vlan_tags=_vlan_tags(details),
    )


def _vlan_tags(details: Any) -> bytes:
    if not details.sub_number_of_tags:
        return b""
    outer_tpid = _TPID_DOT1AD if details.sub_if_flags & _DOT1AD else _TPID_DOT1Q
    tags = [(outer_tpid, details.sub_outer_vlan_id)]
    if details.sub_number_of_tags == _TWO_TAGS:
        tags.append((_TPID_DOT1Q, details.sub_inner_vlan_id))
    return b"".join(tpid.to_bytes(2, "big") + vlan.to_bytes(2, "big") for tpid, vlan in tags)
