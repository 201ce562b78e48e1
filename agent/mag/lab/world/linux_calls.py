"""The few Linux system calls the lab needs that Python 3.11's library does not offer."""

import array
import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18

_PR_SET_PDEATHSIG: Final = 1
_SIOCETHTOOL: Final = 0x8946
_ETHTOOL_STXCSUM: Final = 0x17
_ETHTOOL_STSO: Final = 0x1F
_ETHTOOL_SGSO: Final = 0x24
_ETHTOOL_SGRO: Final = 0x2C

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of the CLONE_ flags for new ones; raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def enter_namespace(descriptor: int, kind: int = 0) -> None:
    """Enter the namespace behind an open /proc/PID/ns file (setns); raises OSError.

    A network namespace is entered by the calling thread alone, a pid namespace by the
    children made afterwards.
    """
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount as mount(2) does; raises OSError."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _checked(result, f"mount {target}")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that made it ends (PR_SET_PDEATHSIG)."""
    result = _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    _checked(result, "prctl")


def disable_transmit_checksum_offload(interface: str) -> None:
    """Have the kernel compute checksums before the interface sees a packet; raises OSError."""
    _disable_offloads(interface, _ETHTOOL_STXCSUM)


def disable_segmentation_offloads(interface: str) -> None:
    """Have the interface see no packet larger than its MTU; raises OSError."""
    _disable_offloads(interface, _ETHTOOL_STSO, _ETHTOOL_SGSO, _ETHTOOL_SGRO)


def _disable_offloads(interface: str, *commands: int) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        for command in commands:
            value = array.array("B", struct.pack("=II", command, 0))
            address, _ = value.buffer_info()
            request = struct.pack("@16sP16x", interface.encode(), address)
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
