"""What a scenario found, as the one JSON document of `mag lab --json`."""

from collections.abc import Sequence
from typing import Any

from mag.lab.scenarios.steps import CrowdService, Findings, Handover, Outage, StepResult
from mag.lab.scenarios.with_traffic import (
    handover_gap_ms,
    lost_in_handover,
    lost_in_outage,
    outage_gap_ms,
)
from mag.lab.traffic.probe_traffic import TrafficResult
from mag.lab.traffic.traffic_statistics import DirectionStatistics

Document = dict[str, Any]


def lab_document(
    scenario: str, dataplane: str, results: Sequence[StepResult], findings: Findings
) -> Document:
    """Keys are stable; `traffic` sums both directions, its gap is the longest of either."""
    document: Document = {
        "scenario": scenario,
        "dataplane": dataplane,
        "ok": is_ok(results),
        "steps": [
            {"name": each.name, "ok": each.ok, "ms": _ms(each.ms), "text": each.told.sentence}
            for each in results
        ],
        "traffic": _traffic(findings.traffic),
        "handovers": [_handover(each, findings.traffic) for each in findings.handovers],
        "outages": [_outage(each, findings.traffic) for each in findings.outages],
        "tcp": None,
        "crowd": None if findings.crowd is None else _crowd(findings.crowd),
    }
    if findings.tcp is not None:
        document["tcp"] = {
            "survived": findings.tcp.survived,
            "echoed": findings.tcp.echoed,
            "longest_stall_ms": _ms(findings.tcp.longest_stall_ms),
        }
    return document


def is_ok(results: Sequence[StepResult]) -> bool:
    """Every step held; a scenario without steps shows nothing."""
    return bool(results) and all(each.ok for each in results)


def _traffic(traffic: TrafficResult | None) -> Document:
    if traffic is None:
        return {"sent": 0, "received": 0, "lost": 0, "longest_gap_ms": 0.0}
    directions = traffic.directions
    return {
        "sent": sum(each.sent for each in directions),
        "received": sum(each.received for each in directions),
        "lost": sum(each.lost for each in directions),
        "longest_gap_ms": _ms(max(each.longest_gap_ms for each in directions)),
        "uplink": _direction(traffic.uplink),
        "downlink": _direction(traffic.downlink),
    }


def _direction(direction: DirectionStatistics) -> Document:
    return {
        "sent": direction.sent,
        "received": direction.received,
        "lost": direction.lost,
        "duplicates": direction.duplicates,
        "reordered": direction.reordered,
        "longest_gap_ms": _ms(direction.longest_gap_ms),
        "longest_sender_pause_ms": _ms(direction.longest_sender_pause_ms),
    }


def _handover(handover: Handover, traffic: TrafficResult | None) -> Document:
    document: Document = {
        "node": handover.node,
        "from": handover.from_gateway,
        "to": handover.to_gateway,
        "signalling_ms": _ms(handover.signalling_ms),
        "duration_ms": _ms(handover.period.length_ms),
    }
    if traffic is not None:
        for name, direction in (("uplink", traffic.uplink), ("downlink", traffic.downlink)):
            document[name] = {
                "lost": lost_in_handover(direction, handover),
                "gap_ms": _ms(handover_gap_ms(direction, handover)),
            }
    return document


def _outage(outage: Outage, traffic: TrafficResult | None) -> Document:
    """gap_ms: null where nothing came after the outage."""
    document: Document = {"gateway": outage.gateway, "duration_ms": _ms(outage.period.length_ms)}
    if traffic is not None:
        for name, direction in (("uplink", traffic.uplink), ("downlink", traffic.downlink)):
            gap_ms = outage_gap_ms(direction, outage)
            document[name] = {
                "lost": lost_in_outage(direction, outage),
                "gap_ms": None if gap_ms is None else _ms(gap_ms),
            }
    return document


def _crowd(crowd: CrowdService) -> Document:
    return {
        "nodes": crowd.nodes,
        "served": len(crowd.served_ms),
        "first_ms": _ms(crowd.served_ms[0]),
        "half_ms": _ms(crowd.quantile(crowd.served_ms, 0.5)),
        "all_ms": _ms(crowd.served_ms[-1]),
        "setup_p50_ms": _ms(crowd.quantile(crowd.setup_ms, 0.5)),
        "setup_p99_ms": _ms(crowd.quantile(crowd.setup_ms, 0.99)),
    }


def _ms(value: float) -> float:
    return round(value, 3)
