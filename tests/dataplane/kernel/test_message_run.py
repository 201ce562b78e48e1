"""Dumps read message by message and together: whatever comes, both say the same."""

import struct
from collections.abc import Iterator
from ipaddress import IPv6Network

import pytest

from mag.dataplane.kernel import route_encoder as encoder
from mag.dataplane.kernel.layout import binding_neighbor
from mag.dataplane.kernel.message_run import MessageRun, Value
from mag.dataplane.kernel.route_decoder import (
    BindingNeighbor,
    BindingRoute,
    PackedPrefix,
    decode_neighbor,
    decode_neighbors,
    decode_route,
    decode_routes,
)

MAC = bytes.fromhex("02000000000a")
CACHE_INFORMATION = 12
HEADER_OCTETS = 16


def with_attribute(message: bytes, value: bytes, kind: int = CACHE_INFORMATION) -> bytes:
    """As the kernel tells more than it was told."""
    added = struct.pack("=HH", 4 + len(value), kind) + value
    return struct.pack("=I", len(message) + len(added)) + message[4:] + added


def prefix(number: int, length: int = 64) -> IPv6Network:
    return IPv6Network((0x20010DB8 << 96 | number << 80, length))


def uplink(number: int, length: int = 64) -> bytes:
    message = encoder.uplink_route(prefix(number, length), table=21300, tunnel_ifindex=7)
    return with_attribute(message, struct.pack("=Q", number))


def downlink(number: int, length: int = 64, ifindex: int = 3) -> bytes:
    message = encoder.downlink_route(
        prefix(number, length),
        table=21302,
        neighbor=binding_neighbor(number),
        access_ifindex=ifindex,
    )
    return with_attribute(message, struct.pack("=Q", number))


def neighbor(number: int, ifindex: int = 3) -> bytes:
    message = encoder.permanent_neighbor(
        binding_neighbor(number), bytes([2, 0, 0, 0, 0, number]), ifindex=ifindex
    )
    return with_attribute(message, struct.pack("=Q", number))


def somebody_elses(message: bytes) -> bytes:
    """Of another routing protocol, or without the block that our next hops are in."""
    ours = bytearray(message)
    ours[HEADER_OCTETS + 5] ^= 1
    at = message.find(binding_neighbor(0)[:8])
    if at > 0:
        ours[at] ^= 1
    return bytes(ours)


ALIKE = {
    "uplink": ([uplink(number) for number in range(1, 9)], decode_route, decode_routes),
    "downlink": (
        [downlink(number, length=48 + number, ifindex=number) for number in range(1, 9)],
        decode_route,
        decode_routes,
    ),
    "neighbours": (
        [neighbor(number, ifindex=number) for number in range(1, 9)],
        decode_neighbor,
        decode_neighbors,
    ),
}
MIXED = {
    "both directions": [uplink(1), downlink(2), uplink(3)],
    "somebody else's among ours": [downlink(1), somebody_elses(downlink(2)), downlink(3)],
    "ours among somebody else's": [somebody_elses(uplink(1)), uplink(2)],
}


@pytest.mark.parametrize("kind", ALIKE)
def test_what_is_alike_is_read_as_each_alone(kind: str) -> None:
    messages, one, together = ALIKE[kind]
    found = together(MessageRun(b"".join(messages), len(messages[0])))
    assert found == [one(message[HEADER_OCTETS:]) for message in messages]
    assert None not in found


def test_what_is_alike_is_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or reading 100,000 bindings takes five times as long."""
    runs = [MessageRun(b"".join(messages), len(messages[0])) for messages, _, _ in ALIKE.values()]

    def refuse(_: MessageRun) -> Iterator[bytes]:
        raise AssertionError("read one by one")

    monkeypatch.setattr(MessageRun, "bodies", refuse)
    routes, more_routes, neighbors = runs
    assert len(decode_routes(routes)) == len(decode_routes(more_routes)) == 8
    assert len(decode_neighbors(neighbors)) == 8


@pytest.mark.parametrize("kind", MIXED)
def test_routes_that_are_not_alike_are_read_one_by_one(kind: str) -> None:
    messages = MIXED[kind]
    found = decode_routes(MessageRun(b"".join(messages), len(messages[0])))
    alone = [decode_route(message[HEADER_OCTETS:]) for message in messages]
    assert found == [route for route in alone if route is not None]
    assert found


@pytest.mark.parametrize("others", ["first", "last"])
def test_neighbours_of_others_are_left_out(others: str) -> None:
    messages = [neighbor(1), neighbor(2)]
    messages.insert(0 if others == "first" else 2, somebody_elses(neighbor(3)))
    found = decode_neighbors(MessageRun(b"".join(messages), len(messages[0])))
    assert found == [
        BindingNeighbor(1, 3, bytes([2, 0, 0, 0, 0, 1])),
        BindingNeighbor(2, 3, bytes([2, 0, 0, 0, 0, 2])),
    ]


def test_attributes_in_another_order_are_found_as_well() -> None:
    """No promise of the kernel's."""
    head, tail = downlink(1)[:28], downlink(1)[28:]
    table, destination, gateway, interface = tail[:8], tail[8:28], tail[28:48], tail[48:56]
    turned = head + interface + gateway + destination + table + tail[56:]
    found = decode_routes(MessageRun(turned * 2, len(turned)))
    route = BindingRoute(PackedPrefix(prefix(1).network_address.packed, 64), binding_neighbor(1), 3)
    assert found == [route, route]


def test_half_a_message_is_nothing_to_pick_from() -> None:
    run = MessageRun(b"abcdabcdab", 4)
    assert not run.is_alike_in([0])
    assert MessageRun(b"abcdabcd", 4).is_alike_in([0, 3])
    assert not MessageRun(b"abcdabce", 4).is_alike_in([0, 3])
    assert list(MessageRun(b"abcdabce", 4).pick([Value(1, "B"), Value(3, "1s")])) == [
        (ord("b"), b"d"),
        (ord("b"), b"e"),
    ]
