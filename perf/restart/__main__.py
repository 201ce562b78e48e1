"""`python -m perf.restart`: a restart with many bindings measured; a table, and the raw samples."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from perf.arguments import count, parts_of
from perf.control_plane.report import render
from perf.host import describe_host, read_commit
from perf.parts import Parts, measure_parts
from perf.restart.first_minute import measure_first_minute
from perf.restart.reload import measure_reload
from perf.restart.start import measure_start_in_memory, measure_start_on_kernel
from perf.restart.storm import measure_storm

EXIT_OK: Final = 0
EXIT_TARGET_MISSED: Final = 1
PARTS: Final = ("storm", "memory", "kernel", "first-minute", "reload")
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def main() -> int:
    """0: all targets met. 1: one was not, or could not be measured."""
    options = _parse()
    provenance = {
        "measurement": "restart",
        "host": describe_host(),
        "commit": read_commit(_REPOSITORY),
        "options": {"bindings": options.bindings, "repeats": options.repeats},
    }
    document = measure_parts(options.parts, _measurements(options), provenance, options.output)
    print(json.dumps(document) if options.json else render(document))
    return EXIT_OK if document["ok"] else EXIT_TARGET_MISSED


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="perf.restart", description=main.__doc__)
    parser.add_argument("--parts", type=parts_of(PARTS), default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--bindings", type=count, default=100_000)
    parser.add_argument("--repeats", type=count, default=3, help="of each start")
    parser.add_argument("--journal-folder", type=Path, help="on the disk to measure")
    parser.add_argument("--output", type=Path, default=_REPOSITORY / "perf" / "results")
    parser.add_argument("--json", action="store_true", help="print the document instead of a table")
    return parser.parse_args()


def _measurements(options: argparse.Namespace) -> Parts:
    return {
        "storm": lambda: measure_storm(options.bindings, options.journal_folder),
        "memory": lambda: measure_start_in_memory(options.bindings, options.repeats),
        "kernel": lambda: measure_start_on_kernel(options.bindings, options.repeats),
        "first-minute": lambda: measure_first_minute(options.bindings),
        "reload": lambda: measure_reload(options.bindings),
    }


if __name__ == "__main__":
    sys.exit(main())
