"""The JSON document of `mag lab --json`: keys that programs rely on."""

import json

from mag.lab.document import lab_document
from mag.lab.scenarios.steps import CrowdService, Findings, Handover, Outage, StepResult, Told
from mag.lab.traffic.probe_traffic import TrafficResult
from mag.lab.traffic.tcp_session import TcpResult
from mag.lab.traffic.traffic_statistics import Arrival, Period, direction_statistics

MS = 1_000_000


def traffic() -> TrafficResult:
    """Up: 1 of 20 lost, gap 2 ms. Down: 5 of 10 lost, gap 6 ms."""
    up = direction_statistics(
        [i * MS for i in range(20)], [Arrival(i, i * MS) for i in range(20) if i != 9]
    )
    down = direction_statistics(
        [i * MS for i in range(10)], [Arrival(i, i * MS) for i in (0, 1, 2, 8, 9)]
    )
    return TrafficResult(uplink=up, downlink=down)


def steps(*held: bool) -> list[StepResult]:
    return [StepResult(f"step{i}", ok, 1.2345, Told("words")) for i, ok in enumerate(held)]


def test_document_has_the_promised_keys() -> None:
    document = lab_document("handover", "kernel", steps(True), Findings(traffic=traffic()))
    assert set(document) >= {"scenario", "dataplane", "ok", "steps", "traffic"}
    assert (document["scenario"], document["dataplane"]) == ("handover", "kernel")
    assert set(document["steps"][0]) >= {"name", "ok", "ms"}
    assert set(document["traffic"]) >= {"sent", "received", "lost", "longest_gap_ms"}
    assert json.loads(json.dumps(document)) == document


def test_traffic_sums_both_directions_and_takes_the_longest_gap_of_either() -> None:
    document = lab_document("handover", "kernel", steps(True), Findings(traffic=traffic()))
    found = document["traffic"]
    assert (found["sent"], found["received"], found["lost"]) == (30, 24, 6)
    assert found["longest_gap_ms"] == 6.0
    assert (found["uplink"]["lost"], found["downlink"]["lost"]) == (1, 5)


def test_one_step_that_did_not_hold_makes_the_whole_not_ok() -> None:
    assert lab_document("attach", "kernel", steps(True, True), Findings())["ok"] is True
    assert lab_document("attach", "kernel", steps(True, False, True), Findings())["ok"] is False
    assert lab_document("attach", "kernel", [], Findings())["ok"] is False


def test_scenario_that_failed_before_traffic_has_the_same_keys() -> None:
    document = lab_document("handover", "kernel", steps(False), Findings())
    assert document["traffic"] == {"sent": 0, "received": 0, "lost": 0, "longest_gap_ms": 0.0}
    assert document["tcp"] is None
    assert document["handovers"] == []


def test_each_handover_tells_what_it_cost_in_each_direction() -> None:
    handover = Handover("mn1", "mag1", "mag2", Period(2 * MS, 8 * MS), 3.21)
    findings = Findings(handovers=[handover], traffic=traffic(), tcp=TcpResult(True, 7, 210.5))
    (found,) = lab_document("handover", "kernel", steps(True), findings)["handovers"]
    assert (found["node"], found["from"], found["to"]) == ("mn1", "mag1", "mag2")
    assert (found["signalling_ms"], found["duration_ms"]) == (3.21, 6.0)
    assert found["downlink"] == {"lost": 5, "gap_ms": 6.0}
    assert found["uplink"]["gap_ms"] == 2.0


def test_each_outage_tells_what_it_cost_in_each_direction() -> None:
    outage = Outage("mag1", Period(2 * MS, 8 * MS))
    findings = Findings(outages=[outage], traffic=traffic())
    (found,) = lab_document("dataplane-restart", "vpp", steps(True), findings)["outages"]
    assert (found["gateway"], found["duration_ms"]) == ("mag1", 6.0)
    assert found["downlink"] == {"lost": 5, "gap_ms": 6.0}
    assert found["uplink"]["gap_ms"] == 2.0


def test_direction_that_never_came_back_after_an_outage_has_no_gap() -> None:
    outage = Outage("mag1", Period(30 * MS, 50 * MS))
    findings = Findings(outages=[outage], traffic=traffic())
    (found,) = lab_document("dataplane-restart", "vpp", steps(True), findings)["outages"]
    assert found["uplink"]["gap_ms"] is None


def test_crowd_tells_how_soon_it_was_served() -> None:
    served = tuple(float(n) for n in range(1, 101))
    crowd = CrowdService(nodes=100, served_ms=served, setup_ms=(2.0, 3.0))
    found = lab_document("storm", "kernel", steps(True), Findings(crowd=crowd))["crowd"]
    assert found == {
        "nodes": 100, "served": 100, "first_ms": 1.0, "half_ms": 51.0, "all_ms": 100.0,
        "setup_p50_ms": 3.0, "setup_p99_ms": 3.0,
    }  # fmt: skip
    assert lab_document("attach", "kernel", steps(True), Findings())["crowd"] is None
