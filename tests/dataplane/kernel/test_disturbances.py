"""Which changes of others are losses of ours: messages packed by hand, and the kernel's filter."""

import socket
import struct
from ipaddress import IPv6Address

import pytest

from mag.dataplane.base import Disturbance
from mag.dataplane.kernel.disturbances import (
    attach_filter,
    messages,
    port_filter,
    read_nf_tables,
    read_routing,
    routing_filter,
)
from mag.dataplane.kernel.layout import ROUTE_PROTOCOL, binding_neighbor

OURS, THEIRS, KERNEL = 4711, 4712, 0
NEW_LINK, DELETE_LINK, DELETE_ADDRESS, NEW_ROUTE, DELETE_ROUTE = 16, 17, 21, 24, 25
NEW_NEIGHBOR, DELETE_NEIGHBOR, DELETE_RULE = 28, 29, 33
FAILED, REACHABLE = 0x20, 0x02
DELETE_TABLE, NEW_RULE, DELETE_RULE_OF_CHAIN, DELETE_ELEMENTS = 2, 6, 8, 14
INET, IPV4 = 1, 2


def message(kind: int, body: bytes, port: int = THEIRS) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, port) + body


def attribute(kind: int, value: bytes) -> bytes:
    padding = bytes(-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), kind) + value + padding


def route(kind: int, protocol: int = ROUTE_PROTOCOL, port: int = THEIRS) -> bytes:
    return message(kind, struct.pack("=BBBBBBBBI", 10, 64, 0, 0, 0, protocol, 0, 1, 0), port)


def neighbor(kind: int, state: int, address: bytes, port: int = THEIRS) -> bytes:
    body = struct.pack("=BxxxiHBB", 10, 3, state, 0, 0)
    return message(kind, body + attribute(1, address), port)


def link(kind: int, name: str, port: int = KERNEL) -> bytes:
    return message(kind, bytes(16) + attribute(3, name.encode() + b"\0"), port)


def address(scope: int) -> bytes:
    return message(DELETE_ADDRESS, struct.pack("=BBBBi", 10, 64, 0, scope, 3))


def nf_tables(kind: int, table: str, family: int = INET) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + attribute(1, table.encode() + b"\0")
    return message(10 << 8 | kind, body)


OUR_NEIGHBOR = binding_neighbor(7)
OTHER_NEIGHBOR = IPv6Address("fe80::1").packed
ROUTING = {
    "route of ours": (route(DELETE_ROUTE), Disturbance.BINDINGS),
    "route of others": (route(DELETE_ROUTE, protocol=4), None),
    "route that we delete": (route(DELETE_ROUTE, port=OURS), None),
    "route that went with its link": (route(DELETE_ROUTE, port=KERNEL), None),
    "route that comes": (route(NEW_ROUTE), None),
    "neighbour of ours": (neighbor(NEW_NEIGHBOR, FAILED, OUR_NEIGHBOR), Disturbance.BINDINGS),
    "neighbour of others": (neighbor(NEW_NEIGHBOR, FAILED, OTHER_NEIGHBOR), None),
    "neighbour that is reached": (neighbor(NEW_NEIGHBOR, REACHABLE, OUR_NEIGHBOR), None),
    "neighbour that we delete": (neighbor(NEW_NEIGHBOR, FAILED, OUR_NEIGHBOR, OURS), None),
    "end of a neighbour": (neighbor(DELETE_NEIGHBOR, FAILED, OUR_NEIGHBOR), None),
    "tunnel interface": (link(DELETE_LINK, "mag-1"), Disturbance.SHARED),
    "tunnel interface that changes": (link(NEW_LINK, "mag-1"), Disturbance.SHARED),
    "interface of others": (link(DELETE_LINK, "eth0"), None),
    "link-local address": (address(253), Disturbance.SHARED),
    "global address": (address(0), None),
    "rule": (message(DELETE_RULE, bytes(12)), Disturbance.SHARED),
    "rule that we delete": (message(DELETE_RULE, bytes(12), OURS), None),
}
NF_TABLES = {
    "table": (nf_tables(DELETE_TABLE, "mag"), Disturbance.BINDINGS),
    "rules": (nf_tables(DELETE_RULE_OF_CHAIN, "mag"), Disturbance.BINDINGS),
    "elements": (nf_tables(DELETE_ELEMENTS, "mag"), Disturbance.BINDINGS),
    "what comes": (nf_tables(NEW_RULE, "mag"), None),
    "table of others": (nf_tables(DELETE_TABLE, "magenta"), None),
    "table of another family": (nf_tables(DELETE_TABLE, "mag", IPV4), None),
}


def passed(program: bytes, datagram: bytes) -> bytes | None:
    """Through the filter as the kernel runs it, on a socket that needs no privilege."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        attach_filter(ours, program)
        ours.setblocking(False)
        try:
            theirs.send(datagram)
            return ours.recv(4096)
        except (BlockingIOError, PermissionError):
            return None


@pytest.mark.parametrize("name", ROUTING)
def test_routing_change(name: str) -> None:
    datagram, expected = ROUTING[name]
    heard = passed(routing_filter({OURS, 17}), datagram)
    assert (None if heard is None else read_routing(heard)) is expected


@pytest.mark.parametrize("name", NF_TABLES)
def test_nf_tables_change(name: str) -> None:
    datagram, expected = NF_TABLES[name]
    assert passed(port_filter({OURS}), datagram) == datagram
    assert read_nf_tables(datagram) is expected


def test_own_changes_are_not_even_queued() -> None:
    own = message(DELETE_RULE, bytes(12), OURS)
    assert passed(port_filter({17, OURS}), own) is None
    assert passed(routing_filter({17, OURS}), own) is None


def test_datagram_is_taken_apart() -> None:
    first, second = nf_tables(NEW_RULE, "mag"), nf_tables(DELETE_TABLE, "mag")
    assert list(messages(first + second)) == [first, second]
    assert list(messages(first + second[:10])) == [first]
    assert list(messages(bytes(64))) == []
