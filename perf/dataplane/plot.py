"""Clocks per packet by number of bindings, drawn."""

from pathlib import Path

from perf.dataplane.plain_forwarding import AGAIN, SABOTAGED
from perf.dataplane.report import Document


def draw(document: Document, path: Path) -> bool:
    """Write an SVG of every path's cost; False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        return False
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(name for size in document["sizes"] for name in size["arms"]):
        if name not in {AGAIN, SABOTAGED}:
            points = _points(document, name)
            style = "-" if name.startswith("own") else "--"
            axes.plot(*zip(*points, strict=True), style, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("bindings")
    axes.set_ylabel("TSC clocks per packet, generator not counted")
    axes.set_title(f"{document['vpp']}, {document['host']['cpu']}, {document['host']['date'][:10]}")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
    return True


def _points(document: Document, name: str) -> list[tuple[int, float]]:
    return [
        (size["bindings"], size["arms"][name]["clocks"])
        for size in document["sizes"]
        if size["arms"].get(name, {}).get("clocks") is not None
    ]
