"""A kernel filter that passes what nodes say to their router, and frames of MACs not yet known.

Python must see the first frame of a node that shows up, but never the traffic of nodes that have
service. Of these it sees Router Solicitations, answers to our own questions (Neighbor
Advertisements, multicast listener reports), claims of an address (Neighbor Solicitations from
`::`) and questions for what may be a Subnet-Router anycast address. A classic filter cannot hold a
set that changes, so this is an eBPF socket filter with a hash map; it needs CAP_BPF (or
CAP_SYS_ADMIN) once, when it is made.
"""

import contextlib
import ctypes
import errno
import os
import platform
import socket
import struct
from typing import Final

from mag.wire.neighbor_discovery import ROUTER_SOLICITATION
from mag.wire.neighbor_solicitation import NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION

_SYSCALL_NUMBERS: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280}

_MAP_CREATE: Final = 0
_MAP_UPDATE_ELEM: Final = 2
_MAP_DELETE_ELEM: Final = 3
_PROG_LOAD: Final = 5
_MAP_TYPE_HASH: Final = 1
_NO_PREALLOCATION: Final = 1
_PROG_TYPE_SOCKET_FILTER: Final = 1
_SO_ATTACH_BPF: Final = 50
_HELPER_MAP_LOOKUP: Final = 1
_HELPER_SKB_LOAD_BYTES: Final = 26

_MAC_OCTETS: Final = 6
_SOURCE_MAC_OFFSET: Final = 6
_ETHERNET_HEADER_OCTETS: Final = 14
_NEXT_HEADER_OFFSET: Final = 6
_IPV6_SOURCE_OFFSET: Final = 8
_IPV6_ADDRESS_OCTETS: Final = 16
_FIRST_OCTET_BEHIND_IPV6: Final = 40
_FIRST_OCTET_BEHIND_OPTIONS: Final = 40 + 8
_TARGET_INTERFACE_ID_OFFSET: Final = 40 + 8 + 8
"""Offsets in the packet."""
_HOP_BY_HOP_OPTIONS: Final = 0
_ICMPV6: Final = 58
_MULTICAST_LISTENER_REPORTS: Final = (131, 143)
_WHOLE_FRAME: Final = 0xFFFF

MAX_KNOWN_SOURCES: Final = 1 << 20
"""Per access link; beyond it frames of bound nodes reach the agent and are dropped there."""

_libc = ctypes.CDLL(None, use_errno=True)


class KnownSourceFilterError(Exception):
    """The kernel refused the filter; the text says what to do."""


class KnownSourceFilter:
    """One access link's set of known source addresses, and the filter that reads it."""

    def __init__(self, *, pass_unknown_sources: bool, has_ethernet_header: bool = True) -> None:
        """pass_unknown_sources: False lets nothing but these kinds of ICMPv6 through.

        has_ethernet_header: False where packets come as they are; their source is then
        NO_LINK_LAYER_ADDRESS. Raises KnownSourceFilterError.
        """
        self._map = _create_map()
        try:
            program = _assemble(self._map, pass_unknown_sources, has_ethernet_header)
            self._program = _load_program(program)
        except KnownSourceFilterError:
            os.close(self._map)
            raise

    def attach(self, packet_socket: socket.socket) -> None:
        """Put the filter in front of an AF_PACKET socket: SOCK_RAW if it sees the header."""
        packet_socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, self._program)

    def add(self, link_layer_address: bytes) -> None:
        """Frames from this address need not be seen any more; a full set takes no more."""
        key = ctypes.create_string_buffer(link_layer_address, _MAC_OCTETS)
        value = ctypes.create_string_buffer(1)
        attributes = struct.pack(
            "=I4xQQQ", self._map, ctypes.addressof(key), ctypes.addressof(value), 0
        )
        try:
            _bpf(_MAP_UPDATE_ELEM, attributes)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise

    def remove(self, link_layer_address: bytes) -> None:
        """The next frame from this address is to be seen; an unknown one is no error."""
        key = ctypes.create_string_buffer(link_layer_address, _MAC_OCTETS)
        with contextlib.suppress(FileNotFoundError):
            _bpf(_MAP_DELETE_ELEM, struct.pack("=I4xQ", self._map, ctypes.addressof(key)))

    def close(self) -> None:
        """Let go of the kernel's objects; an attached socket keeps its filter."""
        os.close(self._program)
        os.close(self._map)


def _create_map() -> int:
    attributes = struct.pack(
        "=IIIII", _MAP_TYPE_HASH, _MAC_OCTETS, 1, MAX_KNOWN_SOURCES, _NO_PREALLOCATION
    )
    try:
        return _bpf(_MAP_CREATE, attributes)
    except PermissionError:
        raise KnownSourceFilterError(
            "may not create a BPF map: run as root or grant CAP_BPF "
            "(before Linux 5.8: CAP_SYS_ADMIN)"
        ) from None
    except OSError as error:
        raise KnownSourceFilterError(f"cannot create a BPF map: {error.strerror}") from None


def _load_program(instructions: bytes) -> int:
    program = ctypes.create_string_buffer(instructions)
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQI",
        _PROG_TYPE_SOCKET_FILTER,
        (len(program) - 1) // 8,
        ctypes.addressof(program),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
    )
    try:
        return _bpf(_PROG_LOAD, attributes)
    except OSError as error:
        raise KnownSourceFilterError(f"cannot load a BPF filter: {error.strerror}") from None


def _assemble(map_fd: int, pass_unknown_sources: bool, has_ethernet_header: bool) -> bytes:
    """The program; every load behind the end of a short frame drops it."""
    program = _Program(_ETHERNET_HEADER_OCTETS if has_ethernet_header else 0)
    program.add(0xBF, 6, 1)  # r6 = frame, where the loads below look for it
    program.load_octet(_NEXT_HEADER_OFFSET)
    program.jump_if(_ICMPV6, to="icmpv6")
    program.jump_unless(_HOP_BY_HOP_OPTIONS, to="traffic")
    program.load_octet(_FIRST_OCTET_BEHIND_IPV6)
    program.jump_unless(_ICMPV6, to="traffic")
    program.load_octet(_FIRST_OCTET_BEHIND_OPTIONS)
    for report in _MULTICAST_LISTENER_REPORTS:
        program.jump_if(report, to="pass")
    program.jump(to="traffic")

    program.label("icmpv6")
    program.load_octet(_FIRST_OCTET_BEHIND_IPV6)
    program.jump_if(ROUTER_SOLICITATION, to="pass")
    program.jump_if(NEIGHBOR_ADVERTISEMENT, to="pass")
    program.jump_unless(NEIGHBOR_SOLICITATION, to="traffic")
    for word in range(_IPV6_SOURCE_OFFSET, _IPV6_SOURCE_OFFSET + _IPV6_ADDRESS_OCTETS, 4):
        program.load_word(word)
        program.jump_unless(0, to="question")  # only who claims an address sends from ::
    program.jump(to="pass")

    program.label("question")
    for word in range(_TARGET_INTERFACE_ID_OFFSET, _TARGET_INTERFACE_ID_OFFSET + 8, 4):
        program.load_word(word)
        program.jump_unless(0, to="traffic")
    program.jump(to="pass")

    program.label("traffic")
    if pass_unknown_sources:
        program.add(0xBF, 3, 10)  # r3 = eight octets of stack
        program.add(0x07, 3, imm=-8)
        if has_ethernet_header:
            program.add(0xBF, 1, 6)  # r1 = frame
            program.add(0xB7, 2, imm=_SOURCE_MAC_OFFSET)
            program.add(0xB7, 4, imm=_MAC_OCTETS)
            program.add(0x85, imm=_HELPER_SKB_LOAD_BYTES)
        else:
            program.add(0x7A, 3, imm=0)  # all of them 0
        program.add(0x18, 1, 1, imm=map_fd)  # r1 = map, in two slots
        program.add(0x00)
        program.add(0xBF, 2, 10)
        program.add(0x07, 2, imm=-8)
        program.add(0x85, imm=_HELPER_MAP_LOOKUP)
        program.jump_if(0, to="pass")  # not known
    program.add(0xB7, 0, imm=0)
    program.add(0x95)

    program.label("pass")
    program.add(0xB7, 0, imm=_WHOLE_FRAME)
    program.add(0x95)
    return program.encode()


class _Program:
    """eBPF instructions whose jumps go forward to labels."""

    def __init__(self, packet_offset: int) -> None:
        """packet_offset: where the IPv6 packet begins in what the filter sees, in octets."""
        self._packet_offset = packet_offset
        self._instructions: list[tuple[int, int, int, str, int]] = []
        self._labels: dict[str, int] = {}

    def add(self, code: int, dst: int = 0, src: int = 0, to: str = "", imm: int = 0) -> None:
        self._instructions.append((code, dst, src, to, imm))

    def load_octet(self, offset: int) -> None:
        """r0 = that octet of the packet."""
        self.add(0x30, imm=self._packet_offset + offset)

    def load_word(self, offset: int) -> None:
        """r0 = the four octets of the packet from there."""
        self.add(0x20, imm=self._packet_offset + offset)

    def jump_if(self, value: int, *, to: str) -> None:
        """If r0 is the value."""
        self.add(0x15, to=to, imm=value)

    def jump_unless(self, value: int, *, to: str) -> None:
        """If r0 is not the value."""
        self.add(0x55, to=to, imm=value)

    def jump(self, *, to: str) -> None:
        self.add(0x05, to=to)

    def label(self, name: str) -> None:
        """The next instruction has this name."""
        self._labels[name] = len(self._instructions)

    def encode(self) -> bytes:
        """Offsets count instructions of eight octets behind the one that jumps."""
        return b"".join(
            struct.pack("=BBhi", code, dst | src << 4, self._offset(position, to), imm)
            for position, (code, dst, src, to, imm) in enumerate(self._instructions)
        )

    def _offset(self, position: int, to: str) -> int:
        return self._labels[to] - position - 1 if to else 0


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf() number not known for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(number, command, buffer, len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
