"""The LMA misbehaves, the configuration changes: every step holds, and nothing is left."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lab.lab_process import LabProcess, left_behind, network_of_its_own, running, wait_until
from mag.lab.scenarios.reject import STATUSES
from support.marks import needs_root

pytestmark = [pytest.mark.netns, needs_root]
STOPS_WITHIN_S = 5.0


@pytest.fixture(autouse=True)
def _network_of_its_own() -> Iterator[None]:
    with network_of_its_own():
        yield


def document_of(lab: LabProcess, within_s: float = 100.0) -> dict[str, Any]:
    """Its JSON document, once it has ended with nothing left; every step held."""
    namespace = lab.namespace()
    output, errors = lab.popen.communicate(timeout=within_s)
    document: dict[str, Any] = json.loads(output)
    failed = [step for step in document["steps"] if not step["ok"]]
    assert (failed, document["ok"], lab.popen.returncode) == ([], True, 0), errors
    assert left_behind(namespace) == []
    return document


class TestReject:
    @pytest.mark.requirement("PBA-14", "PBA-15", "PBA-16", "PBA-20", "PBA-22", "PBA-23")
    def test_every_status_has_its_step_and_every_step_holds(self) -> None:
        with running("--scenario", "reject", "--json") as lab:
            document = document_of(lab)
        tried = [step["name"] for step in document["steps"] if step["name"].startswith("status_")]
        assert tried == [f"status_{status.value}" for status in STATUSES]
        assert len(tried) > 40

    def test_signal_amid_the_refusals_leaves_nothing(self) -> None:
        with running("--scenario", "reject", "--json") as lab:
            namespace = lab.namespace()
            assert lab.signal(signal.SIGINT) < STOPS_WITHIN_S
            assert lab.popen.returncode == 130
            assert left_behind(namespace) == []


class TestLmaAddresses:
    @pytest.mark.requirement("LLA-02", "LLA-03", "ATT-30", "PBA-31", "DR-05", "CFG-07")
    def test_router_of_a_node_moves_with_it(self) -> None:
        with running("--scenario", "lma-addresses", "--json") as lab:
            document = document_of(lab)
        assert len(document["handovers"]) == 2
        verdicts = {step["name"] for step in document["steps"]}
        assert {"default_router_kept", "routers_are_those_of_the_lma"} < verdicts


class TestStorm:
    @pytest.mark.requirement("LLA-04")
    def test_every_node_of_the_crowd_is_served(self) -> None:
        with running("--scenario", "storm", "--json") as lab:
            document = document_of(lab)
        crowd = document["crowd"]
        assert crowd["nodes"] == crowd["served"] == 100
        assert 0 < crowd["first_ms"] <= crowd["half_ms"] <= crowd["all_ms"]
        # Nobody's duplicate address detection, a second long, is over before.
        assert 0 < crowd["setup_p50_ms"] <= crowd["setup_p99_ms"] < 1000


class TestLmaRestart:
    def test_bindings_come_back_under_the_rate_limit_and_the_outage_is_told(self) -> None:
        with running("--scenario", "lma-restart", "--json") as lab:
            document = document_of(lab)
        (outage,) = document["outages"]
        assert outage["gateway"] == "lma"
        assert outage["downlink"]["lost"] > 0
        assert document["traffic"]["lost"] == (
            outage["uplink"]["lost"] + outage["downlink"]["lost"]
        )


class TestFaults:
    @pytest.mark.parametrize("seed", ["1", "2"])
    def test_after_the_storm_every_binding_is_right(self, seed: str) -> None:
        with running("--scenario", "faults", "--seed", seed, "--json") as lab:
            document = document_of(lab)
        (storm,) = (step for step in document["steps"] if step["name"] == "storm_over")
        assert storm["text"].startswith(f"seed {seed}: ")

    def test_lab_that_is_killed_amid_the_storm_leaves_nothing(self) -> None:
        with running("--scenario", "faults", "--json") as lab:
            namespace = lab.namespace()
            lab.signal(signal.SIGKILL)
            wait_until(lambda: left_behind(namespace) == [], "nothing is left")


class TestAgentRestart:
    @pytest.mark.requirement("SEQ-04")
    def test_killed_agents_cost_no_packet_and_no_update(self) -> None:
        with running("--scenario", "agent-restart", "--json") as lab:
            document = document_of(lab)
        assert document["traffic"]["lost"] == 0
        assert document["traffic"]["sent"] > 15_000
        tried = {step["name"] for step in document["steps"]}
        assert {"mag1_killed_amid_traffic", "mag2_killed_amid_registration"} < tried
        assert {"mag1_killed_amid_handover", "no_update_for_others"} < tried

    def test_crowd_loses_nothing_either(self) -> None:
        with running("--scenario", "agent-restart", "--nodes", "30", "--json") as lab:
            document = document_of(lab)
        assert document["traffic"]["lost"] == 0
        assert document["crowd"]["served"] == 27

    def test_scenario_with_nodes_of_its_own_takes_no_other_number(self) -> None:
        with running("--scenario", "handover", "--nodes", "30") as lab:
            _, errors = lab.popen.communicate(timeout=20)
        assert lab.popen.returncode == 1
        assert "leave --nodes out" in errors


class TestReload:
    def test_node_that_is_not_concerned_loses_nothing(self) -> None:
        with running("--scenario", "reload", "--json") as lab:
            document = document_of(lab)
        assert document["traffic"]["lost"] == 0
        assert document["traffic"]["sent"] > 4000
        tried = {step["name"] for step in document["steps"]}
        assert {"mn2_removed", "faulty_file_refused", "lma_and_mn2_added"} < tried
