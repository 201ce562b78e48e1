"""Ratios of paired costs, their intervals and verdicts."""

import pytest
from perf.dataplane.ratio import LEAST_PAIRS, Ratio, Verdict, paired_ratio


def test_pairs_on_a_machine_that_slows_down_give_the_true_ratio():
    """Each pair is measured at one speed: the drift cancels."""
    ratio = paired_ratio([(60.0 * speed, 100.0 * speed) for speed in range(1, 40)])
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((0.6, 0.6, 0.6))


def test_one_outlier_moves_neither_median_nor_ratio_of_minima():
    ratio = paired_ratio([(50.0, 100.0)] * 19 + [(500.0, 100.0)])
    assert ratio.median == pytest.approx(0.5)
    assert ratio.of_minima == pytest.approx(0.5)


def test_interval_contains_the_median_and_grows_with_the_noise():
    quiet = paired_ratio([(100.0 + n % 3, 100.0) for n in range(40)])
    noisy = paired_ratio([(100.0 + 10 * (n % 3), 100.0) for n in range(40)])
    assert quiet.low <= quiet.median <= quiet.high
    assert noisy.width > quiet.width


def test_same_slices_read_again_give_the_same_interval():
    pairs = [(100.0 + n % 7, 100.0 + n % 5) for n in range(50)]
    assert paired_ratio(pairs) == paired_ratio(pairs)


def test_ratio_above_one_may_have_an_interval_in_proportion():
    assert Ratio(3.0, 2.95, 3.05, 3.0, LEAST_PAIRS).is_decisive
    assert not Ratio(0.3, 0.25, 0.35, 0.3, LEAST_PAIRS).is_decisive


def test_no_pair_is_refused():
    with pytest.raises(ValueError, match="no pair"):
        paired_ratio([])


@pytest.mark.parametrize(
    ("low", "high", "pairs", "verdict"),
    [
        pytest.param(0.27, 0.29, LEAST_PAIRS, Verdict.MET, id="interval below"),
        pytest.param(0.28, 0.30, LEAST_PAIRS, Verdict.MET, id="upper end on the target"),
        pytest.param(0.31, 0.32, LEAST_PAIRS, Verdict.MISSED, id="interval above"),
        pytest.param(0.29, 0.31, LEAST_PAIRS, Verdict.INCONCLUSIVE, id="target inside"),
        pytest.param(0.10, 0.20, LEAST_PAIRS, Verdict.INCONCLUSIVE, id="too wide"),
        pytest.param(0.27, 0.27, LEAST_PAIRS - 1, Verdict.INCONCLUSIVE, id="too few pairs"),
    ],
)
def test_verdict_follows_interval_and_number_of_pairs(low, high, pairs, verdict):
    assert Ratio((low + high) / 2, low, high, low, pairs).verdict(0.30) is verdict
