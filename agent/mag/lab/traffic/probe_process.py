"""One end of the probe traffic: a process of its own, so that nothing disturbs its pace.

Started inside a node's namespace as `python -m mag.lab.traffic.probe_process RATE PORT [ADDRESS
PEER]…`, ADDRESS perhaps with `%INTERFACE`. It binds every ADDRESS, says `ready`, and obeys its
standard input: `send` starts sending RATE numbered probes a second, one to each PEER in turn,
`stop` ends that, `report` prints one JSON document and ends the process. End of input ends it as
well. Arrivals are counted from the start, with the kernel's receive times.
"""

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import threading
import time
from array import array
from collections.abc import Sequence
from typing import Final

PROBE_OCTETS: Final = 64
_PROBE: Final = struct.Struct("!4sQ")
_MAGIC: Final = b"mag?"
_MAX_PROBES: Final = 2_000_000
"""Half an hour at 1,000 a second; then both lists stop growing."""
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_NS_PER_S: Final = 1_000_000_000
_REAL_TIME_PRIORITY: Final = 1


class Probe:
    """Bound sockets, the probes they sent and the probes they received."""

    def __init__(self, pairs: Sequence[tuple[str, str]], port: int, rate_per_s: float) -> None:
        """pairs: an address to bind, and the other end's address. Raises OSError."""
        sockets = {address: _bound(address, port) for address in dict(pairs)}
        self._ways = [(sockets[address], (peer, port)) for address, peer in pairs]
        self._selector = selectors.DefaultSelector()
        for each in sockets.values():
            self._selector.register(each, selectors.EVENT_READ)
        self._interval_ns = round(_NS_PER_S / rate_per_s)
        self._sent_at_ns = array("q")
        self._received_sequence = array("q")
        self._received_at_ns = array("q")
        self._refused = 0
        self._is_stopped = threading.Event()

    def receive(self) -> None:
        """Note every probe that arrives, for ever."""
        while True:
            for key, _ in self._selector.select():
                data, ancillary, _, _ = key.fileobj.recvmsg(PROBE_OCTETS, 64)  # type: ignore[union-attr]
                if len(data) < _PROBE.size or len(self._received_at_ns) >= _MAX_PROBES:
                    continue
                magic, sequence = _PROBE.unpack_from(data)
                if magic == _MAGIC:
                    self._received_sequence.append(sequence)
                    self._received_at_ns.append(_kernel_time_ns(ancillary))

    def send(self) -> None:
        """Send at an even pace until stopped; what the host was late for follows at once."""
        padding = bytes(PROBE_OCTETS - _PROBE.size)
        start_ns = time.monotonic_ns()
        while not self._is_stopped.is_set() and len(self._sent_at_ns) < _MAX_PROBES:
            sequence = len(self._sent_at_ns)
            ahead_ns = start_ns + sequence * self._interval_ns - time.monotonic_ns()
            if ahead_ns > 0:
                time.sleep(ahead_ns / _NS_PER_S)
            own, peer = self._ways[sequence % len(self._ways)]
            self._sent_at_ns.append(time.time_ns())
            try:
                own.sendto(_PROBE.pack(_MAGIC, sequence) + padding, peer)
            except OSError:
                # No route or no buffer: for whoever waits for it, this probe is lost.
                self._refused += 1

    def stop(self) -> None:
        """Send no more."""
        self._is_stopped.set()

    def report(self) -> str:
        """Everything as JSON; times in nanoseconds since 1970."""
        document = {
            "sent_at_ns": self._sent_at_ns.tolist(),
            "refused": self._refused,
            "received_sequence": self._received_sequence.tolist(),
            "received_at_ns": self._received_at_ns.tolist(),
        }
        return json.dumps(document, separators=(",", ":"))


def _bound(address: str, port: int) -> socket.socket:
    """address: perhaps with the interface that alone it is to be used on."""
    address, _, interface = address.partition("%")
    own = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    own.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    if interface:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    own.bind((address, port))
    return own


def _kernel_time_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds * _NS_PER_S + nanoseconds)
    return time.time_ns()


def _run(rate_per_s: float, port: int, addresses: Sequence[str]) -> None:
    probe = Probe(list(zip(addresses[::2], addresses[1::2], strict=True)), port, rate_per_s)
    # A busy host must not become a gap in the traffic; without the right we do what we can.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REAL_TIME_PRIORITY))
    threading.Thread(target=probe.receive, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "send":
                threading.Thread(target=probe.send, daemon=True).start()
            case "stop":
                probe.stop()
            case "report":
                print(probe.report(), flush=True)
                return


if __name__ == "__main__":
    _run(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
