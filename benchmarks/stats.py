"""Statistics of timed samples: medians, percentiles and bootstrap intervals. Plain arrays in, numbers out; no clock, no I/O.

Samples of one contender form an array (rounds, blocks, n): a round is a fresh process, a block a run of n inferences inside
it. Nothing is clipped.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES, AT_ONCE = 1000, 50
LEAST_REPEATS = 3
"""One or two processes say nothing about how much processes differ."""
PERCENTILE_MINIMUM = {90: 64, 95: 130, 99: 662}
"""A percentile is a claim only with so many samples (MLPerf's counts); below, it is not given at all."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, or without where none can be derived."""

    value: float
    ci95: tuple[float, float] | None = None

    def map(self, function: Callable[[float], float]) -> "Estimate":
        """The estimate of a monotonic function of the figure, with the interval's ends in order."""
        ends = None if self.ci95 is None else tuple(sorted(function(end) for end in self.ci95))
        return Estimate(function(self.value), ends)


def median(samples: np.ndarray, seed: int = 0) -> Estimate:
    """Median of (rounds, blocks, n) samples; interval by bootstrap over rounds, and over blocks within each."""
    return Estimate(float(np.median(samples)), _interval(_resampled(samples, seed)))


def ratio(reference: np.ndarray, candidate: np.ndarray, seed: int = 0) -> Estimate:
    """median(reference) / median(candidate): above 1, the candidate is faster.

    Both are (rounds, blocks, n), n may differ. A resample picks the same rounds and blocks of both, because the blocks of one
    index ran next to each other and share what the machine was doing then.
    """
    if reference.shape[:2] != candidate.shape[:2]:
        raise ValueError(f"blocks {reference.shape[:2]} and {candidate.shape[:2]} were not measured together")
    draws = _resampled(reference, seed) / _resampled(candidate, seed)
    return Estimate(float(np.median(reference) / np.median(candidate)), _interval(draws))


def repeats(values: list[float], seed: int = 0) -> Estimate:
    """Median of independent repeats, one figure each; an interval from ``LEAST_REPEATS`` on."""
    found = median(np.asarray(values, float)[:, None, None], seed)
    return found if len(values) >= LEAST_REPEATS else Estimate(found.value)


def percentiles(samples: np.ndarray) -> dict[int, float]:
    """Those of p90, p95 and p99 for which there are samples enough."""
    flat = samples.ravel()
    return {p: float(np.percentile(flat, p)) for p, minimum in PERCENTILE_MINIMUM.items() if flat.size >= minimum}


def spread(samples: np.ndarray) -> float:
    """How much the same thing differs from block to block: interquartile range of the block medians over their median."""
    low, middle, high = np.percentile(np.median(samples, axis=2), (25, 50, 75))
    return float((high - low) / middle)


def draws(samples: np.ndarray, seed: int = 0) -> np.ndarray:
    """Medians (RESAMPLES,) of resamples; those of arrays that ran together, with one seed, belong together draw by draw."""
    return _resampled(samples, seed)


def interval(draws_: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of what resamples gave."""
    return _interval(draws_)


def _resampled(samples: np.ndarray, seed: int) -> np.ndarray:
    """Medians (RESAMPLES,) of resamples; the same seed picks the same rounds and blocks of any array of as many."""
    rounds, blocks = samples.shape[:2]
    random = np.random.default_rng(seed)
    medians = []
    for _ in range(RESAMPLES // AT_ONCE):
        which_rounds = random.integers(rounds, size=(AT_ONCE, rounds, 1))
        which_blocks = random.integers(blocks, size=(AT_ONCE, rounds, blocks))
        medians.append(np.median(samples[which_rounds, which_blocks].reshape(AT_ONCE, -1), axis=1))
    return np.concatenate(medians)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
