"""`python -m perf.agent_on_vpp`: measure the agent on VPP, print a table, keep the raw samples."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Final

from mag.lab.errors import LabError
from mag.lab.packet_path.vpp_installation import VppInstallation, find_vpp
from perf.agent_on_vpp.restore import measure_restore
from perf.agent_on_vpp.storm import measure_storm
from perf.arguments import parts_of
from perf.control_plane.report import render
from perf.host import describe_host, read_commit
from perf.parts import Parts, measure_parts, say

EXIT_OK: Final = 0
EXIT_TARGET_MISSED: Final = 1
EXIT_NOT_MEASURED: Final = 2
PARTS: Final = ("restore", "storm")
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def main() -> int:
    """0: all targets met. 1: one was not, or could not be measured. 2: there is no VPP."""
    options = _parse()
    # VPP, the agent and their namespaces go when the measurement is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_NOT_MEASURED))
    try:
        installation = find_vpp()
    except LabError as error:
        say(str(error))
        return EXIT_NOT_MEASURED
    provenance = {
        "measurement": "agent-on-vpp",
        "host": describe_host(),
        "commit": read_commit(_REPOSITORY),
        "options": {key: getattr(options, key) for key in ("bindings", "rates", "repeats")},
    }
    measurements = _measurements(installation, options)
    document = measure_parts(options.parts, measurements, provenance, options.output)
    print(json.dumps(document) if options.json else render(document))
    return EXIT_OK if document["ok"] else EXIT_TARGET_MISSED


def _measurements(installation: VppInstallation, options: argparse.Namespace) -> Parts:
    return {
        "restore": lambda: measure_restore(installation, options.bindings, options.repeats),
        "storm": lambda: measure_storm(installation, options.rates, options.repeats),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="perf.agent_on_vpp", description=main.__doc__)
    parser.add_argument("--parts", type=parts_of(PARTS), default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--bindings", type=int, default=100_000, help="of the restoration")
    parser.add_argument(
        "--rates", type=_rates, default=[2500, 6000], help="of attaches offered, per second"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=_REPOSITORY / "perf" / "results")
    parser.add_argument("--json", action="store_true", help="print the document instead of a table")
    return parser.parse_args()


def _rates(text: str) -> list[int]:
    return sorted(map(int, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
