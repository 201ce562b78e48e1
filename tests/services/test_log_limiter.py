from mag.services.event_log import Level, LogEntry
from mag.services.log_limiter import BURST, LogLimiter

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


def test_what_we_do_ourselves_is_always_told() -> None:
    limiter = LogLimiter()
    assert all(limiter.admit(ESTABLISHED, 0.0) for _ in range(1000))


def test_one_flood_does_not_hide_another_kind() -> None:
    limiter = LogLimiter()
    for _ in range(100):
        limiter.admit(DISCARDED, 0.0)
    refused = LogEntry("attachment_refused", Level.INFO, {})
    assert limiter.admit(refused, 0.0) == refused
