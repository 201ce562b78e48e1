"""Log lines are written, soon, whole and in order; a storm of them in few writes."""

import asyncio
import io
import json
import re
import sys
import threading

import pytest
import structlog

from mag.services.event_log import Level, LogEntry
from mag.services.log_output import LogOutput
from mag.services.log_setup import EntryWriter, configure_logging, write_by_structlog


class Written(io.StringIO):
    """Counts what would be system calls."""

    writes = 0
    write_entry: EntryWriter

    def flush(self) -> None:
        self.writes += 1


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch):
    file = Written()
    monkeypatch.setattr(sys, "stderr", file)
    before = structlog.get_config()
    file.write_entry = configure_logging("debug", "json")
    yield file
    structlog.configure(**before)


def entries(file: Written) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


async def test_lines_of_one_turn_are_one_write_in_order(written: Written) -> None:
    log = structlog.get_logger()
    for number in range(100):
        log.info("binding_established", number=number)
    assert written.writes == 0
    await asyncio.sleep(0)
    assert written.writes == 1
    assert [entry["number"] for entry in entries(written)] == list(range(100))
    log.info("later")
    await asyncio.sleep(0)
    assert entries(written)[-1]["event"] == "later"


async def test_error_is_written_at_once_after_what_came_before(written: Written) -> None:
    log = structlog.get_logger()
    log.info("before")
    log.error("dataplane_failed")
    assert [entry["event"] for entry in entries(written)] == ["before", "dataplane_failed"]


async def test_long_turn_is_told_of_while_it_lasts(written: Written) -> None:
    log = structlog.get_logger()
    for _ in range(1000):
        log.info("x")
    assert 500 < len(entries(written)) <= 1000
    assert written.writes < 10


def test_without_a_loop_each_line_is_written(written: Written) -> None:
    structlog.get_logger().info("starting")
    assert entries(written)[0]["event"] == "starting"


async def test_lines_of_other_threads_are_written_whole() -> None:
    file = io.StringIO()
    output = LogOutput(file)

    def talk(name: str) -> None:
        for _ in range(2000):
            output.write_soon(name * 20)

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    talk("d")
    for thread in threads:
        thread.join()
    await asyncio.sleep(0)
    lines = file.getvalue().splitlines()
    assert sorted(lines) == sorted(name * 20 for name in "abcd" for _ in range(2000))


def test_line_has_its_event_level_facts_and_time(written: Written) -> None:
    structlog.get_logger().warning("node_moved", mn_id="mn1", prefixes=["2001:db8::/64"], odd={1})
    (entry,) = entries(written)
    assert (entry["event"], entry["level"], entry["mn_id"]) == ("node_moved", "warning", "mn1")
    assert entry["prefixes"] == ["2001:db8::/64"]
    assert entry["odd"] == "{1}"
    assert str(entry["timestamp"]).endswith("Z")


@pytest.mark.parametrize("level", list(Level))
def test_entry_is_the_line_that_structlog_makes_of_it(written: Written, level: Level) -> None:
    entry = LogEntry("binding_lost", level, {"mn_id": "é", "prefixes": ["2001:db8::/64"], "n": 1.5})
    written.write_entry(entry)
    write_by_structlog(entry)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    times = [line.pop("timestamp") for line in lines]
    assert lines[0] == lines[1] == {**entry.facts, "event": entry.name, "level": level.value}
    assert list(lines[0]) == list(lines[1])
    assert all(re.fullmatch(r"[-\dT:]{19}(\.\d{6})?Z", time) for time in times)


def test_traceback_is_in_the_line(written: Written) -> None:
    try:
        raise ValueError("nonsense")
    except ValueError as error:
        structlog.get_logger().error("attachment_failed", exc_info=error)
    assert "nonsense" in str(entries(written)[0]["exception"])
