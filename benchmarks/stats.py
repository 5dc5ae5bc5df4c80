"""Statistics of timed samples: medians, percentiles, ratios and their intervals. Plain arrays in; no clock, no I/O.

Samples of one contender form an array (rounds, blocks, n): a round is a fresh process, a block a run of n inferences inside
it. Nothing is clipped. A process keeps its own pace from start to end, so the rounds are the repeats, and intervals come from
a bootstrap that draws whole rounds, widened for how few they are. (A plain one over three rounds covered the truth in 75 to 80
of 100 simulations where it promised 95; ``python -m benchmarks.simulate`` counts it.)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 4000
NORMAL = NormalDist()
MEDIAN = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean."""
LEAST_REPEATS = 3
"""One or two processes say nothing about how much processes differ."""
PERCENTILE_MINIMUM = {90: 64, 95: 130, 99: 662}
"""A percentile is a claim only with so many samples (MLPerf's counts); below, it is not given at all."""
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""Student's t: the 97.5 % quantile for 1, 2, … degrees of freedom."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, or without where none can be derived."""

    value: float
    ci95: tuple[float, float] | None = None

    def map(self, function: Callable[[float], float]) -> "Estimate":
        """The estimate of a monotonic function of the figure, with the interval's ends in order."""
        ends = None if self.ci95 is None else tuple(sorted(function(end) for end in self.ci95))
        return Estimate(function(self.value), ends)


def median(samples: np.ndarray) -> Estimate:
    """Median of (rounds, blocks, n) samples above 0; its interval is the block bootstrap's of the blocks' medians."""
    value, found = float(np.median(samples)), blocked(block_logs(samples))
    return Estimate(value, found.ci95 and tuple(value * end / found.value for end in found.ci95))


def ratio(reference: np.ndarray, candidate: np.ndarray) -> Estimate:
    """Time of the reference over time of the candidate: above 1, the candidate is faster.

    Both are (rounds, blocks, n), n may differ. Blocks of one index ran next to each other and share what the machine was doing
    then, so they are compared pair by pair; a pair that a burst of other work hit on one side only is one of many.
    """
    if reference.shape[:2] != candidate.shape[:2]:
        raise ValueError(f"blocks {reference.shape[:2]} and {candidate.shape[:2]} were not measured together")
    return blocked(block_logs(reference) - block_logs(candidate))


def blocked(logs: np.ndarray, seed: int = 0) -> Estimate:
    """exp of the mean over rounds of the median over blocks, of logarithms (rounds, blocks), with a block bootstrap's interval.

    A resample draws whole rounds: what a process did in its blocks hangs together. A bootstrap of n rounds is too narrow, as it
    takes their spread for the truth's, so its percentiles are moved outwards until a normal sample of n would give Student's
    interval (the expanded percentile interval of Hesterberg, The American Statistician 69, 2015). As no resample of a few
    rounds leaves their range, it is never narrower than Student's own. Drawing the blocks within each round anew as well
    counted their noise twice: such intervals held the truth in 100 of 100 simulations and decided 75.
    """
    each = np.median(logs, axis=1)
    student_ = geometric(each)
    if student_.ci95 is None:
        return student_
    low, high = interval(np.exp(_resampled(each, seed)), len(each))
    return Estimate(student_.value, (min(low, student_.ci95[0]), max(high, student_.ci95[1])))


def block_logs(samples: np.ndarray) -> np.ndarray:
    """Logarithm of each block's median (rounds, blocks)."""
    return np.log(np.median(samples, axis=2))


def geometric(logs: np.ndarray) -> Estimate:
    """Geometric mean of repeats given as logarithms; with an interval from two of them on."""
    value = float(np.mean(logs))
    if len(logs) < 2:
        return Estimate(math.exp(value))
    half = half_width(logs)
    return Estimate(math.exp(value), (math.exp(value - half), math.exp(value + half)))


def half_width(repeats: np.ndarray) -> float:
    """Half of the 95 % interval of the mean of repeats, by Student's t."""
    return student(len(repeats) - 1) * float(np.std(repeats, ddof=1)) / math.sqrt(len(repeats))


def quotient(now: np.ndarray, before: np.ndarray, unseen: float = 0.0) -> Estimate:
    """exp(mean now − mean before) of independent repeats given as logarithms, by Welch's interval.

    ``unseen`` is a standard deviation of either mean that no repeat inside a run can show.
    """
    value = float(np.mean(now) - np.mean(before))
    if min(len(now), len(before)) < 2:
        return Estimate(math.exp(value))
    parts = [float(np.var(x, ddof=1)) / len(x) for x in (now, before)]
    both = sum(part**2 / (len(x) - 1) for part, x in zip(parts, (now, before), strict=True))
    freedom = sum(parts) ** 2 / both if both else len(now) + len(before) - 2
    half = student(freedom) * math.sqrt(sum(parts) + 2 * unseen**2)
    return Estimate(math.exp(value), (math.exp(value - half), math.exp(value + half)))


def student(freedom: float) -> float:
    """The 97.5 % quantile for so many degrees of freedom, rounded down to the table's."""
    return T_975[min(max(int(freedom), 1), len(T_975)) - 1]


def repeats(values: list[float]) -> Estimate:
    """Median of independent repeats, one figure each, at least 0; an interval from ``LEAST_REPEATS`` on.

    It is Student's, as much wider as a median varies more than a mean; of logarithms, unless one of the figures is 0.
    """
    values = np.asarray(values, float)
    value = float(np.median(values))
    if len(values) < LEAST_REPEATS:
        return Estimate(value)
    if (values > 0).all():
        half = MEDIAN * half_width(np.log(values))
        return Estimate(value, (value * math.exp(-half), value * math.exp(half)))
    half = MEDIAN * half_width(values)
    return Estimate(value, (max(0.0, value - half), value + half))


def percentiles(samples: np.ndarray) -> dict[int, float]:
    """Those of p90, p95 and p99 for which there are samples enough."""
    flat = samples.ravel()
    return {p: float(np.percentile(flat, p)) for p, minimum in PERCENTILE_MINIMUM.items() if flat.size >= minimum}


def spread(samples: np.ndarray) -> float:
    """How much the same thing differs from block to block: interquartile range of the block medians over their median."""
    low, middle, high = np.percentile(np.median(samples, axis=2), (25, 50, 75))
    return float((high - low) / middle)


def draws(samples: np.ndarray, seed: int = 0) -> np.ndarray:
    """Resamples (RESAMPLES,) of the median of (rounds, blocks, n) samples; those of arrays that ran together, drawn with one
    seed, belong together draw by draw."""
    return np.exp(_resampled(np.median(block_logs(samples), axis=1), seed))


def interval(draws_: np.ndarray, rounds: int) -> tuple[float, float]:
    """The 95 % interval that resamples of so many rounds give, widened as ``blocked`` says."""
    tail = 100 * NORMAL.cdf(-math.sqrt(rounds / (rounds - 1)) * student(rounds - 1))
    low, high = np.percentile(draws_, (tail, 100 - tail))
    return float(low), float(high)


def _resampled(each: np.ndarray, seed: int) -> np.ndarray:
    """Means (RESAMPLES,) of resamples of one number a round."""
    return each[np.random.default_rng(seed).integers(len(each), size=(RESAMPLES, len(each)))].mean(axis=1)
