"""The parts of a measurement in turn; one that fails leaves the others their chance."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mag.dataplane.base import DataplaneError
from mag.lab.errors import LabError
from perf.control_plane.measurement import Measurement
from perf.control_plane.report import Document, make_document
from perf.host import keep

Parts = Mapping[str, Callable[[], Iterator[Measurement]]]

NOT_DONE: Final = "the run ended before it was done"


def measure_parts(
    names: Iterable[str], parts: Parts, provenance: Mapping[str, Any], folder: Path
) -> Document:
    """What was measured, and why the rest was not, by part.

    folder: where the document is kept, after each part anew: a run that is ended, for whatever
    reason, leaves what it had measured by then.
    """
    results: list[Measurement] = []
    not_measured = dict.fromkeys(names, NOT_DONE)
    document = make_document(results, not_measured, provenance)
    for name in list(not_measured):
        say(f"measuring {name}")
        try:
            if name == "kernel" and os.geteuid() != 0:
                raise RuntimeError("network namespaces need root")
            results += parts[name]()
            del not_measured[name]
        except (DataplaneError, LabError, RuntimeError, TimeoutError) as error:
            not_measured[name] = str(error) or type(error).__name__
        document = make_document(results, not_measured, provenance)
        say(f"raw samples: {keep(document, folder)}")
    return document


def say(text: str) -> None:
    """To whoever watches; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)
