"""What a person reads of a scenario."""

import io

from rich.console import Console

from mag.lab.event_feed import LabEvent
from mag.lab.options import Scenario
from mag.lab.scenarios.handover import HANDOVER
from mag.lab.scenarios.steps import Findings, Handover, StepResult, Told
from mag.lab.timeline import Timeline, event_words
from mag.lab.traffic.probe_traffic import TrafficResult
from mag.lab.traffic.traffic_statistics import Arrival, Period, direction_statistics

MS = 1_000_000


def written(*results: StepResult, findings: Findings | None = None) -> str:
    file = io.StringIO()
    timeline = Timeline(Console(file=file, width=80))
    timeline.open(HANDOVER, "mag-lab-1")
    for result in results:
        timeline.step(result)
    timeline.close(results, findings or Findings())
    return file.getvalue()


def event(name: str, at: float = 0.0, source: str = "mag2", **facts: object) -> LabEvent:
    return LabEvent(at, source, name, {"mn_id": "mn1@lab.example", **facts})


def test_step_and_events_are_lines_with_their_milliseconds() -> None:
    told = Told(
        "mn1 moved",
        (
            event("proxy_binding_update_sent", 100.0021, kind="registration"),
            event("something_internal", 100.003),
            event("forwarding_installed", 100.0055),
        ),
        since=100.0,
    )
    lines = written(StepResult("move", True, 5.54, told)).splitlines()
    assert lines[0].startswith(f"mag lab · {Scenario.HANDOVER}")
    assert "5.5 ms  mn1 moved" in lines[1]
    assert "+2.1 ms  mag2 → lma  Proxy Binding Update, registration" in lines[2]
    assert "+5.5 ms  mag2 forwards" in lines[3]
    assert lines[4] == "Every step held."


def test_long_sentence_is_not_broken_into_lines() -> None:
    sentence = "word " * 40
    assert sentence.strip() in written(StepResult("a", True, 1.0, Told(sentence)))


def test_steps_that_did_not_hold_are_named_in_the_verdict() -> None:
    text = written(
        StepResult("good", True, 1.0, Told("fine")), StepResult("bad", False, 1.0, Told("sorry"))
    )
    assert text.splitlines()[-1] == "Did not hold: bad"


def test_summary_shows_what_each_handover_cost() -> None:
    up = direction_statistics(
        [i * MS for i in range(20)], [Arrival(i, i * MS) for i in range(20) if i not in (9, 10)]
    )
    down = direction_statistics(
        [i * MS for i in range(20)], [Arrival(i, i * MS) for i in range(20)]
    )
    moved = Handover("mn1", "mag1", "mag2", Period(9 * MS, 10 * MS), 4.25)
    findings = Findings(handovers=[moved], traffic=TrafficResult(up, down))
    text = written(StepResult("a", True, 1.0, Told("fine")), findings=findings)
    (line,) = [line for line in text.splitlines() if "mag1 → mag2" in line]
    assert "4.2 ms" in line
    assert "3.0 ms, 2 lost" in line
    assert "1.0 ms, 0 lost" in line


def test_late_deregistration_is_told_as_what_it_is() -> None:
    """INT-28: silence is the LMA's right answer, no fault."""
    words = event_words(event("message_ignored", source="lma"))
    assert words is not None
    assert "as it should" in words
