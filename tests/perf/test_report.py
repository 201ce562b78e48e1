"""The document, its verdicts and its tables."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from perf.dataplane.bench import SizeResult
from perf.dataplane.churn import ChurnResult
from perf.dataplane.measure import Slice
from perf.dataplane.plot import draw
from perf.dataplane.programming import ProgrammingResult, Rates
from perf.dataplane.report import Results, make_document, render
from perf.dataplane.runtime import PathCost
from perf.dataplane.targets import comparisons

CLOCKS = {
    "own-up": 30.0,
    "own-down": 28.0,
    "composed-up": 200.0,
    "composed-down": 210.0,
    "plain-route": 90.0,
    "forwarding": 60.0,
    "forwarding-again": 60.0,
    "forwarding-in-small-frames": 80.0,
}
PROVENANCE = {
    "host": {"cpu": "a processor", "date": "2026-11-23T20:00:00+00:00"},
    "vpp": "26.06-release",
    "commit": "0123abcd",
}
GOOD_CHURN = ChurnResult(1000, 600.0, 600_000, 600_000, 599_000, 1000.0, 10**9, 0, 1.5)


def size(clocks=CLOCKS, *, bindings=1000, rejected=""):
    def slice_(arm, cost):
        nodes = {f"mag-{arm}": cost}
        return Slice(arm, 0.1, PathCost(2560, 2560, 256.0, cost, nodes), rejected)

    visit = {arm: slice_(arm, cost) for arm, cost in clocks.items()}
    return SizeResult(bindings, list(clocks), [visit] * 12, comparisons(list(clocks), bindings))


def programming(*, added=500_000.0, octets=360.0, bindings=100_000):
    return ProgrammingResult(bindings, Rates(400_000.0, 600_000.0, added, 500_000.0), octets)


def document(*sizes, programmed=(), churned=()):
    return make_document(Results(list(sizes), list(programmed), list(churned)), PROVENANCE)


def ratio(described, subject, reference):
    (found,) = (
        entry
        for entry in described["sizes"][0]["ratios"]
        if (entry["subject"], entry["reference"]) == (subject, reference)
    )
    return found


def test_all_targets_met_is_ok():
    described = document(size(), programmed=[programming()], churned=[GOOD_CHURN])
    assert described["ok"]
    assert ratio(described, "own-up", "composed-up")["verdict"] == "met"


def test_path_that_is_too_expensive_misses_its_target():
    described = document(size({**CLOCKS, "own-up": 90.0}))
    assert ratio(described, "own-up", "composed-up")["verdict"] == "missed"
    assert not described["ok"]


def test_ratio_without_target_has_no_verdict():
    assert ratio(document(size()), "own-up", "plain-route")["verdict"] is None


def test_machine_too_busy_to_measure_is_inconclusive_not_met():
    described = document(size(rejected="core lost"))
    assert ratio(described, "own-up", "composed-up")["verdict"] == "inconclusive"
    assert described["sizes"][0]["arms"]["own-up"]["rejected"] == {"core lost": 12}
    assert not described["ok"]
    assert "no slice good enough" in render(described)
    assert f"slices rejected: {12 * len(CLOCKS)} core lost" in render(described)


@pytest.mark.parametrize(
    ("arm", "clocks", "control"),
    [
        pytest.param("forwarding-again", 66.0, "same", id="same path seems slower"),
        pytest.param("forwarding-in-small-frames", 60.0, "slower", id="slower path goes unnoticed"),
    ],
)
def test_failed_control_spoils_the_measurement(arm, clocks, control):
    described = document(size({**CLOCKS, arm: clocks}))
    assert not described["sizes"][0]["controls"][control]
    assert not described["ok"]


def test_growth_from_a_thousand_to_a_million_is_judged():
    many = size({**CLOCKS, "own-up": 60.0, "own-down": 50.0}, bindings=1_000_000)
    described = document(size(), many)
    assert [(entry["arm"], entry["verdict"]) for entry in described["growth"]] == [
        ("own-up", "missed"),
        ("own-down", "met"),
    ]


def test_growth_over_few_slices_is_inconclusive():
    many = size(bindings=1_000_000)
    described = document(size(), replace(many, visits=many.visits[:3]))
    assert {entry["verdict"] for entry in described["growth"]} == {"inconclusive"}


@pytest.mark.parametrize(
    ("result", "rate", "memory"),
    [
        pytest.param(programming(), "met", "met", id="fast and small"),
        pytest.param(programming(added=100_000.0), "missed", "met", id="slow"),
        pytest.param(programming(octets=600.0), "met", "missed", id="large"),
        pytest.param(programming(bindings=1, octets=9e6), None, None, id="too few to judge"),
    ],
)
def test_programming_is_judged_by_rate_and_memory(result, rate, memory):
    (described,) = document(programmed=[result])["programming"]
    assert (described["rate"], described["memory"]) == (rate, memory)


@pytest.mark.parametrize(
    ("lost", "binds_per_s"),
    [pytest.param(1, 1000.0, id="one packet lost"), pytest.param(0, 900.0, id="not kept up")],
)
def test_churn_that_disturbs_or_lags_is_not_ok(lost, binds_per_s):
    churned = ChurnResult(1000, 60.0, 60_000, 60_000, 59_000, binds_per_s, 10**9, lost, 1.5)
    described = document(churned=[churned])
    assert not described["churn"][0]["ok"]
    assert not described["ok"]


def test_document_survives_json_and_tells_where_it_was_made():
    described = document(size(), programmed=[programming()], churned=[GOOD_CHURN])
    read = json.loads(json.dumps(described))
    assert read["commit"] == "0123abcd"
    assert len(read["sizes"][0]["slices"]) == 12
    assert render(read) == render(described)


def test_table_has_a_column_for_each_size_and_a_row_for_each_path():
    lines = render(document(size(), size(bindings=1))).splitlines()
    assert lines[0].split()[-2:] == ["1,000", "1"]
    assert lines[1].split() == ["own-up", "30.0", "30.0"]


def test_plot_names_every_path_but_the_controls(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "clocks.svg"
    assert draw(document(size(), size(bindings=1)), path)
    assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314
    drawn = path.read_text()
    assert "<!-- own-up -->" in drawn
    assert "<!-- forwarding-again -->" not in drawn
