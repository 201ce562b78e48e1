"""Hears when something else takes away what is ours in this namespace.

Two netlink sockets, for routing and for nf_tables, each with a filter in the kernel: what we change
ourselves is not even queued, however much it is, and of the rest only deletions of our kind. Whose
a change is, the kernel says by the port of the socket that asked for it.
"""

import ctypes
import errno
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from mag.dataplane.base import DataplaneError, Disturbance
from mag.dataplane.kernel import layout
from mag.dataplane.kernel.filter_table import TABLE_NAME
from mag.dataplane.kernel.nf_tables import NETLINK_NETFILTER

_ROUTING_GROUPS: Final = (1, 3, 9, 11, 19)
"""Links, neighbours, IPv6 addresses, routes and rules (RTNLGRP_)."""
_NF_TABLES_GROUPS: Final = (7,)
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_SO_ATTACH_FILTER: Final = 26
_BUFFER_OCTETS: Final = 1 << 20
_RECEIVE_OCTETS: Final = 1 << 16
_AT_ONCE: Final = 200
"""Datagrams; then the loop gets its turn."""

_NEW_LINK: Final = 16
_DELETE_LINK: Final = 17
_DELETE_ADDRESS: Final = 21
_DELETE_ROUTE: Final = 25
_NEW_NEIGHBOR: Final = 28
_DELETE_RULE: Final = 33

_OF_WHAT_IS_SHARED: Final = (_NEW_LINK, _DELETE_LINK, _DELETE_ADDRESS, _DELETE_RULE)

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_KIND_OFFSET: Final = 4
_PORT_OFFSET: Final = 12
_ROUTE_PROTOCOL_OFFSET: Final = 16 + 5
_NEIGHBOR_STATE_OFFSET: Final = 16 + 8
_ADDRESS_SCOPE_OFFSET: Final = 16 + 3
_NEIGHBOR_FAILED: Final = 0x20
"""The state that a neighbour is given first when it is deleted."""
_LINK_SCOPE: Final = 253
_LINK_MESSAGE_OCTETS: Final = 16
_LINK_NAME: Final = 3
_NEIGHBOR_MESSAGE_OCTETS: Final = 12
_NEIGHBOR_ADDRESS: Final = 1
_OUR_LINKS: Final = b"mag-"

_NF_TABLES: Final = 10 << 8
_NF_TABLES_DELETIONS: Final = frozenset(_NF_TABLES | kind for kind in (2, 5, 8, 11, 14, 20))
"""Of a table, a chain, a rule, a set, elements, an object."""
_INET: Final = 1
_NF_TABLES_MESSAGE_OCTETS: Final = 4
_NF_TABLES_TABLE: Final = 1

Read = Callable[[bytes], Disturbance | None]


class DisturbanceMonitor:
    """Belongs to the namespace of the thread that makes it; read in the loop."""

    def __init__(self, *, hears_nf_tables: bool) -> None:
        """To be made when the sockets that our changes go through are open.

        Raises DataplaneError.
        """
        listened_to: list[tuple[int, Sequence[int], Read]] = [
            (socket.NETLINK_ROUTE, _ROUTING_GROUPS, read_routing)
        ]
        if hears_nf_tables:
            listened_to.append((NETLINK_NETFILTER, _NF_TABLES_GROUPS, read_nf_tables))
        self._netlink_table = Path(f"/proc/self/task/{threading.get_native_id()}/net/netlink")
        self._own_ports: frozenset[int] = frozenset()
        self._sockets: dict[socket.socket, Read] = {}
        try:
            self._own_ports = own_ports(self._netlink_table)
            for protocol, groups, read in listened_to:
                self._open(protocol, groups, read)
        except OSError as error:
            self.close()
            raise DataplaneError("watch for changes", error.strerror or str(error)) from error

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Readable when there is something to hear."""
        return tuple(each.fileno() for each in self._sockets)

    def close(self) -> None:
        """Hear no more."""
        for each in self._sockets:
            each.close()
        self._sockets = {}

    def heard(self) -> set[Disturbance]:
        """What has been disturbed since; empty if nothing of ours was."""
        found: set[Disturbance] = set()
        for each, read in self._sockets.items():
            found |= set(self._drained(each, read))
        return found

    def _open(self, protocol: int, groups: Sequence[int], read: Read) -> None:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        self._sockets[opened] = read
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        self._filter(opened, read)
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)

    def _filter(self, opened: socket.socket, read: Read) -> None:
        is_routing = read is read_routing
        program = (routing_filter if is_routing else port_filter)(self._own_ports)
        attach_filter(opened, program)

    def _drained(self, opened: socket.socket, read: Read) -> Iterator[Disturbance]:
        for _ in range(_AT_ONCE):
            try:
                data = opened.recv(_RECEIVE_OCTETS)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise DataplaneError("watch for changes", str(error)) from error
                yield Disturbance.BINDINGS  # more than could be kept for us
                continue
            for message in messages(data):
                if (found := read(message)) is not None and not self._is_own(message):
                    yield found

    def _is_own(self, message: bytes) -> bool:
        """libnftables opens another socket now and then: look again before blaming others."""
        port = _HEADER.unpack_from(message)[4]
        if port not in self._own_ports:
            self._own_ports = own_ports(self._netlink_table)
            if port in self._own_ports:
                for opened, read in self._sockets.items():
                    self._filter(opened, read)
        return port in self._own_ports


def own_ports(netlink_table: Path) -> frozenset[int]:
    """Ports of the netlink sockets of this process. Raises OSError.

    netlink_table: /proc's, of the namespace.
    """
    ours = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            ours.add(str(descriptor.readlink()))
        except OSError:  # closed meanwhile
            continue
    rows = (line.split() for line in netlink_table.read_text(encoding="ascii").splitlines()[1:])
    return frozenset(int(row[2]) for row in rows if f"socket:[{row[9]}]" in ours)


def messages(data: bytes) -> Iterator[bytes]:
    """Each netlink message of a datagram, with its header."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length = _HEADER.unpack_from(data, offset)[0]
        if length < _HEADER.size:
            return
        yield data[offset : offset + length]
        offset += (length + 3) & ~3


def read_routing(message: bytes) -> Disturbance | None:
    """A message that has passed the filter."""
    kind = _HEADER.unpack_from(message)[1]
    if kind == _DELETE_ROUTE:
        return Disturbance.BINDINGS
    if kind == _NEW_NEIGHBOR:
        address = _attribute(message, _NEIGHBOR_MESSAGE_OCTETS, _NEIGHBOR_ADDRESS)
        is_binding = layout.binding_of_neighbor(address) is not None
        return Disturbance.BINDINGS if is_binding else None
    if kind in (_NEW_LINK, _DELETE_LINK):
        name = _attribute(message, _LINK_MESSAGE_OCTETS, _LINK_NAME)
        return Disturbance.SHARED if name.startswith(_OUR_LINKS) else None
    if kind == _DELETE_ADDRESS:
        is_link_local = message[_ADDRESS_SCOPE_OFFSET] == _LINK_SCOPE
        return Disturbance.SHARED if is_link_local else None
    return Disturbance.SHARED if kind == _DELETE_RULE else None


def read_nf_tables(message: bytes) -> Disturbance | None:
    """A message of somebody else."""
    kind = _HEADER.unpack_from(message)[1]
    if kind not in _NF_TABLES_DELETIONS or message[_HEADER.size] != _INET:
        return None
    table = _attribute(message, _NF_TABLES_MESSAGE_OCTETS, _NF_TABLES_TABLE)
    return Disturbance.BINDINGS if table.rstrip(b"\0") == TABLE_NAME.encode() else None


def _attribute(message: bytes, fixed_octets: int, wanted: int) -> bytes:
    """The first of its type; empty if there is none."""
    offset = _HEADER.size + fixed_octets
    while offset + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size:
            break
        if kind == wanted:
            return message[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return b""


# Filters: classic BPF, which loads in network order what netlink has in the host's.

_LOAD_WORD: Final = 0x20
_LOAD_HALF: Final = 0x28
_LOAD_OCTET: Final = 0x30
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_WHOLE: Final = 0xFFFFFFFF
_INSTRUCTION: Final = struct.Struct("=HBBI")

_Line = str | tuple[int, int] | tuple[int, int, str] | tuple[int, int, str, str]
"""A label; or code and operand, and where to go if equal and if not: the next line without."""


def port_filter(own: Collection[int]) -> bytes:
    """Pass what was asked for through none of these ports."""
    return _assembled([*_unless_port_in(own), "pass", (_RETURN, _WHOLE), "drop", (_RETURN, 0)])


def routing_filter(own: Collection[int]) -> bytes:
    """Of that, only what `read_routing` knows; routes with our mark that went with no link."""
    return _assembled(
        [
            *_unless_port_in(own),
            (_LOAD_HALF, _KIND_OFFSET),
            (_JUMP_IF_EQUAL, _half(_DELETE_ROUTE), "route"),
            (_JUMP_IF_EQUAL, _half(_NEW_NEIGHBOR), "neighbor"),
            *((_JUMP_IF_EQUAL, _half(kind), "pass") for kind in _OF_WHAT_IS_SHARED),
            (_RETURN, 0),
            "route",
            (_LOAD_WORD, _PORT_OFFSET),
            (_JUMP_IF_EQUAL, 0, "drop"),  # the kernel's doing
            (_LOAD_OCTET, _ROUTE_PROTOCOL_OFFSET),
            (_JUMP_IF_EQUAL, layout.ROUTE_PROTOCOL, "pass", "drop"),
            "neighbor",
            (_LOAD_HALF, _NEIGHBOR_STATE_OFFSET),
            (_JUMP_IF_EQUAL, _half(_NEIGHBOR_FAILED), "pass", "drop"),
            "pass",
            (_RETURN, _WHOLE),
            "drop",
            (_RETURN, 0),
        ]
    )


def attach_filter(opened: socket.socket, program: bytes) -> None:
    """Have the kernel ask this program about every datagram for the socket. Raises OSError."""
    buffer = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(buffer))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)


def _unless_port_in(own: Collection[int]) -> Iterator[_Line]:
    yield _LOAD_WORD, _PORT_OFFSET
    for port in sorted(own):
        yield _JUMP_IF_EQUAL, int.from_bytes(struct.pack("=I", port), "big"), "drop"


def _half(value: int) -> int:
    return int.from_bytes(struct.pack("=H", value), "big")


def _assembled(lines: Sequence[_Line]) -> bytes:
    """Jumps go forward, at most 255 instructions."""
    labels: dict[str, int] = {}
    instructions: list[tuple[int | str, ...]] = []
    for line in lines:
        if isinstance(line, str):
            labels[line] = len(instructions)
        else:
            instructions.append(line)
    octets = b""
    for position, (code, operand, *targets) in enumerate(instructions):
        jumps = [labels[str(target)] - position - 1 for target in targets]
        octets += _INSTRUCTION.pack(code, *(*jumps, 0, 0)[:2], operand)
    return octets
