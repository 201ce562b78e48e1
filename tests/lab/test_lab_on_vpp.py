"""The whole lab with VPP as the gateways' packet path."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.lab_process import (
    LabProcess,
    exec_in,
    left_behind,
    network_of_its_own,
    processes_in,
    running,
    wait_until,
)
from mag.lab.errors import LabError
from mag.lab.held import find_held_lab
from mag.lab.packet_path.vpp_installation import find_vpp
from support.marks import needs_root
from support.tshark import TSHARK


def what_is_missing() -> str:
    """In words; empty if VPP and our plugin are there."""
    try:
        find_vpp()
    except LabError as error:
        return str(error)
    return ""


MISSING = what_is_missing()
pytestmark = [
    pytest.mark.netns,
    pytest.mark.vpp,
    needs_root,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]
LONGEST_RUN_S = 110
STOPS_WITHIN_S = 5.0


@pytest.fixture(scope="module", autouse=True)
def _network_of_its_own() -> Iterator[None]:
    with network_of_its_own():
        yield


def shared_memory() -> list[str]:
    """What a gateway's VPP would have left to the machine."""
    return [path.name for path in Path("/dev/shm").glob("mag[12]-*")]  # noqa: S108


def document_of(scenario: str) -> dict[str, Any]:
    """Run it to its end, on VPP; every step held and nothing is left."""
    with running("--dataplane", "vpp", "--scenario", scenario, "--json") as lab:
        namespace = lab.namespace()
        output, errors = lab.popen.communicate(timeout=LONGEST_RUN_S)
    document: dict[str, Any] = json.loads(output)
    failed = [step for step in document["steps"] if not step["ok"]]
    assert (failed, document["ok"], lab.popen.returncode) == ([], True, 0), errors
    assert (document["scenario"], document["dataplane"]) == (scenario, "vpp")
    assert (left_behind(namespace), shared_memory()) == ([], [])
    return document


def step_names(document: dict[str, Any]) -> list[str]:
    return [step["name"] for step in document["steps"]]


def test_handover_keeps_everything_and_the_gap_is_short() -> None:
    """HNE-01, DR-02, DR-03, and 100 ms; gateways take all of theirs out of VPP at the end."""
    document = document_of("handover")
    traffic = document["traffic"]
    assert traffic["received"] + traffic["lost"] == traffic["sent"] > 4000
    assert traffic["longest_gap_ms"] <= 100
    assert [(each["from"], each["to"]) for each in document["handovers"]] == [
        ("mag1", "mag2"),
        ("mag2", "mag1"),
    ]
    assert {"packet_path_ready", "packet_path_stopped"} < set(step_names(document))


def test_node_that_a_reload_does_not_concern_loses_nothing() -> None:
    document = document_of("reload")
    assert document["traffic"]["lost"] == 0
    assert {"mn2_removed", "faulty_file_refused", "lma_and_mn2_added"} < set(step_names(document))


def test_killed_agents_cost_no_packet_and_no_update() -> None:
    document = document_of("agent-restart")
    assert document["traffic"]["lost"] == 0
    assert {"mag1_killed_amid_traffic", "mag2_killed_amid_registration"} < set(step_names(document))


@pytest.mark.parametrize("scenario", ["reject", "faults", "storm", "lma-restart"])
def test_scenario_holds_as_on_the_kernel_path(scenario: str) -> None:
    """What each of them shows is asked in test_scenarios.py."""
    document_of(scenario)


def test_killed_vpp_comes_back_with_everything_and_without_help() -> None:
    """And once more, its agent killed with it."""
    document = document_of("dataplane-restart")
    assert [outage["gateway"] for outage in document["outages"]] == ["mag1", "mag1"]
    for outage in document["outages"]:
        for direction in (outage["uplink"], outage["downlink"]):
            # VPP alone lets two seconds pass before its start-up commands.
            assert 1000 < direction["gap_ms"] <= 10_000
            assert direction["lost"] > 1000
    assert document["tcp"]["survived"]


@dataclass
class Held:
    """A held lab, its document and its capture."""

    process: LabProcess
    document: dict[str, Any]
    capture: Path


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """Scenario `attach`, then held."""
    capture = tmp_path_factory.mktemp("capture") / "lab.pcapng"
    arguments = ("--scenario", "attach", "--json", "--hold", "--pcap", str(capture))
    with running("--dataplane", "vpp", *arguments) as lab:
        assert lab.popen.stdout is not None
        document = json.loads(lab.popen.stdout.readline())
        wait_until(lambda: find_held_lab() is not None, "the lab is held")
        yield Held(lab, document, capture)


class TestHeld:
    def test_every_step_of_attach_held(self, held: Held) -> None:
        assert [step for step in held.document["steps"] if not step["ok"]] == []
        assert (held.document["ok"], held.document["dataplane"]) == (True, "vpp")

    def test_command_that_the_lab_hints_at_shows_the_bindings_in_vpp(self, held: Held) -> None:
        assert held.process.popen.stderr is not None
        hint = next(line for line in held.process.popen.stderr if "vppctl" in line)
        mag_lab_exec, command = hint.split()[:3], hint.split()[3:]
        assert mag_lab_exec == ["mag", "lab", "exec"]
        shown = exec_in(*command)
        assert shown.returncode == 0, shown.stderr
        assert "02:00:00:00:01:01" in shown.stdout
        assert "LMA 2001:db8:c0::1" in shown.stdout

    def test_gateway_answers_for_the_lab_from_outside(self, held: Held) -> None:
        shown = subprocess.run(
            [sys.executable, "-m", "mag", "show", "bindings", "--json"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert "mn1@lab.example" in shown.stdout

    @pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed")
    def test_gateway_that_a_node_solicits_stays_its_default_router(self, held: Held) -> None:
        """RFC 4861 §7.2.5: an advertisement without Router flag takes the default route away."""
        solicit = "ip -6 neigh flush dev eth0; ping -6 -c 1 -W 2 2001:db8:cc::2"
        asked = exec_in("mn3", "sh", "-c", f"{solicit}; ip -6 route show default")
        assert "via fe80::200:5eff:fe00:5213" in asked.stdout

    @pytest.mark.tshark
    @pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
    def test_capture_shows_what_vpp_sends_with_right_checksums_and_in_one_piece(
        self, held: Held
    ) -> None:
        """vpp_notes §8: with a kernel's offloads, inner checksums are wrong on the core."""

        def frames(display_filter: str) -> int:
            checked = ("-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE")
            read = subprocess.run(
                [str(TSHARK), *checked, "-r", str(held.capture), "-Y", display_filter],
                capture_output=True,
                text=True,
                check=True,
            )
            return len(read.stdout.splitlines())

        assert frames("_ws.malformed") == 0
        assert frames("frame.len > 1514") == 0
        for checksum in ("udp", "tcp", "icmpv6"):
            assert frames(f"{checksum}.checksum.status == 0") == 0
        assert frames('frame.interface_name == "mag1/core" && mipv6') >= 4
        assert frames('frame.interface_name == "lma/core" && ipv6.nxt == 41 && udp') > 1000

    def test_killed_starter_takes_vpp_with_it(self, held: Held) -> None:
        """The last test of this lab."""
        namespace = held.process.namespace()
        assert len(vpps_in(namespace)) == 2
        held.process.signal(signal.SIGKILL)
        wait_until(lambda: not left_behind(namespace), "nothing is left", STOPS_WITHIN_S)
        assert shared_memory() == []


def vpps_in(namespace: str) -> set[int]:
    """Pids of VPPs in a pid namespace."""
    program = str(find_vpp().program).encode()
    return {
        pid
        for pid in processes_in(namespace)
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(program + b"\0")
    }
