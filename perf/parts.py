"""The parts of a measurement in turn; one that fails leaves the others their chance."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

from mag.dataplane.base import DataplaneError
from mag.lab.errors import LabError
from perf.control_plane.measurement import Measurement

Parts = Mapping[str, Callable[[], Iterator[Measurement]]]


def measure_parts(names: Iterable[str], parts: Parts) -> tuple[list[Measurement], dict[str, str]]:
    """What was measured, and why the rest was not, by part."""
    results: list[Measurement] = []
    not_measured: dict[str, str] = {}
    for name in names:
        say(f"measuring {name}")
        if name == "kernel" and os.geteuid() != 0:
            not_measured[name] = "network namespaces need root"
            continue
        try:
            results += parts[name]()
        except (DataplaneError, LabError, RuntimeError, TimeoutError) as error:
            not_measured[name] = str(error) or type(error).__name__
    return results, not_measured


def say(text: str) -> None:
    """To whoever watches; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)
