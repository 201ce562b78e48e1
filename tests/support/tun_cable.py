"""A link without link-layer addresses between two namespaces: a tun device at each end."""

import fcntl
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.namespaces import in_namespace

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
LARGEST_PACKET = 65535


@contextmanager
def tun_cable(name: str, *namespaces: str) -> Iterator[None]:
    """Both devices have the name, and are down; what one end sends arrives at the other."""
    first, second = (_device(name, namespace) for namespace in namespaces)
    over, stop = os.pipe()
    pump = threading.Thread(target=_pump, args=(first, second, over))
    pump.start()
    try:
        yield
    finally:
        os.close(stop)
        pump.join()
        for descriptor in (first, second, over):
            os.close(descriptor)


def _device(name: str, namespace: str) -> int:
    def make() -> int:
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        return descriptor

    return in_namespace(namespace, make)


def _pump(first: int, second: int, over: int) -> None:
    other = {first: second, second: first}
    while True:
        readable, _, _ = select.select([first, second, over], [], [])
        if over in readable:
            return
        for descriptor in readable:
            try:
                os.write(other[descriptor], os.read(descriptor, LARGEST_PACKET))
            except OSError:  # the other end is down
                continue
