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
    thresholds = gc.get_threshold()
    with short_searches():
        assert gc.get_freeze_count() > 1000
        gc.collect()
        assert gc.get_freeze_count() > 1000
        gone = cycle()
        gc.collect()
        assert gone() is None
        alone = weakref.ref(kept[0])
        kept.clear()
        assert alone() is None
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == thresholds


def test_each_object_that_stays_is_looked_at_by_one_full_search() -> None:
    """Some thousands at a time: with 100,000 bindings there are a million of them."""
    searches = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            searches.append(len(gc.get_objects()))

    with short_searches():
        gc.callbacks.append(count)
        kept = [Thing() for _ in range(50_000)]
        gc.callbacks.remove(count)
    assert len(kept) == 50_000
    assert len(searches) >= 4
    assert max(searches[1:]) < 15_000
