"""When did a series of figures move? Change points of a metric over the nights, by a rank CUSUM with a permutation test.

The statistic is the largest difference between the mean rank of a stretch of nights and that of the rest, standardised by their
sizes; a stretch that reaches to an end is a step, one in the middle is two (circular binary segmentation: Olshen and others
2004). Its null distribution is that of the same values in random order, so no shape of noise is assumed; ranks keep one spoilt
night from making a change or hiding one. The pieces are searched again.
"""

import numpy as np

SHORTEST = 3
"""Nights of a level: one or two may be a mood of the machine."""
PERMUTATIONS = 999
P_VALUE = 0.01


def find(values: np.ndarray, seed: int = 0) -> list[tuple[int, float]]:
    """Where the level of (n,) values changes: (index of the first value after it, p), in order."""
    return sorted(_search(np.asarray(values, float), 0, np.random.default_rng(seed)))


def _search(values: np.ndarray, offset: int, random: np.random.Generator) -> list[tuple[int, float]]:
    if len(values) < 2 * SHORTEST:
        return []
    starts, ends = _stretches(len(values))
    ranks = _ranks(values)
    found = _contrasts(ranks[None], starts, ends)[0]
    null = _contrasts(random.permuted(np.tile(ranks, (PERMUTATIONS, 1)), axis=1), starts, ends).max(axis=1)
    p = float((1 + (null >= found.max() - 1e-9).sum()) / (1 + PERMUTATIONS))
    if p >= P_VALUE:
        return []
    best = int(found.argmax())
    cuts = [cut for cut in (int(starts[best]), int(ends[best])) if 0 < cut < len(values)]
    result = [(offset + cut, p) for cut in cuts]
    for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        result += _search(values[start:end], offset + start, random)
    return result


def _stretches(n: int) -> tuple[np.ndarray, np.ndarray]:
    """First index and end of every stretch of n nights that leaves no level shorter than ``SHORTEST``."""
    starts, ends = np.triu_indices(n + 1, SHORTEST)
    inside = ((starts == 0) | (starts >= SHORTEST)) & ((ends == n) | (ends <= n - SHORTEST)) & (ends - starts < n)
    return starts[inside], ends[inside]


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks around 0, ties sharing theirs."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") - len(values)) / 2


def _contrasts(ranks: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The statistic of every stretch of each row (rows, stretches)."""
    n, sizes = ranks.shape[1], ends - starts
    sums = np.pad(np.cumsum(ranks, axis=1), ((0, 0), (1, 0)))
    return np.abs(sums[:, ends] - sums[:, starts]) / np.sqrt(sizes * (n - sizes) / n)
