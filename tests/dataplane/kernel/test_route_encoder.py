"""Our packing of the per-binding messages against pyroute2's own encoder."""

import socket
from ipaddress import IPv6Network
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from mag.dataplane.kernel import route_encoder as encoder
from mag.dataplane.kernel.layout import NEXT_HOP, ROUTE_PROTOCOL, binding_neighbor
from mag.dataplane.kernel.route_decoder import (
    BindingNeighbor,
    BindingRoute,
    PackedPrefix,
    decode_neighbor,
    decode_route,
)

PREFIX = IPv6Network("2001:db8:1:40::/60")
PACKED_PREFIX = PackedPrefix(PREFIX.network_address.packed, PREFIX.prefixlen)
BINDING_ID = 0x0123_4567_89AB_CDEF
NEIGHBOR = binding_neighbor(BINDING_ID)
NEIGHBOR_TEXT = socket.inet_ntop(socket.AF_INET6, NEIGHBOR)
MAC = bytes.fromhex("02000000000a")
TABLE = 21302
HEADER_OCTETS = 16
REPLACE = encoder.NLM_F_REQUEST | encoder.NLM_F_REPLACE | encoder.NLM_F_CREATE


def encoded(message: Any, kind: int, flags: int, fields: dict[str, Any], attrs: list[Any]) -> bytes:
    """What pyroute2 makes of it."""
    message["header"].update({"type": kind, "flags": flags, "sequence_number": 0, "pid": 0})
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attrs
    message.encode()
    return bytes(message.data)


def route(selector: str, gateway: str, ifindex: int, *, remove: bool) -> bytes:
    kind = encoder.RTM_DELROUTE if remove else encoder.RTM_NEWROUTE
    flags = encoder.NLM_F_REQUEST if remove else REPLACE
    length = {"RTA_DST": "dst_len", "RTA_SRC": "src_len"}[selector]
    fields = {"family": socket.AF_INET6, length: 60, "proto": ROUTE_PROTOCOL, "type": 1}
    attrs = [
        ["RTA_TABLE", TABLE],
        [selector, str(PREFIX.network_address)],
        ["RTA_GATEWAY", gateway],
        ["RTA_OIF", ifindex],
    ]
    return encoded(rtmsg(), kind, flags, fields, attrs)


@pytest.mark.parametrize("remove", [False, True], ids=["replace", "delete"])
def test_uplink_route_equals_pyroute2s(remove: bool) -> None:
    ours = encoder.uplink_route(PREFIX, table=TABLE, tunnel_ifindex=77, remove=remove)
    assert ours == route("RTA_SRC", str(NEXT_HOP), 77, remove=remove)


@pytest.mark.parametrize("remove", [False, True], ids=["replace", "delete"])
def test_downlink_route_equals_pyroute2s(remove: bool) -> None:
    ours = encoder.downlink_route(
        PREFIX, table=TABLE, neighbor=NEIGHBOR, access_ifindex=300, remove=remove
    )
    assert ours == route("RTA_DST", NEIGHBOR_TEXT, 300, remove=remove)


NEIGHBOR_FIELDS = {"family": socket.AF_INET6, "ifindex": 300, "state": 0x80}


def test_permanent_neighbor_equals_pyroute2s() -> None:
    attrs = [["NDA_DST", NEIGHBOR_TEXT], ["NDA_LLADDR", MAC.hex(":")]]
    attrs.append(["NDA_PROTOCOL", ROUTE_PROTOCOL])
    theirs = encoded(ndmsg(), encoder.RTM_NEWNEIGH, REPLACE, NEIGHBOR_FIELDS, attrs)
    assert encoder.permanent_neighbor(NEIGHBOR, MAC, ifindex=300) == theirs


def test_neighbor_removal_equals_pyroute2s() -> None:
    attrs = [["NDA_DST", NEIGHBOR_TEXT], ["NDA_PROTOCOL", ROUTE_PROTOCOL]]
    theirs = encoded(ndmsg(), encoder.RTM_DELNEIGH, encoder.NLM_F_REQUEST, NEIGHBOR_FIELDS, attrs)
    assert encoder.neighbor_removal(NEIGHBOR, ifindex=300) == theirs


def test_numbered_message_differs_in_sequence_and_acknowledgement_only() -> None:
    message = encoder.neighbor_removal(NEIGHBOR, ifindex=300)
    numbered = encoder.numbered(message, 0x01020304, acknowledge=True)
    assert numbered[6] == message[6] | encoder.NLM_F_ACK
    assert int.from_bytes(numbered[8:12], "little") == 0x01020304
    assert numbered[:6] + numbered[7:8] + numbered[12:] == (
        message[:6] + message[7:8] + message[12:]
    )


def test_decoded_routes_are_what_was_encoded() -> None:
    up = encoder.uplink_route(PREFIX, table=TABLE, tunnel_ifindex=77)
    down = encoder.downlink_route(PREFIX, table=TABLE, neighbor=NEIGHBOR, access_ifindex=300)
    assert decode_route(up[HEADER_OCTETS:]) == BindingRoute(PACKED_PREFIX, NEXT_HOP.packed, 77)
    assert decode_route(down[HEADER_OCTETS:]) == BindingRoute(PACKED_PREFIX, NEIGHBOR, 300)


def test_decoded_neighbor_is_what_was_encoded() -> None:
    message = encoder.permanent_neighbor(NEIGHBOR, MAC, ifindex=300)
    assert decode_neighbor(message[HEADER_OCTETS:]) == BindingNeighbor(BINDING_ID, 300, MAC)


def test_route_and_neighbor_of_somebody_else_are_passed_over() -> None:
    """What is not marked is never touched."""
    down = bytearray(
        encoder.downlink_route(PREFIX, table=TABLE, neighbor=NEIGHBOR, access_ifindex=300)
    )
    down[HEADER_OCTETS + 5] = 4
    assert decode_route(bytes(down[HEADER_OCTETS:])) is None
    theirs = encoder.permanent_neighbor(NEXT_HOP.packed, MAC, ifindex=300)
    assert decode_neighbor(theirs[HEADER_OCTETS:]) is None
