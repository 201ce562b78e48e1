"""plan, reload, drain, undrain and `show config`, as an operator meets them."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from mag.cli import operation
from mag.cli.app import app
from support.scripted_control import CONFIGURATION, PLAN, ScriptedControl

EXAMPLE = Path(__file__).parents[2] / "configs" / "mag.yaml"
RESTART = {"can_apply": False, "changes": [{**PLAN["changes"][1], "obstacle": "it is built in"}]}


def mag(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_plan_sends_the_file_and_prints_a_line_for_each_change_and_session(
    socket: str, control: ScriptedControl
) -> None:
    result = mag("plan", str(EXAMPLE), "--socket", socket)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        '+ lmas.lma2: {"address": "2001:db8::2"}',
        "    at once",
        "~ policy.nodes.mn1@example.net.lifetime_s: left open -> 400",
        "    with the next refresh",
        "sessions: 3; other_lifetime: 1",
        "  mn1@example.net on access1 at lma1: other_lifetime: 3600 to 400 s with the next refresh",
    ]
    assert control.planned == [(EXAMPLE.read_bytes(), str(EXAMPLE))]


def test_plan_as_json_is_the_gateways_document(socket: str) -> None:
    result = mag("plan", str(EXAMPLE), "--json", "--socket", socket)
    assert json.loads(result.stdout) == PLAN


def test_plan_of_a_file_larger_than_any_other_request_is_taken(
    socket: str, control: ScriptedControl, tmp_path: Path
) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(EXAMPLE.read_bytes() + b"# remark\n" * 50_000)
    assert mag("plan", str(file), "--socket", socket).exit_code == 0
    assert control.planned[0][0] == file.read_bytes()


def test_plan_that_needs_a_restart_says_why_and_exits_1(
    socket: str, control: ScriptedControl
) -> None:
    control.plan_document = {**PLAN, **RESTART}
    result = mag("plan", str(EXAMPLE), "--socket", socket)
    assert result.exit_code == 1
    assert "    needs a restart: it is built in" in result.stdout.splitlines()


def test_plan_of_a_file_with_faults_prints_them_as_check_does(
    socket: str, control: ScriptedControl, tmp_path: Path
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("proxy_care_of_address: fe80::1\nlmas: {}\nacess_links: {}\n")
    planned, checked = mag("plan", str(file), "--socket", socket), mag("check", str(file))
    assert (planned.exit_code, planned.stderr) == (1, checked.stderr)
    assert control.planned == []


def test_plan_of_a_file_that_is_not_there_exits_2(socket: str, tmp_path: Path) -> None:
    assert mag("plan", str(tmp_path / "none.yaml"), "--socket", socket).exit_code == 2


def test_reload_prints_what_it_changed(socket: str) -> None:
    result = mag("reload", "--socket", socket)
    assert result.exit_code == 0
    assert "sessions: 3; other_lifetime: 1" in result.stdout


def test_reload_that_is_refused_exits_1_with_the_reason(
    socket: str, control: ScriptedControl
) -> None:
    control.plan_document = {**PLAN, **RESTART}
    result = mag("reload", "--socket", socket)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "mag: nothing is changed: a restart is needed\n"


def test_drain_begins_at_the_default_pace_or_the_one_asked_for(
    socket: str, control: ScriptedControl
) -> None:
    assert mag("drain", "--socket", socket).stdout == "0 of 2 sessions ended, 2 left\n"
    mag("drain", "--rate", "7.5", "--socket", socket)
    assert control.drained_at == [100.0, 7.5]


def test_drain_that_waits_prints_progress_until_nothing_is_left(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "_PROGRESS_EVERY_S", 0.0)
    result = mag("drain", "--wait", "--socket", socket)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "0 of 2 sessions ended, 2 left",
        "1 of 2 sessions ended, 1 left",
        "2 of 2 sessions ended, 0 left",
    ]


@pytest.mark.parametrize("arguments", [("undrain",), ("drain", "--cancel")])
def test_undrain_says_what_is_kept(
    socket: str, control: ScriptedControl, arguments: tuple[str, ...]
) -> None:
    refused = mag(*arguments, "--socket", socket)
    assert (refused.exit_code, refused.stderr) == (1, "mag: the gateway is not being drained\n")
    mag("drain", "--socket", socket)
    result = mag(*arguments, "--socket", socket)
    assert result.stdout == "drain cancelled, 2 sessions kept\n"
    assert control.drained_at == [100.0]


def test_show_config_is_the_file_itself(socket: str) -> None:
    assert mag("show", "config", "--socket", socket).stdout == CONFIGURATION["yaml"]
    with_defaults = mag("show", "config", "--defaults", "--socket", socket).stdout
    assert yaml.safe_load(with_defaults) == {"identity": "mag1", "log": {"level": "info"}}
    as_json = mag("show", "config", "--json", "--socket", socket).stdout
    assert json.loads(as_json) == CONFIGURATION["configuration"]
