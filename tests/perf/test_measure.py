"""Which slices may be compared, and when there are enough of them."""

import pytest
from perf.dataplane.measure import Comparison, Slice, compare, good_pairs, is_settled, rejection
from perf.dataplane.ratio import Verdict
from perf.dataplane.runtime import PathCost

COMPARISON = Comparison("own", "plain", 0.5)


def cost(clocks=100.0, *, generated=2560, delivered=2560, vectors_per_call=256.0):
    return PathCost(generated, delivered, vectors_per_call, clocks, {"ip6-lookup": clocks})


def visit(own, plain, *, rejected=""):
    return {
        "own": Slice("own", 0.1, cost(own), rejected),
        "plain": Slice("plain", 0.1, cost(plain)),
    }


@pytest.mark.parametrize(
    ("measured", "frame_limit", "lost_share", "reason"),
    [
        pytest.param(cost(), 256, 0.0, "", id="good"),
        pytest.param(cost(delivered=2559), 256, 0.0, "packets lost", id="one packet dropped"),
        pytest.param(cost(vectors_per_call=249.0), 256, 0.0, "small frames", id="frames not full"),
        pytest.param(cost(vectors_per_call=32.0), 32, 0.0, "", id="frames small on purpose"),
        pytest.param(cost(), 256, 0.02, "core lost", id="worker lost its core"),
    ],
)
def test_slice_is_rejected_for_what_would_falsify_it(measured, frame_limit, lost_share, reason):
    assert rejection(measured, frame_limit, lost_share) == reason


def test_pair_with_one_rejected_slice_is_left_out():
    seen = [visit(40.0, 100.0), visit(90.0, 100.0, rejected="core lost"), visit(42.0, 100.0)]
    assert good_pairs(seen, COMPARISON) == [(40.0, 100.0), (42.0, 100.0)]


def test_comparison_without_good_pair_has_no_ratio():
    assert compare([visit(40.0, 100.0, rejected="core lost")], COMPARISON) is None


def test_measurement_is_settled_when_pairs_suffice_and_interval_is_narrow():
    seen = [visit(40.0, 100.0)] * 20
    assert is_settled(seen, [COMPARISON], pairs=20)
    assert not is_settled(seen, [COMPARISON], pairs=21)


def test_noisy_measurement_is_not_settled():
    seen = [visit(40.0 + 30 * (n % 2), 100.0) for n in range(20)]
    assert not is_settled(seen, [COMPARISON], pairs=20)


def test_cheaper_path_meets_its_target():
    ratio = compare([visit(40.0, 100.0)] * 20, COMPARISON)
    assert ratio is not None
    assert ratio.verdict(0.5) is Verdict.MET
