"""The measurement of restarts: small runs, and that it notices what it is there to notice."""

import asyncio
import json
import time

import pytest
from perf.arguments import count, parts_of
from perf.control_plane.measurement import Measurement
from perf.host import describe_host
from perf.parts import NOT_DONE, measure_parts
from perf.restart import __main__ as command
from perf.restart.first_minute import measure_first_minute
from perf.restart.life import IN_MEMORY, RememberingDataplane, attach, live
from perf.restart.reload import measure_reload
from perf.restart.stalls import watch_stalls
from perf.restart.start import _start_with, _Witness, measure_start_in_memory

from mag.dataplane.base import MobileNodeForwarding, Remove


def medians(measurements):
    return {each.name: each.median for each in measurements}


async def test_loop_that_stands_still_is_seen():
    async with watch_stalls() as stalls:
        await asyncio.sleep(0.01)
    assert stalls.longest_s < 0.1
    async with watch_stalls() as stalls:
        time.sleep(0.15)  # noqa: ASYNC251
    assert 0.14 < stalls.longest_s < 0.5
    assert stalls.longest_ms == 1000 * stalls.longest_s


def test_start_finds_everything_equal():
    found = medians(measure_start_in_memory(20, repeats=1))
    assert found["memory_verified_equal_s"] > found["memory_journal_read_s"] > 0


async def test_start_that_finds_something_else_is_no_measurement(tmp_path):
    path = RememberingDataplane()
    async with live(IN_MEMORY, path, tmp_path / "journal.db") as life:
        await attach(life.gateway, IN_MEMORY.access_interface, 3)
        assert life.transport.updates == 3
    found = await path.dump()
    one = next(iter(found.mobile_nodes.values()))
    assert isinstance(one, MobileNodeForwarding)
    await path.apply([Remove(one)])
    with pytest.raises(RuntimeError, match="1 operations"):
        await _start_with(IN_MEMORY, _Witness(path), tmp_path / "journal.db", 3)


def test_first_minute_has_what_fell_due_and_no_more():
    found = medians(measure_first_minute(5000))
    # Each is due 48 minutes after the last time.
    assert found["away_60_s_pbus_due"] == pytest.approx(5000 / 2880 * 120, rel=0.1)
    assert found["away_60_s_pbus_sent_to_due"] == pytest.approx(1, abs=0.02)
    assert found["away_60_s_busiest_second"] <= 210


def test_reload_is_measured_by_whom_it_concerns():
    found = medians(measure_reload(20))
    assert found["reload_of_all_s"] > 0
    assert found["plan_of_nobody_stall_ms"] < 1000


def test_storm_is_written_and_kept_as_a_document(monkeypatch, tmp_path):
    arguments = ["--parts", "storm", "--bindings", "200", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    assert command.main() in {0, 1}
    (kept,) = tmp_path.iterdir()
    document = json.loads(kept.read_text())
    assert (document["measurement"], document["options"]["bindings"]) == ("restart", 200)
    found = {each["name"]: each["median"] for each in document["results"]}
    assert found["journal_octets_per_binding"] > 100
    assert found["journal_rows_per_s"] > 0


def test_run_that_is_ended_leaves_the_parts_it_had_done(tmp_path):
    def ended():
        raise KeyboardInterrupt
        yield

    parts = {"first": lambda: iter([Measurement("x", "s", [1.0])]), "second": ended, "third": ended}
    provenance = {"measurement": "restart", "host": describe_host()}
    with pytest.raises(KeyboardInterrupt):
        measure_parts(parts, parts, provenance, tmp_path)
    (kept,) = tmp_path.iterdir()
    document = json.loads(kept.read_text())
    assert [each["name"] for each in document["results"]] == ["x"]
    assert document["not_measured"] == {"second": NOT_DONE, "third": NOT_DONE}
    assert not document["ok"]


def test_arguments_that_mean_nothing_are_refused():
    assert count("7") == 7
    assert parts_of(("a", "b"))("b,a") == ["b", "a"]
    for call in (lambda: count("0"), lambda: parts_of(("a",))("a,c")):
        with pytest.raises(Exception, match=r"least|no such part: c"):
            call()
