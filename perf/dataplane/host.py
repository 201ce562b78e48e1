"""Where and with what a measurement was made: a number without it says nothing."""

import datetime
import os
import platform
from pathlib import Path


def describe_host(page_size: str) -> dict[str, object]:
    """Processor, kernel, memory pages and how busy the machine was."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_field("model name"),
        "cpu_mhz": _cpu_field("cpu MHz"),
        "cache": _cpu_field("cache size"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "page_size": page_size,
        "load_average": list(os.getloadavg()),
    }


def read_commit(repository: Path) -> str:
    """Commit that is checked out; empty where there is no repository."""
    head = repository / ".git" / "HEAD"
    if not head.is_file():
        return ""
    said = head.read_text().strip()
    if not said.startswith("ref: "):
        return said
    reference = repository / ".git" / said.removeprefix("ref: ")
    return reference.read_text().strip() if reference.is_file() else ""


def _cpu_field(name: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""
