import pytest

from mag.services.event_log import Level, LogEntry
from mag.services.log_limiter import (
    BURST,
    BURST_OF_BINDINGS,
    CAUSED_BY_OTHERS,
    LINES_OF_BINDINGS_PER_S,
    OF_EACH_BINDING,
    LogLimiter,
)

DISCARDED = LogEntry("message_discarded", Level.WARNING, {"reason": "truncated"})
ESTABLISHED = LogEntry("binding_established", Level.INFO, {})


def test_flood_is_cut_and_told() -> None:
    limiter = LogLimiter()
    passed = [limiter.admit(DISCARDED, 100.0) for _ in range(1000)]
    assert passed[:BURST] == [DISCARDED] * BURST
    assert passed[BURST:] == [None] * (1000 - BURST)
    told = limiter.admit(DISCARDED, 101.0)
    assert told is not None
    assert told.facts == {"reason": "truncated", "suppressed": 1000 - BURST}
    assert limiter.admit(DISCARDED, 103.0) == DISCARDED


def test_bindings_are_told_one_by_one_until_they_are_a_storm() -> None:
    limiter = LogLimiter()
    storm = [limiter.admit(ESTABLISHED, 100.0) for _ in range(BURST_OF_BINDINGS + 500)]
    assert storm == [ESTABLISHED] * BURST_OF_BINDINGS + [None] * 500
    told = limiter.admit(ESTABLISHED, 100.0 + 1 / LINES_OF_BINDINGS_PER_S)
    assert told is not None
    assert told.facts == {"suppressed": 500}


def test_journal_of_systemd_need_not_drop_anything() -> None:
    """RateLimitBurst is 10,000 in 30 s, unless that is changed; who comes is two lines."""
    assert 2 * (BURST_OF_BINDINGS + 30 * LINES_OF_BINDINGS_PER_S) <= 10_000


@pytest.mark.parametrize("name", sorted(CAUSED_BY_OTHERS | OF_EACH_BINDING))
def test_what_would_be_left_out_need_not_be_made(name: str) -> None:
    """And is counted all the same; what has room is not."""
    limiter, entry = LogLimiter(), LogEntry(name, Level.INFO, {})
    admitted = 0
    while not limiter.leaves_out(name, 100.0):
        assert limiter.admit(entry, 100.0) == entry
        admitted += 1
    assert admitted in {BURST, BURST_OF_BINDINGS}
    assert limiter.admit(entry, 100.0) is None
    assert not limiter.leaves_out(name, 102.0)
    told = limiter.admit(entry, 102.0)
    assert told is not None
    assert told.facts == {"suppressed": 2}


def test_what_is_about_ourselves_is_always_told() -> None:
    limiter, entry = LogLimiter(), LogEntry("dataplane_failed", Level.ERROR, {})
    assert not any(limiter.leaves_out(entry.name, 0.0) for _ in range(5000))
    assert all(limiter.admit(entry, 0.0) for _ in range(5000))


def test_one_flood_does_not_hide_another_kind() -> None:
    limiter = LogLimiter()
    for _ in range(100):
        limiter.admit(DISCARDED, 0.0)
    refused = LogEntry("attachment_refused", Level.INFO, {})
    assert limiter.admit(refused, 0.0) == refused
