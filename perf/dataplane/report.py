"""What was measured, as one document and as a table."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from perf.dataplane.bench import SizeResult
from perf.dataplane.churn import ChurnResult
from perf.dataplane.measure import Comparison, Slice, compare
from perf.dataplane.programming import ProgrammingResult
from perf.dataplane.ratio import LEAST_PAIRS, Verdict
from perf.dataplane.targets import (
    BINDINGS_PER_SECOND,
    CONTROL_SAME,
    CONTROL_SLOWER,
    GROWTH,
    GROWTH_BETWEEN,
    OCTETS_PER_BINDING,
)

Document = dict[str, Any]
"""What goes into the JSON file."""


@dataclass(frozen=True, slots=True)
class Results:
    """All parts that were run, in the order of their runs."""

    sizes: list[SizeResult]
    programming: list[ProgrammingResult]
    churn: list[ChurnResult]


def make_document(results: Results, provenance: Mapping[str, object]) -> Document:
    """The document; `ok` is whether every target and control that applies was met."""
    sizes = [_describe_size(size) for size in results.sizes]
    growth = _growth(sizes)
    programming = [_describe_programming(result) for result in results.programming]
    churn = [{**asdict(result), "ok": result.is_good} for result in results.churn]
    verdicts = [ratio["verdict"] for size in sizes for ratio in size["ratios"]]
    verdicts += [entry["verdict"] for entry in growth]
    verdicts += [result[key] for result in programming for key in ("rate", "memory")]
    controls = [held for size in sizes for held in size["controls"].values()]
    met = all(verdict in {Verdict.MET, None} for verdict in verdicts)
    return {
        "measurement": "dataplane",
        **provenance,
        "ok": met and all(controls) and all(result["ok"] for result in churn),
        "sizes": sizes,
        "growth": growth,
        "programming": programming,
        "churn": churn,
    }


def render(document: Document) -> str:
    """Tables for people."""
    parts = [
        _render_clocks(document["sizes"]),
        *(_render_ratios(size) for size in document["sizes"]),
        *(_render_growth(entry) for entry in document["growth"]),
        *(_render_programming(result) for result in document["programming"]),
        *(_render_churn(result) for result in document["churn"]),
    ]
    return "\n".join(part for part in parts if part)


# The document's parts


def _describe_size(size: SizeResult) -> Document:
    by_arm = {name: [visit[name] for visit in size.visits] for name in size.arms}
    return {
        "bindings": size.bindings,
        "arms": {name: _describe_arm(slices) for name, slices in by_arm.items()},
        "ratios": [_describe_ratio(size, comparison) for comparison in size.comparisons],
        "controls": _controls(size),
        "slices": [
            {name: _describe_slice(slice_) for name, slice_ in visit.items()}
            for visit in size.visits
        ],
    }


def _describe_slice(slice_: Slice) -> Document:
    described: Document = asdict(slice_.cost)
    # Node by node, the arm's medians are enough.
    del described["nodes"]
    return {"seconds": slice_.seconds, "rejected": slice_.rejected, **described}


def _describe_arm(slices: Sequence[Slice]) -> Document:
    kept = [slice_.cost for slice_ in slices if not slice_.rejected]
    names = sorted({name for cost in kept for name in cost.nodes})
    return {
        "clocks": statistics.median(cost.clocks_per_packet for cost in kept) if kept else None,
        "cheapest": min((cost.clocks_per_packet for cost in kept), default=None),
        "nodes": {
            name: statistics.median(cost.nodes.get(name, 0.0) for cost in kept) for name in names
        },
        "kept": len(kept),
        "rejected": dict(Counter(slice_.rejected for slice_ in slices if slice_.rejected)),
    }


def _controls(size: SizeResult) -> dict[str, bool]:
    same = compare(size.visits, CONTROL_SAME)
    slower = compare(size.visits, CONTROL_SLOWER)
    return {
        "same": same is not None and same.is_decisive and same.low <= 1.0 <= same.high,
        "slower": slower is not None and slower.pairs >= LEAST_PAIRS and slower.low > 1.0,
    }


def _describe_ratio(size: SizeResult, comparison: Comparison) -> Document:
    ratio = compare(size.visits, comparison)
    described: Document = {
        **asdict(comparison),
        "median": None,
        "low": None,
        "high": None,
        "of_minima": None,
        "pairs": 0,
        "verdict": None if comparison.target is None else Verdict.INCONCLUSIVE,
    }
    if ratio is not None:
        described |= asdict(ratio)
        if comparison.target is not None:
            described["verdict"] = ratio.verdict(comparison.target)
    return described


def _growth(sizes: Sequence[Document]) -> list[Document]:
    by_bindings = {size["bindings"]: size["arms"] for size in sizes}
    few, many = (by_bindings.get(bindings, {}) for bindings in GROWTH_BETWEEN)
    return [
        _describe_growth(arm, few[arm], many[arm], target)
        for arm, target in GROWTH.items()
        if few.get(arm, {}).get("kept") and many.get(arm, {}).get("kept")
    ]


def _describe_growth(arm: str, few: Document, many: Document, target: float) -> Document:
    ratio = many["clocks"] / few["clocks"]
    verdict = Verdict.MET if ratio <= target else Verdict.MISSED
    if min(few["kept"], many["kept"]) < LEAST_PAIRS:
        verdict = Verdict.INCONCLUSIVE
    return {"arm": arm, "ratio": ratio, "target": target, "verdict": verdict}


def _describe_programming(result: ProgrammingResult) -> Document:
    # With few bindings the time is the first message's, and the memory VPP's own tables.
    judged = result.bindings >= BINDINGS_PER_SECOND // 2
    rate = result.rates.added >= BINDINGS_PER_SECOND
    memory = result.octets_per_binding <= OCTETS_PER_BINDING
    return {
        **asdict(result),
        "rate": (Verdict.MET if rate else Verdict.MISSED) if judged else None,
        "memory": (Verdict.MET if memory else Verdict.MISSED) if judged else None,
    }


# The tables


def _render_clocks(sizes: Sequence[Document]) -> str:
    if not sizes:
        return ""
    names = list(dict.fromkeys(name for size in sizes for name in size["arms"]))
    heads = "".join(f"{size['bindings']:>12,}" for size in sizes)
    lines = [f"{'clocks per packet, by bindings':34}{heads}"]
    for name in names:
        cells = "".join(_clocks(size["arms"].get(name, {}).get("clocks")) for size in sizes)
        lines.append(f"  {name:32}{cells}")
    own_nodes = dict.fromkeys(
        (arm, node)
        for size in sizes
        for arm, cost in size["arms"].items()
        for node in cost["nodes"]
        if node.startswith("mag-")
    )
    for arm, node in own_nodes:
        cells = "".join(
            _clocks(size["arms"].get(arm, {}).get("nodes", {}).get(node)) for size in sizes
        )
        lines.append(f"  {f'{arm}: {node}':32}{cells}")
    return "\n".join(lines)


def _clocks(value: float | None) -> str:
    return f"{value:12.1f}" if value is not None else f"{'-':>12}"


def _render_ratios(size: Document) -> str:
    lines = [f"{size['bindings']:,} bindings"]
    for ratio in size["ratios"]:
        name = f"{ratio['subject']} / {ratio['reference']}"
        if not ratio["pairs"]:
            lines.append(f"  {name:46} no slice good enough")
            continue
        target = f"  target {ratio['target']:.2f}: {ratio['verdict']}" if ratio["target"] else ""
        lines.append(
            f"  {name:46} {ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
            f" of minima {ratio['of_minima']:.3f}, {ratio['pairs']} pairs{target}"
        )
    controls = (f"{name} {'ok' if held else 'FAILED'}" for name, held in size["controls"].items())
    lines.append(f"  controls: {', '.join(controls)}")
    if rejected := _rejected(size):
        lines.append(f"  slices rejected: {rejected}")
    return "\n".join(lines)


def _rejected(size: Document) -> str:
    reasons: Counter[str] = Counter()
    for arm in size["arms"].values():
        reasons.update(arm["rejected"])
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())


def _render_growth(entry: Document) -> str:
    few, many = GROWTH_BETWEEN
    return (
        f"{entry['arm']}: {many:,} bindings cost {entry['ratio']:.2f} times {few:,},"
        f" target {entry['target']:.1f}: {entry['verdict']}"
    )


def _render_programming(result: Document) -> str:
    rates = ", ".join(
        f"{name.replace('_', ' ')} {rate:,.0f}/s" for name, rate in result["rates"].items()
    )
    rate, memory = (f" ({result[key]})" if result[key] else "" for key in ("rate", "memory"))
    return (
        f"programming {result['bindings']:,}: {rates}{rate};"
        f" {result['octets_per_binding']:,.0f} octets a binding{memory}"
    )


def _render_churn(result: Document) -> str:
    return (
        f"churn beside {result['bindings']:,}: {result['binds_per_s']:,.0f} binds/s for"
        f" {result['seconds']:.0f} s, {result['generated']:,} packets, {result['lost']:,} lost,"
        f" p99 {result['update_p99_ms']:.1f} ms: {'ok' if result['ok'] else 'FAILED'}"
    )
