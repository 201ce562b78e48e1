"""The two messages that come in bulk, packed and unpacked by hand.

vpp-papi packs some 100,000 entries in a second and unpacks fewer; these are the messages of which
100,000 are wanted at once when VPP or the agent starts again. Tests compare them with vpp-papi
octet by octet.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum, IntFlag
from ipaddress import IPv6Address, IPv6Network
from struct import Struct
from typing import Final

from mag.dataplane.base import BindingCounters, MobileNodeForwarding
from mag.frozen import frozen

UPDATE: Final = "mag_bindings_update"
GET: Final = "mag_binding_get"

_COUNT: Final = Struct("!I")
_ENTRY: Final = Struct("!QBBI6s16s16sB")
"""Binding id, operation, flags, interface, MAC, LMA, prefix, its length."""
_UPDATE_REPLY: Final = Struct("!HIiII")
"""Message id, context, return value, bindings in place, failures."""
_FAILURE: Final = Struct("!Ii")
_DETAILS: Final = Struct("!HIQI6s16sBIIQQQQB")
"""Message id, context, binding id, interface, MAC, LMA, flags, idle, counter index, up packets and
octets, down packets and octets, number of prefixes."""
_BINDING_ID: Final = 2
_FLAGS: Final = 6
_IDLE: Final = 7
_COUNTERS: Final = slice(9, 13)
_PREFIX: Final = Struct("!16sB")
_NO_OCTETS: Final = bytes(16)


class _BindingOperation(IntEnum):
    """mag_binding_operation."""

    ENSURE = 0
    DELETE = 1


class _BindingFlags(IntFlag):
    """mag_binding_flags."""

    NONE = 0
    LOCAL_ROUTING = 1


@frozen
class Failure:
    """An entry that was not carried out."""

    index: int
    """Of the first entry of its binding in the message."""
    return_value: int


@frozen
class BindingDetails:
    """A binding as VPP tells it."""

    binding_id: int
    sw_if_index: int
    mn_link_layer_address: bytes
    lma_address: IPv6Address
    home_network_prefixes: tuple[IPv6Network, ...]
    local_routing: bool
    counters: BindingCounters


def pack_ensure(node: MobileNodeForwarding, sw_if_index: int) -> list[bytes]:
    """The entries that make a binding, one for each prefix."""
    lma = node.lma_address.packed
    flags = _BindingFlags.LOCAL_ROUTING if node.local_routing else _BindingFlags.NONE
    return [
        _ENTRY.pack(
            node.binding_id,
            _BindingOperation.ENSURE,
            flags,
            sw_if_index,
            node.mn_link_layer_address,
            lma,
            prefix.network_address.packed,
            prefix.prefixlen,
        )
        for prefix in node.home_network_prefixes
    ]


def pack_delete(binding_id: int) -> bytes:
    """The entry that takes a binding away."""
    operation = _BindingOperation.DELETE
    return _ENTRY.pack(binding_id, operation, 0, 0, _NO_OCTETS[:6], _NO_OCTETS, _NO_OCTETS, 0)


def pack_update(entries: Sequence[bytes]) -> bytes:
    """mag_bindings_update from its field `count` on."""
    return _COUNT.pack(len(entries)) + b"".join(entries)


def unpack_update_reply(octets: bytes) -> tuple[int, list[Failure]]:
    """mag_bindings_update_reply: the return value and what failed."""
    _, _, return_value, _, count = _UPDATE_REPLY.unpack_from(octets)
    offset = _UPDATE_REPLY.size
    failures = [
        Failure(*_FAILURE.unpack_from(octets, offset + index * _FAILURE.size))
        for index in range(count)
    ]
    return return_value, failures


def unpack_details(messages: Iterable[bytes]) -> list[BindingDetails]:
    """mag_binding_details."""
    return [_unpack_binding(octets) for octets in messages]


def unpack_counters(messages: Iterable[bytes]) -> dict[int, BindingCounters]:
    """mag_binding_details, of each its counters only, by binding id."""
    fields = (_DETAILS.unpack_from(octets) for octets in messages)
    return {values[_BINDING_ID]: BindingCounters(*values[_COUNTERS]) for values in fields}


def unpack_idle_s(octets: bytes) -> int:
    """mag_binding_details: seconds since the node's last packet."""
    idle: int = _DETAILS.unpack_from(octets)[_IDLE]
    return idle


def _unpack_binding(octets: bytes) -> BindingDetails:
    values = _DETAILS.unpack_from(octets)
    _, _, binding_id, sw_if_index, link_layer_address, lma_address, *_, prefix_count = values
    prefixes = (
        _PREFIX.unpack_from(octets, _DETAILS.size + index * _PREFIX.size)
        for index in range(prefix_count)
    )
    return BindingDetails(
        binding_id,
        sw_if_index,
        link_layer_address,
        IPv6Address(lma_address),
        tuple(IPv6Network(prefix) for prefix in prefixes),
        bool(values[_FLAGS] & _BindingFlags.LOCAL_ROUTING),
        BindingCounters(*values[_COUNTERS]),
    )
