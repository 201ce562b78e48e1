"""`python -m kills [--kills N] [--seed N]`: what `make kills` runs."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from kills.outside import GatewayFailed, Violation
from kills.run import run


def main() -> int:
    """0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="make kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="any other run's, to have it again")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mag-kills-") as folder:
        try:
            report = run(arguments.kills, seed, Path(folder, "journal.db"))
        except (Violation, GatewayFailed) as found:
            print(found)
            return 1
    print(
        f"{report.kills} kills in {time.monotonic() - started:.1f} s: {report.verified} times at "
        f"rest with forwarding == bindings == what the LMA had accepted; {report.updates} Proxy "
        "Binding Updates, no sequence number or timestamp used twice"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
