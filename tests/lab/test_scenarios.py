"""The scenarios in which the LMA misbehaves: every step holds, and nothing is left."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lab.lab_process import LabProcess, left_behind, network_of_its_own, running
from mag.lab.scenarios.reject import STATUSES

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]
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
