"""rtnetlink dump answers to records: only the attributes that our own objects carry."""

import struct
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Network
from typing import Final, NamedTuple

from mag.dataplane.kernel import route_encoder as rtnetlink
from mag.dataplane.kernel.layout import ROUTE_PROTOCOL, binding_of_neighbor
from mag.dataplane.kernel.message_run import MESSAGE_HEADER_OCTETS, MessageRun, Value
from mag.frozen import frozen
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS

_ROUTE_MESSAGE: Final = struct.Struct("=BBBBBBBBI")
_NEIGHBOR_MESSAGE: Final = struct.Struct("=BxxxiHBB")
_ATTRIBUTE: Final = struct.Struct("=HH")
_WORD: Final = struct.Struct("=I")
_ATTRIBUTE_TYPE_MASK: Final = 0x3FFF
_NO_ADDRESS: Final = bytes(16)

_END_OF_ROUTE_HEADER: Final = MESSAGE_HEADER_OCTETS + _ROUTE_MESSAGE.size
_DESTINATION_LENGTH: Final = MESSAGE_HEADER_OCTETS + 1
_SOURCE_LENGTH: Final = MESSAGE_HEADER_OCTETS + 2
_END_OF_NEIGHBOR_HEADER: Final = MESSAGE_HEADER_OCTETS + _NEIGHBOR_MESSAGE.size
_NEIGHBOR_INTERFACE: Final = MESSAGE_HEADER_OCTETS + 4
_BLOCK_OCTETS: Final = 8
"""Of a next hop that stands for a binding; the binding id follows."""


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


@frozen
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


def decode_routes(run: MessageRun) -> list[BindingRoute]:
    """Those of bindings among the messages of a run."""
    return _alike_routes(run) or [
        route for body in run.bodies() if (route := decode_route(body)) is not None
    ]


def _alike_routes(run: MessageRun) -> list[BindingRoute]:
    """The same where all are laid out as the first one, which is a binding's; else nothing."""
    first = run.first()
    if decode_route(first[MESSAGE_HEADER_OCTETS:]) is None:
        return []
    places = _places(first, _END_OF_ROUTE_HEADER)
    is_downlink = bool(first[_DESTINATION_LENGTH])
    length = _DESTINATION_LENGTH if is_downlink else _SOURCE_LENGTH
    prefix = places[rtnetlink.RTA_DST if is_downlink else rtnetlink.RTA_SRC]
    gateway, interface = places[rtnetlink.RTA_GATEWAY], places[rtnetlink.RTA_OIF]
    fixed = {*range(_END_OF_ROUTE_HEADER), *_around(places)} - {length}
    if not length < prefix < gateway < interface or not run.is_alike_in(fixed):
        return []
    values = (Value(length, "B"), *(Value(at, "16s") for at in (prefix, gateway)))
    return [
        BindingRoute(PackedPrefix(address, length), gateway, ifindex)
        for length, address, gateway, ifindex in run.pick((*values, Value(interface, "I")))
    ]


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


def decode_neighbors(run: MessageRun) -> list[BindingNeighbor]:
    """Those of bindings among the messages of a run."""
    return _alike_neighbors(run) or [
        found for body in run.bodies() if (found := decode_neighbor(body)) is not None
    ]


def _alike_neighbors(run: MessageRun) -> list[BindingNeighbor]:
    """As _alike_routes."""
    first = run.first()
    found = decode_neighbor(first[MESSAGE_HEADER_OCTETS:])
    if found is None or found.link_layer_address == NO_LINK_LAYER_ADDRESS:
        return []
    places = _places(first, _END_OF_NEIGHBOR_HEADER)
    address, link_layer = places[rtnetlink.NDA_DST], places[rtnetlink.NDA_LLADDR]
    interface = set(range(_NEIGHBOR_INTERFACE, _NEIGHBOR_INTERFACE + _WORD.size))
    block = range(address, address + _BLOCK_OCTETS)  # that bindings have their next hops in
    fixed = {*range(_END_OF_NEIGHBOR_HEADER), *_around(places), *block} - interface
    if not address < link_layer or not run.is_alike_in(fixed):
        return []
    values = (
        Value(_NEIGHBOR_INTERFACE, "I"),
        Value(address + _BLOCK_OCTETS, "8s"),
        Value(link_layer, f"{len(found.link_layer_address)}s"),
    )
    return [
        BindingNeighbor(int.from_bytes(low, "big"), ifindex, link_layer_address)
        for ifindex, low, link_layer_address in run.pick(values)
    ]


def _places(message: bytes, offset: int) -> dict[int, int]:
    """Where the value of each attribute begins."""
    places = {}
    while offset + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size:
            break
        places[kind & _ATTRIBUTE_TYPE_MASK] = offset + _ATTRIBUTE.size
        offset += (length + 3) & ~3
    return places


def _around(places: Mapping[int, int]) -> Iterator[int]:
    """The octets of the attributes' own headers."""
    for at in places.values():
        yield from range(at - _ATTRIBUTE.size, at)


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
        link_layer_address=found.get(rtnetlink.NDA_LLADDR) or NO_LINK_LAYER_ADDRESS,
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
