"""A kernel filter that passes Router Solicitations, and frames whose source MAC is not yet known.

Python must see the first frame of a node that shows up, but never the traffic of nodes that have
service. A classic filter cannot hold a set that changes, so this is an eBPF socket filter with a
hash map; it needs CAP_BPF (or CAP_SYS_ADMIN) once, when it is made.
"""

import contextlib
import ctypes
import errno
import os
import platform
import socket
import struct
from typing import Final

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
_NEXT_HEADER_OFFSET: Final = 14 + 6
_ICMPV6_TYPE_OFFSET: Final = 14 + 40
_ICMPV6: Final = 58
_ROUTER_SOLICITATION: Final = 133
_WHOLE_FRAME: Final = 0xFFFF

MAX_KNOWN_SOURCES: Final = 1 << 20
"""Per access link; beyond it frames of bound nodes reach the agent and are dropped there."""

_libc = ctypes.CDLL(None, use_errno=True)


class KnownSourceFilterError(Exception):
    """The kernel refused the filter; the text says what to do."""


class KnownSourceFilter:
    """One access link's set of known source addresses, and the filter that reads it."""

    def __init__(self, *, pass_unknown_sources: bool) -> None:
        """pass_unknown_sources: False lets nothing but Router Solicitations through.

        Raises KnownSourceFilterError.
        """
        self._map = _create_map()
        try:
            self._program = _load_program(self._map, pass_unknown_sources)
        except KnownSourceFilterError:
            os.close(self._map)
            raise

    def attach(self, packet_socket: socket.socket) -> None:
        """Put the filter in front of an AF_PACKET SOCK_RAW socket."""
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


def _load_program(map_fd: int, pass_unknown_sources: bool) -> int:
    program = ctypes.create_string_buffer(_assemble(map_fd, pass_unknown_sources))
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


def _assemble(map_fd: int, pass_unknown_sources: bool) -> bytes:
    """The program; jump offsets count instructions of eight octets after the next one."""
    lookup = [
        _instruction(0xBF, 1, 6),  # r1 = frame
        _instruction(0xB7, 2, imm=_SOURCE_MAC_OFFSET),
        _instruction(0xBF, 3, 10),  # r3 = eight octets of stack
        _instruction(0x07, 3, imm=-8),
        _instruction(0xB7, 4, imm=_MAC_OCTETS),
        _instruction(0x85, imm=_HELPER_SKB_LOAD_BYTES),
        _instruction(0x18, 1, 1, imm=map_fd),  # r1 = map, in two slots
        _instruction(0x00),
        _instruction(0xBF, 2, 10),
        _instruction(0x07, 2, imm=-8),
        _instruction(0x85, imm=_HELPER_MAP_LOOKUP),
        _instruction(0x55, 0, off=2),  # known: on to the drop
    ]
    drop_all = [_instruction(0x05, off=2)]
    decide = lookup if pass_unknown_sources else drop_all
    return b"".join(
        [
            _instruction(0xBF, 6, 1),  # r6 = frame, where the loads below look for it
            _instruction(0x30, imm=_NEXT_HEADER_OFFSET),
            _instruction(0x55, 0, off=2, imm=_ICMPV6),
            _instruction(0x30, imm=_ICMPV6_TYPE_OFFSET),
            _instruction(0x15, 0, off=len(decide), imm=_ROUTER_SOLICITATION),
            *decide,
            _instruction(0xB7, 0, imm=_WHOLE_FRAME),
            _instruction(0x95),
            _instruction(0xB7, 0, imm=0),
            _instruction(0x95),
        ]
    )


def _instruction(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", code, dst | src << 4, off, imm)


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
