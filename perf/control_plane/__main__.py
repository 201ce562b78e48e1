"""`python -m perf.control_plane`: measure the agent, print a table, keep the raw samples."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from perf.arguments import count, parts_of
from perf.control_plane.codec import measure_codec
from perf.control_plane.core import measure_attach, measure_refresh, measure_refresh_all
from perf.control_plane.kernel import measure_kernel
from perf.control_plane.measurement import Measurement
from perf.control_plane.memory import measure_memory
from perf.control_plane.report import Document, render
from perf.host import describe_host, read_commit
from perf.parts import Parts, measure_parts

EXIT_OK: Final = 0
EXIT_TARGET_MISSED: Final = 1
PARTS: Final = ("codec", "attach", "refresh", "memory", "kernel")
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def main() -> int:
    """0: all targets met. 1: one was not, or could not be measured."""
    options = _parse()
    document = _measure(options)
    print(json.dumps(document) if options.json else render(document))
    return EXIT_OK if document["ok"] else EXIT_TARGET_MISSED


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="perf.control_plane", description=main.__doc__)
    parser.add_argument("--parts", type=parts_of(PARTS), default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--bindings", type=count, default=100_000, help="of refresh and memory")
    parser.add_argument("--attaches", type=count, default=20_000, help="of each attach storm")
    parser.add_argument("--kernel-bindings", type=count, default=20_000)
    parser.add_argument("--pairs", type=count, default=40, help="slices of each codec contest")
    parser.add_argument("--repeats", type=count, default=5, help="of all but memory and refresh")
    parser.add_argument("--output", type=Path, default=_REPOSITORY / "perf" / "results")
    parser.add_argument("--json", action="store_true", help="print the document instead of a table")
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> Document:
    provenance = {
        "host": describe_host(),
        "commit": read_commit(_REPOSITORY),
        "options": {
            key: getattr(options, key)
            for key in ("bindings", "attaches", "kernel_bindings", "pairs", "repeats")
        },
    }
    return measure_parts(options.parts, _measurements(options), provenance, options.output)


def _measurements(options: argparse.Namespace) -> Parts:
    return {
        "codec": lambda: measure_codec(options.pairs),
        "attach": lambda: measure_attach(options.attaches, options.repeats),
        "refresh": lambda: _refresh(options.bindings),
        "memory": lambda: measure_memory(options.bindings),
        "kernel": lambda: measure_kernel(options.kernel_bindings, options.repeats),
    }


def _refresh(bindings: int) -> Iterator[Measurement]:
    yield from measure_refresh(bindings)
    yield from measure_refresh_all(bindings)


if __name__ == "__main__":
    sys.exit(main())
