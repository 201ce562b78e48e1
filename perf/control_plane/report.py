"""What was measured, as one document and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from perf.control_plane.measurement import Measurement
from perf.dataplane.ratio import Verdict

Document = dict[str, Any]
"""What goes into the JSON file."""

_HEADS: Final = ("", "median", "lowest", "highest", "unit", "target", "")


def make_document(
    results: Sequence[Measurement], not_measured: Mapping[str, str], provenance: Mapping[str, Any]
) -> Document:
    """The document; `ok` is whether every target was met.

    not_measured: why, by part; a part that could not be measured has met nothing.
    """
    return {
        "measurement": "control-plane",
        **provenance,
        "ok": not not_measured and all(each.verdict in {Verdict.MET, None} for each in results),
        "not_measured": dict(not_measured),
        "results": [_describe(result) for result in results],
    }


def _describe(result: Measurement) -> Document:
    return {
        "name": result.name,
        "unit": result.unit,
        "median": result.median,
        "lowest": min(result.samples),
        "highest": max(result.samples),
        "samples": list(result.samples),
        "target": None if result.target is None else str(result.target),
        "verdict": result.verdict,
    }


def render(document: Document) -> str:
    """A table for people."""
    rows = [_HEADS, *(_row(result) for result in document["results"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, unit, target, verdict in rows:
        aligned = (f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:4], strict=True))
        rest = f"{unit:{widths[4]}}  {target:>{widths[5]}}  {verdict}"
        lines.append(f"{name:{widths[0]}}  {'  '.join(aligned)}  {rest}".rstrip())
    lines += [f"{part}: not measured: {why}" for part, why in document["not_measured"].items()]
    lines.append("every target met" if document["ok"] else "NOT every target met")
    return "\n".join(lines)


def _row(result: Document) -> tuple[str, ...]:
    return (
        result["name"],
        *(_number(result[key]) for key in ("median", "lowest", "highest")),
        result["unit"],
        result["target"] or "",
        result["verdict"] or "",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004
