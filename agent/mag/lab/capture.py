"""Captures many interfaces of many namespaces into one pcapng file.

A process of its own: `python -m mag.lab.capture DESCRIPTOR NODE/INTERFACE ...` writes to an open
descriptor, since the file lies outside the lab's mounts. SIGTERM drains and ends it.
"""

import errno
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from mag.lab.world.network_namespace import inside_network_namespace

_ETH_P_ALL: Final = 3
_SNAP_OCTETS: Final = 65535
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER_OCTETS: Final = 8 << 20
_NS_PER_S: Final = 1_000_000_000

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_ENHANCED_PACKET: Final = 6
_LINKTYPE_ETHERNET: Final = 1
_OPTION_NAME: Final = 2
_OPTION_TIMESTAMP_RESOLUTION: Final = 9
_NANOSECONDS: Final = 9


class PcapngWriter:
    """Writes the three pcapng blocks a capture needs (IETF draft-ietf-opsawg-pcapng)."""

    def __init__(self, file: BinaryIO, interfaces: Sequence[str]) -> None:
        """interfaces: names, numbered from 0 in this order."""
        self._file = file
        header = struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1)
        self._write(_SECTION_HEADER, header)
        for name in interfaces:
            body = struct.pack("=HHI", _LINKTYPE_ETHERNET, 0, _SNAP_OCTETS)
            resolution = _option(_OPTION_TIMESTAMP_RESOLUTION, bytes([_NANOSECONDS]))
            end = struct.pack("=HH", 0, 0)
            self._write(
                _INTERFACE_DESCRIPTION,
                body + _option(_OPTION_NAME, name.encode()) + resolution + end,
            )
        self._file.flush()

    def packet(self, interface: int, at_ns: int, frame: bytes) -> None:
        """Append one frame; at_ns: since 1970."""
        length = len(frame)
        fixed = struct.pack("=IIIII", interface, at_ns >> 32, at_ns & 0xFFFFFFFF, length, length)
        self._write(_ENHANCED_PACKET, fixed + _padded(frame))

    def _write(self, block_type: int, body: bytes) -> None:
        total = len(body) + 12
        self._file.write(struct.pack("=II", block_type, total) + body + struct.pack("=I", total))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _listen(interface: str) -> socket.socket:
    """interface: NODE/INTERFACE."""
    node, _, name = interface.partition("/")
    with inside_network_namespace(node):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_OCTETS)
    listener.setblocking(False)
    # Bound last: an unbound packet socket of protocol 0 hears nothing, so nothing is mixed up.
    listener.bind((name, _ETH_P_ALL))
    return listener


def _frames(listener: socket.socket) -> Iterator[tuple[int, bytes]]:
    """What is waiting: time in nanoseconds since 1970, frame."""
    while True:
        try:
            frame, ancillary, _, _ = listener.recvmsg(_SNAP_OCTETS, 64)
        except BlockingIOError:
            return
        except OSError as error:
            # Said once of an interface that is down; it goes on when that comes up.
            if error.errno == errno.ENETDOWN:
                return
            raise
        at_ns = time.time_ns()
        for _, kind, data in ancillary:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("@ll", data)
                at_ns = seconds * _NS_PER_S + nanoseconds
        yield at_ns, frame


def _run(descriptor: int, interfaces: Sequence[str]) -> None:
    wake_reads, wake_writes = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(wake_writes, b"."))
    with os.fdopen(descriptor, "wb") as file, selectors.DefaultSelector() as selector:
        listeners = [_listen(interface) for interface in interfaces]
        for number, listener in enumerate(listeners):
            selector.register(listener, selectors.EVENT_READ, number)
        selector.register(wake_reads, selectors.EVENT_READ)
        writer = PcapngWriter(file, interfaces)
        print("ready", flush=True)
        is_stopped = False
        while not is_stopped:
            is_stopped = any(key.data is None for key, _ in selector.select())
            caught = [
                (at_ns, number, frame)
                for number, listener in enumerate(listeners)
                for at_ns, frame in _frames(listener)
            ]
            for at_ns, number, frame in sorted(caught):
                writer.packet(number, at_ns, frame)
            file.flush()


if __name__ == "__main__":
    _run(int(sys.argv[1]), sys.argv[2:])
