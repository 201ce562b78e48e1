"""The command as an operator meets it: exit codes, one line of error, stable JSON keys."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from mag import __version__
from mag.cli import explain, gateways, render, show
from mag.cli.app import app
from mag.daemon.histories import What
from mag.lab.held import HeldLab
from support.scripted_control import (
    BINDING_ROW,
    COUNTERS,
    DATAPLANE,
    EXPLANATION,
    PEER_ROW,
    STATUS,
    ScriptedControl,
)

EXAMPLE = Path(__file__).parents[2] / "configs" / "mag.yaml"


def mag(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_version_is_the_packages() -> None:
    assert mag("--version").stdout == f"mag {__version__}\n"


# check


def test_check_of_a_valid_file_exits_0() -> None:
    result = mag("check", str(EXAMPLE))
    assert result.exit_code == 0
    assert "valid" in result.stdout


def test_check_names_every_fault_with_its_place_and_exits_1(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("proxy_care_of_address: fe80::1\nlmas: {}\nacess_links: {}\n")
    result = mag("check", str(file))
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith(f"{file}:") for line in lines)
    assert any("did you mean access_links?" in line for line in lines)


def test_check_of_a_file_that_is_not_there_exits_2(tmp_path: Path) -> None:
    result = mag("check", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_run_checks_the_file_first(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("lmas: {}\n")
    assert mag("run", str(file)).exit_code == 1


@pytest.mark.requirement("CFG-03")
def test_check_against_another_gateway_compares_what_must_be_alike(tmp_path: Path) -> None:
    """CFG-03."""
    text = EXAMPLE.read_text().replace(
        "#fixed_mag_link_local_address", "fixed_mag_link_local_address"
    )
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(text.replace("identity: mag", "identity: mag2"))
    other.write_text(text.replace("fe80::200:5eff:fe00:5213", "fe80::1"))
    assert mag("check", str(EXAMPLE), "--against", str(same)).exit_code == 0
    result = mag("check", str(EXAMPLE), "--against", str(same), "--against", str(other))
    assert result.exit_code == 1
    assert result.stderr == (
        f"{EXAMPLE}: protocol.fixed_mag_link_local_address: fe80::200:5eff:fe00:5213, "
        f"but fe80::1 in {other}\n"
    )


# show


@pytest.mark.requirement("CFG-03")
@pytest.mark.parametrize(("other", "exit_code"), [("0123456789ab", 0), ("ba9876543210", 1)])
def test_show_domain_fails_where_gateways_of_the_host_differ(
    other: str, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CFG-03: the alarm of a host with two gateways."""
    here = {"gateway": "mag1", "domain": STATUS["domain"]}
    there = {"gateway": "mag2", "domain": {**STATUS["domain"], "digest": other}}
    monkeypatch.setattr(show, "_documents", lambda *_: [here, there])
    result = mag("show", "domain")
    assert result.exit_code == exit_code
    assert other in result.stdout


@pytest.mark.parametrize(
    ("what", "document"),
    [
        ("bindings", {"bindings": [{"gateway": "mag1", **BINDING_ROW}]}),
        ("peers", {"peers": [{"gateway": "mag1", **PEER_ROW}]}),
        ("dataplane", {"gateways": [{"gateway": "mag1", **DATAPLANE}]}),
        ("counters", {"gateways": [{"gateway": "mag1", **COUNTERS}]}),
        ("status", {"gateways": [{"gateway": "mag1", **STATUS}]}),
        ("domain", {"gateways": [{"gateway": "mag1", **STATUS["domain"]}]}),
    ],
)
def test_show_as_json_is_one_document(socket: str, what: str, document: object) -> None:
    result = mag("show", what, "--json", "--socket", socket)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == document


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("bindings", ["mn1@example.net", "active", "2001:db8:100:1::/64", "3500/3600", "22"]),
        (
            "peers",
            [
                "2001:db8:0:b::1",
                "never",
                "reachable, 2 restarts",
                "registration",
                "ACCEPTED (0): 1",
            ],
        ),
        (
            "status",
            ["mag1", "0.1.0", "kernel", "2001:db8:0:a::1", "12.5", "36 KiB, written 3 s ago"],
        ),
        (
            "dataplane",
            ["fake", "lost: it fell asleep", "MTU 1460", "cannot fly", "no gliding"],
        ),
        (
            "counters",
            ["bad_checksum", "unknown_source", "punted_packets_lost", "no_service", "mn1@example"],
        ),
    ],
)
def test_show_for_people_has_it_all(socket: str, what: str, words: list[str]) -> None:
    result = mag("show", what, "--socket", socket)
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(None, "off", id="no journal"),
        pytest.param({"last_written_s": None}, "not written since the start", id="idle"),
        pytest.param({}, "36 KiB, written 3 s ago, 1 failures", id="failed before"),
        pytest.param(
            {"trouble": "database or disk is full", "behind_s": 12.3},
            "FAILS for 12 s: database or disk is full",
            id="fails",
        ),
    ],
)
def test_status_says_whether_a_restart_would_know(
    changes: dict[str, object] | None, words: str
) -> None:
    journal = None if changes is None else {**STATUS["journal"], **changes}
    console = Console(width=200)
    with console.capture() as shown:
        console.print(*render.statuses([{"gateway": "mag1", **STATUS, "journal": journal}]))
    assert words in shown.get()


def test_gateway_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    result = mag("show", "bindings", "--socket", str(tmp_path / "none.sock"))
    assert result.exit_code == 1
    assert result.stderr.startswith("mag: no gateway answers at ")
    assert result.stderr.count("\n") == 1


# Which gateway


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gateways, "DEFAULT_SOCKET", tmp_path / "default.sock")
    monkeypatch.setattr(gateways, "find_held_lab", lambda: None)


@pytest.mark.usefixtures("nothing_runs")
def test_nothing_to_ask_is_told_in_one_line() -> None:
    result = mag("show", "peers")
    assert result.exit_code == 1
    assert "no gateway runs here" in result.stderr


@pytest.mark.usefixtures("nothing_runs")
def test_gateways_of_a_held_lab_are_asked_all_and_changed_one_by_one(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = HeldLab(
        name="mag-lab-1",
        pid=1,
        held_since=0.0,
        nodes=("mag1", "mag2"),
        gateway_sockets={"mag1": Path(socket), "mag2": Path(socket)},
        anchor_socket=Path("/nowhere"),
    )
    monkeypatch.setattr(gateways, "find_held_lab", lambda: lab)
    assert len(json.loads(mag("show", "bindings", "--json").stdout)["bindings"]) == 2
    only_one = mag("show", "bindings", "--json", "--gateway", "mag2").stdout
    assert len(json.loads(only_one)["bindings"]) == 1
    refused = mag("clear", "binding", "mn1@example.net")
    assert (refused.exit_code, refused.stderr) == (1, "mag: say which with --gateway: mag1, mag2\n")
    assert mag("clear", "binding", "mn1@example.net", "--gateway", "mag1").exit_code == 0
    unknown = mag("show", "peers", "--gateway", "mag9")
    assert "mag-lab-1 has no gateway mag9" in unknown.stderr


# Verbs


def test_attach_reports_the_node_as_an_access_point_does(
    socket: str, control: ScriptedControl
) -> None:
    result = mag(
        "attach", "access1", "02:00:00:00:00:01", "--handoff", "between_gateways", "--wait", "3",
        "--socket", socket,
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout == "mn1@example.net: active 2001:db8:100:1::/64\n"
    (request,) = control.requests
    assert (request.handoff.value, request.wait_s) == ("between_gateways", 3.0)


def test_clear_held_says_how_many_and_how_long_it_takes(socket: str) -> None:
    result = mag("clear", "held", "--lma", "lma1", "--rate", "50", "--socket", socket)
    assert result.stdout == "300 bindings of 250 nodes are cleared within 5 s\n"
    result = mag("clear", "held", "--lma", "lma7", "--socket", socket)
    assert (result.exit_code, "no LMA is called lma7" in result.stderr) == (1, True)


def test_detach_and_clear_say_what_they_ended(socket: str) -> None:
    result = mag("detach", "02:00:00:00:00:01", "--socket", socket)
    assert result.stdout == "mn1@example.net on access1: active\n"
    result = mag("clear", "binding", "mn1@example.net", "--socket", socket)
    assert result.stdout == "mn1@example.net on access1: active\n"


def test_refusal_is_one_line_in_the_gateways_words(socket: str) -> None:
    result = mag("detach", "02:00:00:00:00:99", "--socket", socket)
    assert (result.exit_code, result.stderr) == (1, "mag: no such binding\n")


# explain


def test_explain_says_it_in_one_sentence_then_what_was_tried(socket: str) -> None:
    result = mag("explain", "mn1@example.net", "--socket", socket)
    assert result.stdout.splitlines() == [
        "mag1: mn1@example.net has no service: lma1 did not accept it.",
        "  to lift it: mag clear binding mn1@example.net",
        "       3.0 s ago  not accepted: PROXY_REG_NOT_ENABLED (152) "
        "(2 times, the first 9.0 s ago)",
    ]


def test_explain_as_json_is_what_the_gateway_says(socket: str) -> None:
    result = mag("explain", "2001:db8:100:1::77", "--json", "--socket", socket)
    expected = {"gateway": "mag1", **EXPLANATION, "query": "2001:db8:100:1::77"}
    assert json.loads(result.stdout) == {"gateways": [expected]}


def test_explain_lists_interfaces_where_there_are_several(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    binding = {"link_layer_address": "02:00:00:00:00:01", "access_interface": "access1"}
    rows = [{**binding, "sentence": "Served."}, {**binding, "sentence": "Held."}]
    monkeypatch.setitem(EXPLANATION, "bindings", rows)
    lines = mag("explain", "mn1@example.net", "--socket", socket).stdout.splitlines()
    assert lines[-1] == "  02:00:00:00:00:01 on access1: Held."


def test_every_outcome_has_words() -> None:
    assert set(explain.OUTCOMES) == {what.value for what in What}
