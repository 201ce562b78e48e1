"""Where and with what a measurement was made: a number without it says nothing."""

import datetime
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_host() -> dict[str, object]:
    """Processor, kernel and how busy the machine was."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_field("model name"),
        "cpu_mhz": _cpu_field("cpu MHz"),
        "cache": _cpu_field("cache size"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": list(os.getloadavg()),
    }


def read_commit(repository: Path) -> str:
    """Commit that is checked out; empty where there is no repository."""
    git = repository / ".git"
    common = git
    if git.is_file():  # a further work tree: its own HEAD, but the branches of the main one
        git = repository / git.read_text().removeprefix("gitdir: ").strip()
        common = git / (git / "commondir").read_text().strip()
    head = git / "HEAD"
    if not head.is_file():
        return ""
    said = head.read_text().strip()
    if not said.startswith("ref: "):
        return said
    reference = common / said.removeprefix("ref: ")
    return reference.read_text().strip() if reference.is_file() else ""


def keep(document: Mapping[str, Any], directory: Path) -> Path:
    """Write the document under what it measures and when; returns the file."""
    directory.mkdir(parents=True, exist_ok=True)
    date = document["host"]["date"][:19].replace(":", "")
    path = directory / f"{document['measurement']}-{date}.json"
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")
    return path


def _cpu_field(name: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""
