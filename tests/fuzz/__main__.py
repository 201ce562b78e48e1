"""`python -m fuzz TARGET [libFuzzer arguments]`: look for octets that break an invariant.

What is found new goes into a scratch folder beside the committed corpus, which is read only.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["mag.wire"]):
    from fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).parent / "corpus"


def main() -> None:
    """Ends the process with libFuzzer's exit code: not 0 if something was found."""
    name, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix=f"mag-fuzz-{name}-") as found:
        artifacts = f"-artifact_prefix={Path.cwd()}/"
        options = ["-max_len=512", "-timeout=5", artifacts, *arguments]
        atheris.Setup([name, *options, found, str(CORPUS / name)], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
