"""Parity: does a lossy model still recognise faces as well as its reference? Paired statistics on the same crops.

The rule (docs: "What parity means"): the observed accuracy drop is within the target's margin, its upper one-sided 95 % bound
within one point, at most 3 % of the labels flip, and no class with at least 200 images loses more than 3 points of recall.
Without labels only the flips can be judged.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

UPPER_BOUND_POINTS = 1.0
MAX_FLIPS = 0.03
CLASS_GATE_IMAGES = 200
CLASS_MARGIN_POINTS = 3.0
"""On 200 images with 3 % flips a recall difference has a standard error of about 1.2 points: 3 is beyond chance."""
Z_ONE_SIDED, Z_TWO_SIDED = 1.6448536269514722, 1.959963984540054


@dataclass(frozen=True)
class Paired:
    """A candidate against its reference on the same ``n`` crops. Fractions are 0…1; points are percentage points."""

    n: int
    flip_rate: float
    """Fraction of crops whose predicted label differs from the reference's."""
    drop_points: float | None = None
    """Reference accuracy minus candidate accuracy; None where the crops have no labels, as all fields below."""
    drop_upper_points: float | None = None
    """Upper one-sided 95 % bound of the drop."""
    drop_ci95: tuple[float, float] | None = None
    """Two-sided 95 % interval of the drop, points."""
    accuracy_reference: float | None = None
    accuracy_candidate: float | None = None
    mcnemar_p: float | None = None
    """Exact two-sided McNemar test of the discordant crops."""
    recalls: dict[str, tuple[float, float, int]] | None = None
    """Class → (reference recall, candidate recall, images)."""

    def to_json(self) -> dict:
        return asdict(self)


def paired(reference: np.ndarray, candidate: np.ndarray, labels: np.ndarray | None = None, class_names=()) -> Paired:
    """Compare predicted class indices (N,) of two models; ``labels`` (N,) are the true ones, or None."""
    reference, candidate = np.asarray(reference), np.asarray(candidate)
    if reference.shape != candidate.shape or reference.ndim != 1 or not len(reference):
        raise ValueError(f"predictions of shapes {reference.shape} and {candidate.shape} cannot be paired")
    n, flips = len(reference), float((reference != candidate).mean())
    if labels is None:
        return Paired(n, flips)
    right_r, right_c = reference == labels, candidate == labels
    lost, gained = int((right_r & ~right_c).sum()), int((right_c & ~right_r).sum())
    (low, high), (_, upper) = (difference_interval(lost, gained, n, z) for z in (Z_TWO_SIDED, Z_ONE_SIDED))
    recalls = {
        name: (float(right_r[labels == k].mean()), float(right_c[labels == k].mean()), int((labels == k).sum()))
        for k, name in enumerate(class_names)
        if (labels == k).any()
    }
    return Paired(
        n=n,
        flip_rate=flips,
        drop_points=100 * (lost - gained) / n,
        drop_upper_points=100 * upper,
        drop_ci95=(100 * low, 100 * high),
        accuracy_reference=float(right_r.mean()),
        accuracy_candidate=float(right_c.mean()),
        mcnemar_p=mcnemar(lost, gained),
        recalls=recalls,
    )


def problems(result: Paired, margin_points: float = 0.5) -> list[str]:
    """What breaks the parity rule, one phrase each; empty when it holds."""
    found = []
    if result.flip_rate > MAX_FLIPS:
        found.append(f"{result.flip_rate:.2%} of the labels flip, {MAX_FLIPS:.0%} are allowed")
    if result.drop_points is None:
        return found
    if result.drop_points > margin_points:
        found.append(f"accuracy drops by {result.drop_points:.2f} points, {margin_points:g} are allowed")
    if result.drop_upper_points > UPPER_BOUND_POINTS:
        found.append(
            f"the drop may be as large as {result.drop_upper_points:.2f} points, {UPPER_BOUND_POINTS:g} is allowed"
        )
    for name, (before, after, images) in (result.recalls or {}).items():
        if images >= CLASS_GATE_IMAGES and 100 * (before - after) > CLASS_MARGIN_POINTS:
            loss = 100 * (before - after)
            found.append(f"recall of {name} drops by {loss:.1f} points, {CLASS_MARGIN_POINTS:g} are allowed")
    return found


def difference_interval(lost: int, gained: int, n: int, z: float = Z_TWO_SIDED) -> tuple[float, float]:
    """Interval of the paired difference (lost − gained) / n, good for few discordant pairs (Bonett and Price 2012)."""
    p_lost, p_gained = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    error = math.sqrt((p_lost + p_gained - (p_lost - p_gained) ** 2) / (n + 2))
    return p_lost - p_gained - z * error, p_lost - p_gained + z * error


def mcnemar(lost: int, gained: int) -> float:
    """Exact two-sided p-value: discordant pairs are as likely to be lost as gained."""
    discordant = lost + gained
    tail = sum(math.comb(discordant, k) for k in range(min(lost, gained) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def wilson(hits: int, n: int, z: float = Z_TWO_SIDED) -> tuple[float, float]:
    """Wilson 95 % interval of a fraction: of an accuracy or a flip rate."""
    if n == 0:
        return 0.0, 1.0
    p, squared = hits / n, z * z
    centre = (p + squared / (2 * n)) / (1 + squared / n)
    half = z * math.sqrt(p * (1 - p) / n + squared / (4 * n * n)) / (1 + squared / n)
    return max(0.0, centre - half), min(1.0, centre + half)
