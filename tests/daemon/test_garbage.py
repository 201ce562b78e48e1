"""The search for cyclic garbage stays short, and still finds what is garbage."""

import gc
import weakref

from mag.daemon.garbage import short_searches


class Thing:
    """May be part of a cycle."""

    def __init__(self) -> None:
        self.other: Thing | None = None


def cycle() -> weakref.ref[Thing]:
    one, other = Thing(), Thing()
    one.other, other.other = other, one
    return weakref.ref(one)


def test_what_survived_a_search_is_not_looked_at_again() -> None:
    kept = [Thing() for _ in range(1000)]
    with short_searches():
        gc.collect()
        assert gc.get_freeze_count() > 1000
        gone = cycle()
        gc.collect()
        assert gone() is None
        alone = weakref.ref(kept[0])
        kept.clear()
        assert alone() is None
    assert gc.get_freeze_count() == 0
