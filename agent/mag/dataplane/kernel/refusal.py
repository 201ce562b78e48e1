"""The kernel's refusals as DataplaneError."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pyroute2.netlink.exceptions import NetlinkError

from mag.dataplane.base import DataplaneError


@contextmanager
def asking(operation: str, target: object = "", *, settled: Collection[int] = ()) -> Iterator[None]:
    """Name what is asked of the kernel inside the block.

    settled: errno values that mean it is already as asked.
    Raises DataplaneError for any other refusal.
    """
    try:
        yield
    except NetlinkError as error:
        if error.code not in settled:
            raise DataplaneError(operation, os.strerror(error.code), target=str(target)) from error
