"""The whole lab: scenarios, capture, holding, and leaving nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
from mag.lab.held import find_held_lab
from support.marks import needs_root
from support.tshark import TSHARK

pytestmark = [pytest.mark.netns, needs_root]
STOPS_WITHIN_S = 5.0


@pytest.fixture(scope="module", autouse=True)
def _network_of_its_own() -> Iterator[None]:
    with network_of_its_own():
        yield


class TestHandover:
    @pytest.mark.requirement("ACFG-08", "DR-02", "DR-03", "HNE-01", "ND-19", "NODE-03")
    def test_node_keeps_everything_and_the_gap_is_short(self) -> None:
        """HNE-01, DR-02, DR-03, and 100 ms."""
        with running("--json") as lab:
            namespace = lab.namespace()
            output, errors = lab.popen.communicate(timeout=60)
        document = json.loads(output)
        failed = [step for step in document["steps"] if not step["ok"]]
        assert (failed, document["ok"], lab.popen.returncode) == ([], True, 0), errors
        assert (document["scenario"], document["dataplane"]) == ("handover", "kernel")
        traffic = document["traffic"]
        assert traffic["received"] + traffic["lost"] == traffic["sent"] > 4000
        assert traffic["longest_gap_ms"] <= 100
        assert [(each["from"], each["to"]) for each in document["handovers"]] == [
            ("mag1", "mag2"),
            ("mag2", "mag1"),
        ]
        assert document["tcp"]["survived"]
        assert left_behind(namespace) == []


@dataclass
class Held:
    """A held lab, its document and its capture."""

    process: LabProcess
    document: dict[str, object]
    capture: Path


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """Scenario `attach`, then held."""
    capture = tmp_path_factory.mktemp("capture") / "lab.pcapng"
    arguments = ("--scenario", "attach", "--json", "--hold", "--pcap", str(capture))
    with running(*arguments) as lab:
        assert lab.popen.stdout is not None
        document = json.loads(lab.popen.stdout.readline())
        wait_until(lambda: find_held_lab() is not None, "the lab is held")
        yield Held(lab, document, capture)


class TestHeld:
    def test_document_is_out_and_every_step_held(self, held: Held) -> None:
        assert held.document["ok"] is True
        assert held.document["scenario"] == "attach"

    def test_gateway_sockets_are_reachable_from_outside(self, held: Held) -> None:
        lab = find_held_lab()
        assert lab is not None
        assert lab.pid == held.process.first_process()
        assert set(lab.gateway_sockets) == {"mag1", "mag2"}
        assert all(path.is_socket() for path in lab.gateway_sockets.values())

    def test_command_runs_in_the_nodes_network_with_its_streams(self, held: Held) -> None:
        ran = exec_in("mn1", "sh", "-c", "cat; cat /proc/net/if_inet6; echo trouble >&2")
        assert ran.returncode == 0
        assert ran.stdout.startswith("typed\n")
        assert "20010db80100" in ran.stdout
        assert ran.stderr == "trouble\n"

    def test_command_sees_the_labs_processes_only(self, held: Held) -> None:
        ran = exec_in("mag1", "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; ls /run/mag")
        assert "mag lab" in ran.stdout
        assert "mag1.sock" in ran.stdout

    @pytest.mark.parametrize(
        ("command", "status"),
        [
            (("sh", "-c", "exit 7"), 7),
            (("sh", "-c", "kill -TERM $$"), 143),
            (("no-such-command",), 127),
            (("/etc/passwd",), 126),
        ],
        ids=["status", "signal", "not found", "not executable"],
    )
    def test_exit_status_is_the_commands(
        self, held: Held, command: tuple[str, ...], status: int
    ) -> None:
        assert exec_in("cn", *command).returncode == status

    def test_node_that_is_none_is_named_in_one_line(self, held: Held) -> None:
        ran = exec_in("mn9", "true")
        assert ran.returncode == 1
        assert "unknown node mn9" in ran.stderr
        assert len(ran.stderr.splitlines()) == 1

    def test_second_lab_runs_beside_it_under_another_name(self, held: Held) -> None:
        with running("--scenario", "attach", "--json", "--hold") as second:
            assert second.popen.stdout is not None
            assert json.loads(second.popen.stdout.readline())["ok"] is True
            wait_until(lambda: find_held_lab("mag-lab-2") is not None, "both are held")
            newest, first = find_held_lab(), find_held_lab("mag-lab-1")
            assert newest is not None
            assert first is not None
            assert (newest.name, first.name) == ("mag-lab-2", "mag-lab-1")
            assert first.pid == held.process.first_process()

    def test_signal_ends_the_hold_with_the_scenarios_status(self, held: Held) -> None:
        """The last test of this lab: a hold is ended by Ctrl-C, that is its normal end."""
        namespace = held.process.namespace()
        assert held.process.signal(signal.SIGINT) < STOPS_WITHIN_S
        assert held.process.popen.returncode == 0
        assert left_behind(namespace) == []
        assert exec_in("mn1", "true").returncode == 1

    @pytest.mark.requirement("MH-18", "TUN-02")
    @pytest.mark.tshark
    @pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
    def test_capture_is_clean_and_shows_signalling_and_tunnel(self, held: Held) -> None:
        """Written outside although the lab has mounts of its own."""

        def frames(display_filter: str) -> int:
            read = subprocess.run(
                [str(TSHARK), "-r", str(held.capture), "-Y", display_filter],
                capture_output=True,
                text=True,
                check=True,
            )
            return len(read.stdout.splitlines())

        assert frames("_ws.malformed") == 0
        assert frames("ipv6.routing") == 0
        assert frames("icmpv6.checksum.status == 0") == 0
        assert frames("_ws.expert.severity == error") == 0
        assert frames('frame.interface_name == "lma/core" && mipv6') >= 6
        assert frames('frame.interface_name == "mn1/eth0" && icmpv6.type == 134') >= 1
        assert frames('frame.interface_name == "lma/core" && ipv6.nxt == 41 && udp') > 1000


class TestEnds:
    @pytest.mark.parametrize(
        ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
    )
    def test_signal_in_the_middle_ends_everything_soon(
        self, number: signal.Signals, status: int
    ) -> None:
        with running("--json") as lab:
            namespace = lab.namespace()
            assert lab.signal(number) < STOPS_WITHIN_S
            assert lab.popen.returncode == status
        assert left_behind(namespace) == []

    def test_killed_starter_takes_everything_with_it(self) -> None:
        with running("--json") as lab:
            namespace = lab.namespace()
            lab.signal(signal.SIGKILL)
            # Sooner than the scenario would have ended by itself.
            wait_until(lambda: not left_behind(namespace), "nothing is left", STOPS_WITHIN_S)

    def test_killed_first_process_takes_everything_with_it(self) -> None:
        with running("--json") as lab:
            namespace = lab.namespace()
            os.kill(lab.first_process(), signal.SIGKILL)
            lab.popen.communicate(timeout=STOPS_WITHIN_S)
            assert lab.popen.returncode == 137
        assert left_behind(namespace) == []

    def test_killed_gateway_fails_the_scenario_and_leaves_nothing(self) -> None:
        with running("--json") as lab:
            namespace = lab.namespace()
            wait_until(lambda: bool(gateways_in(namespace)), "a gateway runs")
            os.kill(min(gateways_in(namespace)), signal.SIGKILL)
            output, _ = lab.popen.communicate(timeout=60)
        assert json.loads(output)["ok"] is False
        assert lab.popen.returncode == 1
        assert left_behind(namespace) == []


def gateways_in(namespace: str) -> set[int]:
    """Pids of `mag run` in a pid namespace."""
    return {
        pid
        for pid in processes_in(namespace)
        if b"mag\0run\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    }


class TestRefusals:
    def test_without_a_held_lab_exec_says_so_in_one_line(self) -> None:
        ran = exec_in("mn1", "true")
        assert ran.returncode == 1
        assert "no lab is held" in ran.stderr
        assert len(ran.stderr.splitlines()) == 1

    def test_scenario_that_kills_the_packet_path_is_refused_on_the_kernel(self) -> None:
        with running("--scenario", "dataplane-restart") as lab:
            output, errors = lab.popen.communicate(timeout=30)
        assert (lab.popen.returncode, output) == (1, "")
        assert "add --dataplane vpp" in errors
        assert len(errors.splitlines()) == 1

    def test_machine_without_vpp_is_told_so_in_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VPP_PREFIX", str(tmp_path))
        with running("--dataplane", "vpp") as lab:
            output, errors = lab.popen.communicate(timeout=30)
        assert (lab.popen.returncode, output) == (1, "")
        assert f"VPP_PREFIX is {tmp_path}" in errors
        assert len(errors.splitlines()) == 1

    def test_capture_file_that_cannot_be_written_is_one_line(self, tmp_path: Path) -> None:
        with running("--pcap", str(tmp_path / "no" / "where.pcapng")) as lab:
            output, errors = lab.popen.communicate(timeout=30)
        assert lab.popen.returncode == 1
        assert output == ""
        assert "cannot write" in errors
        assert len(errors.splitlines()) == 1
