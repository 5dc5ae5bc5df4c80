"""The harness's statistics, on samples whose truth is known: nothing here reads a clock."""

import numpy as np
import pytest

from benchmarks import stats
from benchmarks.stats import Estimate


def simulated(mean_ms: float, seed: int, rounds: int = 7, blocks: int = 7, n: int = 20) -> np.ndarray:
    """Nanoseconds as a busy machine gives them: each process and each block has its own pace, and single samples spike."""
    random = np.random.default_rng(seed)
    pace = random.lognormal(0, 0.03, (rounds, 1, 1)) * random.lognormal(0, 0.05, (rounds, blocks, 1))
    spikes = 1 + (random.random((rounds, blocks, n)) < 0.03) * random.exponential(2, (rounds, blocks, n))
    return (mean_ms * 1e6 * pace * spikes * random.lognormal(0, 0.02, (rounds, blocks, n))).astype(np.int64)


def test_the_median_of_known_samples_lies_in_its_interval():
    samples = simulated(2.0, seed=1) / 1e6
    found = stats.median(samples)
    assert found.value == np.median(samples)
    assert found.ci95[0] <= found.value <= found.ci95[1]
    assert found.ci95[0] < 2.05 and found.ci95[1] > 1.95


def test_the_median_does_not_depend_on_the_order_of_samples():
    samples = simulated(2.0, seed=1)
    assert stats.median(samples[:, ::-1, ::-1]).value == stats.median(samples).value


def test_intervals_are_the_same_for_the_same_seed():
    samples = simulated(1.0, seed=2)
    values = list(samples[0, 0])
    assert stats.repeats(values) == stats.repeats(values)
    assert stats.median(samples) == stats.median(samples)


def test_a_constant_has_an_interval_without_width():
    assert stats.median(np.full((2, 3, 4), 7)) == Estimate(7.0, (7.0, 7.0))


def test_an_interval_sees_differences_between_processes():
    """Blocks inside a process agree; the processes do not. An interval over blocks alone would miss it."""
    samples = np.repeat(np.array([1.0, 1.1, 1.3, 1.6])[:, None, None], 10, axis=1)
    low, high = stats.median(samples).ci95
    assert low <= 1.1 and high >= 1.3


def test_a_ratio_is_reference_over_candidate():
    found = stats.ratio(simulated(8.0, seed=3, n=5), simulated(2.0, seed=4, n=40))
    assert found.value == pytest.approx(4, rel=0.1)
    assert found.ci95[0] < 4.2 and found.ci95[1] > 3.8


def test_a_ratio_cancels_what_both_share():
    """The machine slows down threefold while both run: their ratio does not move."""
    drift = np.linspace(1, 3, 40).reshape(4, 10, 1)
    slow, fast = np.full((4, 10, 5), 6.0) * drift, np.full((4, 10, 9), 2.0) * drift
    found = stats.ratio(slow, fast)
    assert found.ci95 == pytest.approx((3, 3))


def test_a_ratio_does_not_mind_a_burst_that_hits_a_few_blocks_of_one_side():
    reference, candidate = np.full((7, 7, 5), 6.0), np.full((7, 7, 5), 2.0)
    candidate[:, 2:4] *= 3
    assert stats.ratio(reference, candidate).ci95 == pytest.approx((3, 3))


def test_one_process_gives_no_interval():
    assert stats.median(np.ones((1, 9, 9))).ci95 is None
    assert stats.ratio(np.ones((1, 9, 9)), np.ones((1, 9, 9))).ci95 is None


def test_the_interval_of_a_mean_is_students():
    """Textbook: the mean of 1, 2, 3, 4, 5 is 3 ± 2.776 · 1.5811 / √5."""
    logs = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    low, high = np.log(stats.geometric(logs).ci95)
    assert (low, high) == pytest.approx((3 - 1.963, 3 + 1.963), abs=1e-3)


def test_a_quotient_is_welchs_and_counts_what_no_run_can_see():
    now, before = np.log([2.0, 2.1, 2.2, 2.0]), np.log([1.0, 1.05, 0.95, 1.0])
    found, wider = stats.quotient(now, before), stats.quotient(now, before, unseen=0.05)
    assert found.value == wider.value == pytest.approx(np.exp(now.mean() - before.mean()))
    assert wider.ci95[0] < found.ci95[0] < found.value < found.ci95[1] < wider.ci95[1]


def test_a_quotient_of_constants_has_no_width():
    assert stats.quotient(np.zeros(3), np.zeros(3)).ci95 == (1.0, 1.0)


@pytest.mark.parametrize("rounds", [3, 7])
@pytest.mark.parametrize("estimate", [stats.geometric, lambda logs: stats.blocked(logs[:, None]), stats.repeats])
def test_the_interval_holds_the_truth_as_often_as_it_says(rounds, estimate):
    """At least 93 in 100 with 3 and with 7 processes, where a plain bootstrap of 3 held it in about 71."""
    normal = np.random.default_rng(0).normal(0, 0.03, (600, rounds))
    repeats, truth = (np.exp(normal), 1) if estimate is stats.repeats else (normal, 1)
    held = [low <= truth <= high for low, high in (estimate(each).ci95 for each in repeats)]
    assert np.mean(held) >= 0.925


def test_a_ratio_needs_blocks_that_ran_together():
    with pytest.raises(ValueError, match="not measured together"):
        stats.ratio(np.ones((2, 3, 1)), np.ones((2, 4, 1)))


@pytest.mark.parametrize(
    ("samples", "given"), [(63, set()), (64, {90}), (129, {90}), (130, {90, 95}), (661, {90, 95}), (662, {90, 95, 99})]
)
def test_percentiles_need_enough_samples(samples, given):
    assert stats.percentiles(np.arange(samples, dtype=float)).keys() == given


def test_percentiles_are_those_of_the_samples():
    found = stats.percentiles(np.arange(1001.0).reshape(7, 11, 13))
    assert found == {90: 900.0, 95: 950.0, 99: 990.0}


def test_spread_is_zero_for_equal_blocks_and_counts_whole_blocks_not_spikes():
    samples = np.full((4, 10, 20), 5.0)
    samples[:, :, 0] = 500.0
    assert stats.spread(samples) == 0
    samples[2:] *= 2
    assert stats.spread(samples) == pytest.approx(5 / 7.5)


def test_mapping_an_estimate_keeps_the_interval_in_order():
    assert Estimate(2.0, (1.0, 4.0)).map(lambda ms: 1000 / ms) == Estimate(500.0, (250.0, 1000.0))


def test_repeats_give_the_median_of_single_figures():
    found = stats.repeats([3.0, 1.0, 2.0, 10.0, 2.5])
    assert found.value == 2.5
    assert stats.repeats([3.0, 1.0]).ci95 is None
    assert 0 < found.ci95[0] < 2.5 < found.ci95[1]
    nothing = stats.repeats([0.0, 0.0, 0.3])
    assert nothing.value == nothing.ci95[0] == 0.0 < nothing.ci95[1]
