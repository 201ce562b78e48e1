"""How steps are tried, and what verdicts say."""

import pytest

from mag.lab.errors import LabError
from mag.lab.scenarios.steps import (
    Findings,
    Handover,
    Outage,
    Step,
    StepFailed,
    StepResult,
    Told,
    tried,
)
from mag.lab.scenarios.with_traffic import outage_verdicts, traffic_verdicts
from mag.lab.traffic.probe_traffic import TrafficResult
from mag.lab.traffic.tcp_session import TcpResult
from mag.lab.traffic.traffic_statistics import (
    Arrival,
    DirectionStatistics,
    Period,
    direction_statistics,
)

MS = 1_000_000


async def holds() -> Told:
    return Told("held")


async def fails() -> Told:
    raise StepFailed("found something else")


async def cannot() -> Told:
    raise LabError("no such thing")


async def results(*steps: Step) -> list[StepResult]:
    return [result async for result in tried(steps)]


async def test_steps_after_one_that_failed_are_not_tried() -> None:
    found = await results(Step("a", holds), Step("b", fails), Step("c", holds))
    assert [(each.name, each.ok) for each in found] == [("a", True), ("b", False)]
    assert found[1].told.sentence == "found something else"


async def test_fault_of_the_lab_fails_the_step_with_its_text() -> None:
    (found,) = await results(Step("a", cannot))
    assert (found.ok, found.told.sentence) == (False, "no such thing")


async def test_verdicts_after_one_that_failed_are_tried_too() -> None:
    found = await results(Step("a", fails, is_verdict=True), Step("b", holds, is_verdict=True))
    assert [each.ok for each in found] == [False, True]


async def test_step_that_shows_a_shorter_thing_than_itself_tells_that_ones_time() -> None:
    async def shows() -> Told:
        return Told("signalling", ms=0.125)

    (found,) = await results(Step("a", shows))
    assert found.ms == 0.125


async def test_error_of_our_own_code_is_not_taken_for_a_verdict() -> None:
    async def broken() -> Told:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await results(Step("a", broken))


def direction(*, lost: range = range(0), gap_at: int = 0, gap_ms: int = 0) -> DirectionStatistics:
    """500 probes, one a millisecond; some lost; all after `gap_at` late by `gap_ms`."""
    arrivals = [
        Arrival(i, (i + (gap_ms if i >= gap_at else 0)) * MS) for i in range(500) if i not in lost
    ]
    return direction_statistics([i * MS for i in range(500)], arrivals)


async def verdicts(findings: Findings) -> dict[str, StepResult]:
    return {each.name: each for each in await results(*traffic_verdicts(findings))}


def findings(
    up: DirectionStatistics, down: DirectionStatistics, *, stall_ms: float = 1.0
) -> Findings:
    moved = Handover("mn1", "mag1", "mag2", Period(100 * MS, 110 * MS), 5.0)
    return Findings(
        handovers=[moved],
        traffic=TrafficResult(up, down),
        tcp=TcpResult(True, 100, stall_ms),
    )


async def test_loss_inside_a_handover_is_allowed() -> None:
    found = await verdicts(findings(direction(lost=range(100, 108)), direction()))
    assert all(each.ok for each in found.values())


async def test_loss_outside_a_handover_is_not() -> None:
    found = await verdicts(findings(direction(), direction(lost=range(300, 302))))
    assert not found["nothing_lost_outside_handovers"].ok
    assert "0 up, 2 down" in found["nothing_lost_outside_handovers"].told.sentence


@pytest.mark.parametrize(("gap_ms", "ok"), [(99, True), (100, False)], ids=["100 ms", "101 ms"])
async def test_gap_above_100_ms_fails(gap_ms: int, ok: bool) -> None:
    found = await verdicts(findings(direction(gap_at=100, gap_ms=gap_ms), direction()))
    assert found["longest_gap_within_100_ms"].ok is ok


async def test_direction_in_which_nothing_arrived_is_no_short_gap() -> None:
    silent = direction(lost=range(500))
    found = await verdicts(findings(silent, direction()))
    assert not found["longest_gap_within_100_ms"].ok


async def test_tcp_stall_of_its_own_timer_is_explained_not_failed() -> None:
    found = await verdicts(findings(direction(), direction(), stall_ms=207.0))
    assert found["tcp_survived"].ok
    assert "minimum retransmission time-out" in found["tcp_survived"].told.sentence


async def test_broken_tcp_connection_fails() -> None:
    broken = findings(direction(), direction())
    broken.tcp = TcpResult(False, 10, 1.0)
    assert not (await verdicts(broken))["tcp_survived"].ok


async def after_outage(direction: DirectionStatistics, *, down_ms: int) -> dict[str, StepResult]:
    found = Findings(
        outages=[Outage("mag1", Period(100 * MS, (100 + down_ms) * MS))],
        traffic=TrafficResult(direction, direction),
        tcp=TcpResult(True, 100, float(down_ms)),
    )
    return {each.name: each for each in await results(*outage_verdicts(found))}


async def test_loss_and_silence_inside_an_outage_are_allowed_and_told() -> None:
    silent = direction(lost=range(100, 400))
    found = await after_outage(silent, down_ms=300)
    assert all(each.ok for each in found.values())
    assert found["outage_within_10_s"].told.sentence == "outage of mag1: 301 ms up, 301 ms down"


async def test_loss_after_an_outage_is_not() -> None:
    found = await after_outage(direction(lost=range(100, 450)), down_ms=300)
    assert not found["nothing_lost_outside_outages"].ok


@pytest.mark.parametrize(("gap_ms", "ok"), [(9_999, True), (10_000, False)], ids=["10 s", "more"])
async def test_outage_above_10_s_fails(gap_ms: int, ok: bool) -> None:
    found = await after_outage(direction(gap_at=100, gap_ms=gap_ms), down_ms=gap_ms)
    assert found["outage_within_10_s"].ok is ok


async def test_direction_that_never_came_back_is_no_short_outage() -> None:
    found = await after_outage(direction(lost=range(90, 500)), down_ms=300)
    assert not found["outage_within_10_s"].ok


async def test_scenario_without_its_outage_fails() -> None:
    found = Findings(traffic=TrafficResult(direction(), direction()), tcp=TcpResult(True, 1, 1.0))
    verdict = {each.name: each for each in await results(*outage_verdicts(found))}
    assert not verdict["outage_within_10_s"].ok
