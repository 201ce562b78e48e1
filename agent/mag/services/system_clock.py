"""Whether the machine's clock follows a common source, as the kernel knows it: adjtimex(2).

Whatever disciplines the clock (chronyd, ntpd, systemd-timesyncd, phc2sys) tells the kernel so, and
containers see the clock of their host.
"""

import ctypes
import os
from typing import Final

from mag.frozen import frozen

_TIME_ERROR: Final = 5
_MICROSECOND_S: Final = 1e-6


@frozen
class ClockReading:
    """What the kernel says of its clock."""

    is_synchronized: bool | None
    """None: it does not say."""
    estimated_error_s: float = 0.0
    """Of whatever disciplines it."""
    maximum_error_s: float = 0.0
    """Bound that grows from one correction to the next."""
    reason: str = ""
    """Why it does not say."""


class _Timex(ctypes.Structure):
    """struct timex as far as it is read; the rest is room for the kernel to write to."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_libc: Final = ctypes.CDLL(None, use_errno=True)


def read_system_clock() -> ClockReading:
    """Ask the kernel; changes nothing and needs no privilege, but a sandbox may forbid it."""
    timex = _Timex(modes=0)
    state = _libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        return ClockReading(None, reason=f"adjtimex: {os.strerror(ctypes.get_errno())}")
    return ClockReading(
        state != _TIME_ERROR,
        timex.esterror * _MICROSECOND_S,
        timex.maxerror * _MICROSECOND_S,
    )
