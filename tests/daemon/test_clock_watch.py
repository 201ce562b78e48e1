"""The clock that timestamps are made with: what is asked of it, who is told."""

import pytest

from mag.config.model import ClockPolicy, ProtocolSection
from mag.daemon.clock_watch import ClockError, ClockState, ClockWatch
from mag.services.event_log import Level, LogEntry
from mag.services.system_clock import ClockReading, read_system_clock
from support.fake_adapters import until

IN_STEP = ClockReading(is_synchronized=True, estimated_error_s=0.002, maximum_error_s=0.4)
FREE = ClockReading(is_synchronized=False, estimated_error_s=16.0, maximum_error_s=16.0)
FAR = ClockReading(is_synchronized=True, estimated_error_s=0.2)
SILENT = ClockReading(None, reason="adjtimex: Operation not permitted")


class Watched:
    def __init__(self, reading: ClockReading, **protocol: object) -> None:
        self.reading = reading
        self.notes: list[LogEntry] = []
        self.told: list[bool] = []
        self.watch = ClockWatch(
            lambda: self.reading,
            ProtocolSection.model_validate(protocol),
            every_s=0.0,
            note=self.notes.append,
            tell=self.told.append,
        )

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.notes]


@pytest.mark.requirement("TS-01", "TS-02")
@pytest.mark.parametrize(
    ("reading", "state", "name"),
    [
        (FREE, ClockState.OUT_OF_STEP, "clock_out_of_step"),
        (SILENT, ClockState.UNKNOWN, "clock_unknown"),
    ],
)
def test_clock_that_is_not_in_step_is_a_warning_once(
    reading: ClockReading, state: ClockState, name: str
) -> None:
    watched = Watched(reading)
    watched.watch.look()
    watched.watch.look()
    assert watched.watch.state is state
    assert watched.names == [name]
    assert watched.notes[0].level is Level.WARNING


@pytest.mark.requirement("TS-01", "TS-02", "PBA-18")
def test_loss_and_return_of_the_source_are_told() -> None:
    watched = Watched(IN_STEP)
    for watched.reading in (IN_STEP, FREE, FREE, IN_STEP):
        watched.watch.look()
    assert watched.names == ["clock_out_of_step", "clock_in_step"]
    assert watched.told == [True, False, False, True]


@pytest.mark.requirement("TS-04")
@pytest.mark.parametrize(("limit_s", "state"), [(0.15, "out_of_step"), (0.3, "in_step")])
def test_estimated_error_counts_against_half_the_time_of_a_reconnection(
    limit_s: float, state: str
) -> None:
    watched = Watched(FAR, max_clock_error_s=limit_s)
    watched.watch.look()
    assert watched.watch.state == state


@pytest.mark.requirement("PBA-18")
def test_clock_of_which_nothing_is_known_holds_nobody_back() -> None:
    watched = Watched(SILENT)
    watched.watch.look()
    assert watched.told == [True]


@pytest.mark.requirement("TS-01")
@pytest.mark.parametrize("reading", [FREE, FAR, SILENT])
def test_required_clock_that_is_not_in_step_stops_the_start(reading: ClockReading) -> None:
    watched = Watched(reading, clock="require")
    with pytest.raises(ClockError, match="`require`, and"):
        watched.watch.demand()


def test_required_clock_that_is_in_step_lets_it_start() -> None:
    watched = Watched(IN_STEP, clock="require")
    watched.watch.demand()
    assert watched.notes == []


@pytest.mark.parametrize(
    "protocol", [{"clock": "ignore"}, {"timestamp_based_approach_in_use": "false"}]
)
async def test_clock_that_does_not_matter_is_shown_and_nothing_more(
    protocol: dict[str, str],
) -> None:
    watched = Watched(FREE, **protocol)
    watched.watch.open()
    watched.watch.close()
    assert watched.watch.state is ClockState.OUT_OF_STEP
    assert watched.notes == []
    assert watched.told == [True]


async def test_another_policy_holds_at_once() -> None:
    watched = Watched(FREE)
    watched.watch.open()
    watched.watch.reconfigure(ProtocolSection(clock=ClockPolicy.IGNORE))
    watched.watch.reconfigure(ProtocolSection(clock=ClockPolicy.WARN))
    watched.watch.close()
    assert watched.told == [False, True, False]


@pytest.mark.requirement("TS-02")
async def test_clock_is_looked_at_again_and_again() -> None:
    watched = Watched(IN_STEP)
    watched.watch.open()
    watched.reading = FREE
    await until(lambda: watched.notes)
    watched.watch.close()
    assert watched.names == ["clock_out_of_step"]


@pytest.mark.requirement("TS-03")
def test_kernel_is_asked_whoever_disciplines_its_clock() -> None:
    reading = read_system_clock()
    assert reading.is_synchronized is not None or reading.reason
    assert 0.0 <= reading.estimated_error_s <= 1000.0
    assert 0.0 <= reading.maximum_error_s <= 1000.0
