"""Memory that VPP's allocators have given out.

The process's resident memory says less: pages that the start-up touched and freed stay with it, and
bindings first go there.
"""

import re
from typing import Final

from perf.dataplane.vpp_process import VppProcess

HEAPS: Final = ("main-heap", "stats-segment")
_USED: Final = re.compile(r"\bused: (?P<amount>\d+(\.\d+)?)(?P<unit>[kKmMgG]?)")
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def used_octets(vpp: VppProcess) -> int:
    """In the main heap, where all tables of ours and VPP's are, and in the stats segment."""
    return sum(parse_used(vpp.cli(f"show memory {heap}")) for heap in HEAPS)


def parse_used(text: str) -> int:
    """From what `show memory` prints of one heap. Raises ValueError when it says nothing of it."""
    used = _USED.search(text)
    if used is None:
        raise ValueError(f"no use of memory in {text!r}")
    return round(float(used["amount"]) * _UNITS[used["unit"].upper()])
