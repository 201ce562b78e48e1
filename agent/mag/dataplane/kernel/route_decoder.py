"""rtnetlink dump answers to records: only the attributes that our own objects carry."""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Final, NamedTuple

from mag.dataplane.kernel import route_encoder as rtnetlink
from mag.dataplane.kernel.layout import ROUTE_PROTOCOL, binding_of_neighbor

_ROUTE_MESSAGE: Final = struct.Struct("=BBBBBBBBI")
_NEIGHBOR_MESSAGE: Final = struct.Struct("=BxxxiHBB")
_ATTRIBUTE: Final = struct.Struct("=HH")
_WORD: Final = struct.Struct("=I")
_ATTRIBUTE_TYPE_MASK: Final = 0x3FFF
_NO_ADDRESS: Final = bytes(16)


class PackedPrefix(NamedTuple):
    """A prefix as the kernel tells it: to compare many of them costs little."""

    address: bytes
    length: int

    def network(self) -> IPv6Network:
        """The same as everybody else has it."""
        return IPv6Network(self)


class BindingRoute(NamedTuple):
    """A route of ours: uplink when it has a source prefix, downlink when it has a destination."""

    prefix: PackedPrefix
    gateway: bytes
    ifindex: int


@dataclass(frozen=True, slots=True)
class SharedRoute:
    """A route of ours that no binding owns, or any other, as what is needed to delete it."""

    destination: IPv6Network | None
    source: IPv6Network | None
    kind: int
    """Unicast, blackhole, throw."""


class BindingNeighbor(NamedTuple):
    """A permanent neighbour that stands for a binding."""

    binding_id: int
    ifindex: int
    link_layer_address: bytes


def decode_route(body: bytes) -> BindingRoute | None:
    """One route message without its netlink header; None for what no binding owns."""
    _, destination_length, source_length, _, _, protocol, _, _, _ = _ROUTE_MESSAGE.unpack_from(body)
    if protocol != ROUTE_PROTOCOL or bool(destination_length) == bool(source_length):
        return None
    found = attributes(body, _ROUTE_MESSAGE.size)
    address = found.get(rtnetlink.RTA_DST) or found.get(rtnetlink.RTA_SRC)
    gateway = found.get(rtnetlink.RTA_GATEWAY)
    if address is None or gateway is None or rtnetlink.RTA_OIF not in found:
        return None
    return BindingRoute(
        prefix=PackedPrefix(address, destination_length or source_length),
        gateway=gateway,
        ifindex=_WORD.unpack(found[rtnetlink.RTA_OIF])[0],
    )


def decode_shared_route(body: bytes) -> SharedRoute | None:
    """One route message without its netlink header; None for what is not ours."""
    _, destination_length, source_length, _, _, protocol, _, kind, _ = _ROUTE_MESSAGE.unpack_from(
        body
    )
    if protocol != ROUTE_PROTOCOL:
        return None
    found = attributes(body, _ROUTE_MESSAGE.size)
    destination, source = found.get(rtnetlink.RTA_DST), found.get(rtnetlink.RTA_SRC)
    return SharedRoute(
        destination=IPv6Network((destination, destination_length)) if destination else None,
        source=IPv6Network((source, source_length)) if source else None,
        kind=kind,
    )


def decode_neighbor(body: bytes) -> BindingNeighbor | None:
    """One neighbour message without its netlink header; None for what is not ours."""
    _, ifindex, _, _, _ = _NEIGHBOR_MESSAGE.unpack_from(body)
    found = attributes(body, _NEIGHBOR_MESSAGE.size)
    binding_id = binding_of_neighbor(found.get(rtnetlink.NDA_DST, _NO_ADDRESS))
    if binding_id is None:
        return None
    return BindingNeighbor(
        binding_id=binding_id,
        ifindex=ifindex,
        link_layer_address=found.get(rtnetlink.NDA_LLADDR, b""),
    )


def attributes(body: bytes, offset: int) -> dict[int, bytes]:
    """The attributes behind a message's fixed part, by type."""
    found = {}
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_TYPE_MASK] = body[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found
