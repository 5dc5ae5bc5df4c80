"""Rows of a comparison about accuracy: paired where both runs saw the same crops. Pure: two records in."""

import math

import numpy as np

from benchmarks import rows
from benchmarks.likeness import RUN, look
from benchmarks.rows import MARGIN_POINTS, Row
from benchmarks.stats import Estimate
from edgefer import parity

UNPAIRED = "the two runs cropped the faces differently: accuracies are compared unpaired, which shows only large losses"


def accuracy(record: dict, baseline: dict) -> tuple[list[Row], parity.Paired | None, list[str]]:
    """Rows, the paired result and remarks."""
    now, before = (each["samples"].get("predictions") for each in (record, baseline))
    faces = [look(each, (*RUN, "crops")) for each in (record, baseline)]
    if not now or not before:
        return [_unknown("one of the two records keeps no predictions")], None, []
    if faces[0] != faces[1]:
        return [_unknown(f"other faces: {faces[0]} now, {faces[1]} in the baseline")], None, []
    if now["crops_sha256"] != before["crops_sha256"]:
        return [_unpaired(now, before)], None, [UNPAIRED]
    labels = None if now["labels"] is None else np.array(now["labels"])
    paired = parity.paired(np.array(before["target"]), np.array(now["target"]), labels, now.get("classes", ()))
    if labels is None:
        return [_flips(paired)], paired, ["the crops have no labels: agreement with the baseline, no accuracy"]
    return [_paired_row(paired), _flips(paired, judged=False)], paired, _recalls(paired)


def _paired_row(paired: parity.Paired) -> Row:
    drop, upper, (low, high) = paired.drop_points, paired.drop_upper_points, paired.drop_ci95
    note = f"same {paired.n} crops: drop of {drop:.2f} points, 95 % interval {low:.2f} … {high:.2f}"
    now, before = (rows.share(value, paired.n) for value in (paired.accuracy_candidate, paired.accuracy_reference))
    ratio = _over(now.value, before.value)
    return rows.row("accuracy", "fraction", now, before, ratio, judge_drop(drop, upper, low), note)


def judge_drop(drop: float, upper: float, low: float) -> str:
    """The parity rule for two runs, in points: pass where the drop is within the margin and its one-sided bound within a
    point; fail where the drop is beyond the margin and its two-sided interval (from ``low``) above 0; else inconclusive."""
    if drop <= MARGIN_POINTS:
        return "pass" if upper <= parity.UPPER_BOUND_POINTS else "inconclusive"
    return "fail" if low > 0 else "inconclusive"


def _flips(paired: parity.Paired, judged: bool = True) -> Row:
    """Labels that differ from the baseline's. Without true labels it is all there is; many flips prove no loss."""
    verdict_ = ("pass" if paired.flip_rate <= parity.MAX_FLIPS else "inconclusive") if judged else None
    now = rows.share(paired.flip_rate, paired.n)
    return rows.row("flips_vs_baseline", "fraction", now, None, None, verdict_, "label differs from the baseline's")


def _recalls(paired: parity.Paired) -> list[str]:
    """Classes that lost more recall than the parity rule allows: told, not judged, since retraining moves them by chance."""
    return [each for each in parity.problems(paired, MARGIN_POINTS) if each.startswith("recall of")]


def _unpaired(now: dict, before: dict) -> Row:
    """Accuracies on the same faces in different crops: two independent fractions."""
    if now["labels"] is None or before["labels"] is None:
        return _unknown("different crops, not both with labels")
    (p, n), (q, m) = _hits(now), _hits(before)
    drop, error = 100 * (q - p), 100 * math.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    low = drop - parity.Z_TWO_SIDED * error
    note = f"different crops, unpaired: drop of {drop:.2f} points, 95 % interval {low:.2f} … {2 * drop - low:.2f}"
    judged = judge_drop(drop, drop + parity.Z_ONE_SIDED * error, low)
    return rows.row("accuracy", "fraction", rows.share(p, n), rows.share(q, m), _over(p, q), judged, note)


def _hits(kept: dict) -> tuple[float, int]:
    """Accuracy and number of crops."""
    return float((np.array(kept["labels"]) == np.array(kept["target"])).mean()), len(kept["labels"])


def _over(now: float, before: float) -> Estimate | None:
    return Estimate(now / before) if before else None


def _unknown(why: str) -> Row:
    """The baseline's accuracy cannot be set beside today's: nothing is known, which is no pass."""
    return rows.row("accuracy", "fraction", None, None, None, "inconclusive", f"not compared: {why}")
