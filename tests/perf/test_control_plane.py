"""The measurement of the agent: its LMA, its small runs, its document and verdicts."""

import json
from dataclasses import replace

import pytest
from perf.control_plane import __main__ as command
from perf.control_plane.codec import contests, measure_codec
from perf.control_plane.core import attach_all, measure_attach, measure_refresh, measure_refresh_all
from perf.control_plane.measurement import Measurement
from perf.control_plane.report import make_document, render
from perf.control_plane.targets import Target
from perf.dataplane.ratio import Verdict

PROVENANCE = {"host": {"date": "2026-11-25T20:00:00+00:00"}, "commit": "0123abcd"}
FAST = Measurement("attaches_per_s", "1/s", [9.0, 30.0, 20.0], Target(10, is_upper=False))
SMALL = Measurement("octets_per_binding", "octets", [1900], Target(2048, is_upper=True))


def test_we_and_scapy_read_what_the_other_writes():
    """contests() refuses to begin otherwise."""
    for contest in contests():
        assert contest.ours() is not None
        assert contest.scapys() is not None


def test_codec_is_measured_both_ways_and_against_scapy():
    names = [each.name for each in measure_codec(pairs=1)]
    assert len(names) == len(set(names)) == 12
    assert "pba_decode_times_faster" in names


def test_every_node_that_attaches_gets_a_prefix_of_its_own():
    domain = attach_all(250)
    prefixes = {entry.home_network_prefixes for entry in domain.core.binding_update_list}
    assert len(prefixes) == domain.served() == domain.updates == 250
    assert domain.core.discarded == {}


def test_refresh_keeps_every_binding_and_its_prefix():
    rates = {each.name: each.median for each in measure_refresh(1000)}
    # Attached over a lifetime, each is due once in 0.8 of it.
    assert rates["refreshes_per_s"] == pytest.approx(1000 / 2880, rel=0.3)
    assert rates["advertisements_per_s"] == pytest.approx(1000 / 399, rel=0.3)
    (at_once,) = measure_refresh_all(100)
    assert at_once.median > 0


def test_attach_rate_has_a_sample_for_each_repeat():
    (rate,) = measure_attach(100, repeats=3)
    assert len(rate.samples) == 3


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        pytest.param(FAST, Verdict.MET, id="median above the least"),
        pytest.param(replace(FAST, samples=[9.0, 30.0, 9.5]), Verdict.MISSED, id="median below"),
        pytest.param(SMALL, Verdict.MET, id="below the most"),
        pytest.param(replace(SMALL, samples=[2049]), Verdict.MISSED, id="above the most"),
        pytest.param(replace(SMALL, target=None), None, id="no target"),
        pytest.param(
            replace(FAST, verdict_of_samples=Verdict.INCONCLUSIVE),
            Verdict.INCONCLUSIVE,
            id="too much noise to tell",
        ),
    ],
)
def test_verdict_is_of_the_median_and_spoils_the_whole_unless_met(result, verdict):
    document = make_document([result], {}, PROVENANCE)
    assert document["results"][0]["verdict"] == verdict
    assert document["ok"] is (verdict in {Verdict.MET, None})


def test_what_could_not_be_measured_is_told_and_is_not_met():
    document = make_document([FAST], {"kernel": "network namespaces need root"}, PROVENANCE)
    assert not document["ok"]
    assert "kernel: not measured: network namespaces need root" in render(document)


def test_document_survives_json_and_renders_alike():
    document = make_document([FAST, SMALL], {}, PROVENANCE)
    read = json.loads(json.dumps(document))
    assert render(read) == render(document)
    assert read["results"][0]["samples"] == [9.0, 30.0, 20.0]
    assert render(document).splitlines()[1].split() == (
        ["attaches_per_s", "20", "9", "30", "1/s", "≥", "10", "met"]
    )


@pytest.mark.parametrize(
    ("target", "status"), [pytest.param(1, 0, id="met"), pytest.param(10**9, 1, id="missed")]
)
def test_exit_code_says_whether_every_target_was_met(monkeypatch, tmp_path, target, status):
    monkeypatch.setattr("perf.control_plane.core.ATTACHES_PER_S", Target(target, is_upper=False))
    arguments = ["--parts", "attach", "--attaches", "10", "--repeats", "1"]
    monkeypatch.setattr("sys.argv", ["bench", *arguments, "--output", str(tmp_path)])
    assert command.main() == status
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_text())["ok"] is (status == 0)
