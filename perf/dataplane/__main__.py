"""`python -m perf.dataplane`: measure the VPP packet path, print tables, keep the raw slices."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Final

from mag.dataplane.base import DataplaneError
from mag.lab.errors import LabError
from mag.lab.packet_path.vpp_installation import find_vpp
from perf.arguments import count, parts_of
from perf.dataplane.bench import Effort, measure_size
from perf.dataplane.churn import measure_churn
from perf.dataplane.frames import MobileNodes
from perf.dataplane.plot import draw
from perf.dataplane.programming import measure_programming
from perf.dataplane.report import Document, Results, make_document, render
from perf.dataplane.vpp_process import VppProcess, VppProcessError, VppSettings
from perf.host import describe_host, keep, read_commit

EXIT_OK: Final = 0
EXIT_TARGET_MISSED: Final = 1
EXIT_NOT_MEASURED: Final = 2
PARTS: Final = ("paths", "programming", "churn")
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def main() -> int:
    """0: all targets met. 1: one was not, or could not be decided. 2: could not measure."""
    options = _parse()
    # VPP and its directory go when the measurement is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_NOT_MEASURED))
    try:
        document = _measure(options)
    except (VppProcessError, DataplaneError, LabError) as error:
        _say(str(error))
        return EXIT_NOT_MEASURED
    raw = keep(document, options.output)
    _say(f"raw slices: {raw}")
    if document["sizes"] and not draw(document, raw.with_suffix(".svg")):
        _say("no plot: matplotlib is not installed (pip install '.[perf]')")
    print(json.dumps(document) if options.json else render(document))
    return EXIT_OK if document["ok"] else EXIT_TARGET_MISSED


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="perf.dataplane", description=main.__doc__)
    parser.add_argument("--bindings", type=_counts, default=[1, 1_000, 100_000, 1_000_000])
    parser.add_argument("--parts", type=parts_of(PARTS), default=["paths", "programming"])
    parser.add_argument("--pairs", type=count, default=40, help="good slices of each path")
    parser.add_argument("--slice-ms", type=count, default=100, help="length of a slice")
    parser.add_argument("--minutes", type=float, default=5.0, help="longest, for each size")
    parser.add_argument(
        "--correspondents", type=count, default=65_536, help="hosts that nodes talk to, at most"
    )
    parser.add_argument("--churn-minutes", type=float, default=10.0)
    parser.add_argument("--page-size", choices=("4k", "2M"), default="4k")
    parser.add_argument("--without-plugin", action="store_true", help="VPP's own means only")
    parser.add_argument("--output", type=Path, default=_REPOSITORY / "perf" / "results")
    parser.add_argument("--json", action="store_true", help="print the document instead of tables")
    return parser.parse_args()


def _counts(text: str) -> list[int]:
    return [count(each) for each in text.split(",")]


def _measure(options: argparse.Namespace) -> Document:
    """Every part for every size. What is measured is kept, whatever becomes of the rest."""
    has_plugin = not options.without_plugin
    installation = find_vpp(with_plugin=has_plugin)
    provenance = {
        "host": describe_host() | {"page_size": options.page_size},
        "vpp": _vpp_version(VppSettings(installation, has_plugin=False, bindings=1)),
        "plugin": has_plugin,
        "commit": read_commit(_REPOSITORY),
        "options": {key: getattr(options, key) for key in ("pairs", "slice_ms", "correspondents")},
    }
    results = Results([], [], [])
    for bindings in options.bindings:
        settings = VppSettings(installation, has_plugin, bindings, options.page_size)
        for part in options.parts:
            _measure_part(part, settings, options, results)
            document = make_document(results, provenance)
            keep(document, options.output)
    return document


def _measure_part(
    part: str, settings: VppSettings, options: argparse.Namespace, results: Results
) -> None:
    bindings = settings.bindings
    if part == "paths":
        nodes = MobileNodes(bindings, min(bindings, options.correspondents))
        effort = Effort(options.slice_ms / 1000, options.pairs, options.minutes * 60)
        results.sizes.append(measure_size(settings, nodes, effort, _say))
    elif not settings.has_plugin:
        _say(f"{part} is our plugin's only: left out")
    elif part == "programming":
        results.programming.append(measure_programming(settings))
    else:
        results.churn.append(measure_churn(settings, options.churn_minutes * 60))


def _vpp_version(settings: VppSettings) -> str:
    with VppProcess(settings) as vpp:
        return str(vpp.call("show_version").version)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
