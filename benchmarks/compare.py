"""A run against its accepted baseline: rows, change points, one verdict. Pure: records in.

How each row is judged is said in ``rows``, ``compare_speed`` and ``compare_accuracy``; which records may be compared, in
``likeness``; how a change over the nights is found, in ``changepoints``.
"""

import itertools
from dataclasses import asdict, dataclass, field

import numpy as np

from benchmarks import changepoints, figures, likeness, verdict
from benchmarks.compare_accuracy import accuracy
from benchmarks.compare_speed import costs, speeds
from benchmarks.likeness import RUN, look
from benchmarks.rows import GATES, Row, noisy

WINDOW = 60
"""Change points are looked for in so many of the latest records."""
WATCHED = (*figures.RATIOS, "peak_rss_mb", "artifact_mb", "accuracy")
"""Metrics whose history is searched for change points; absolute times are not, since a machine has its moods."""


@dataclass(frozen=True)
class ChangePoint:
    """A metric's level moved, from the record of this time and commit on."""

    metric: str
    time: str
    commit: str | None
    before: float
    after: float
    factor: float
    p: float
    worse: bool


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found."""

    verdict: str
    baseline: dict | None
    """{time, commit, reason}."""
    rows: list[Row] = field(default_factory=list)
    changed: dict = field(default_factory=dict)
    change_points: list[ChangePoint] = field(default_factory=list)
    accuracy: dict | None = None
    """``edgefer.parity.Paired`` as JSON; None where the two records have no crops in common."""
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict:
        return _plain(asdict(self))


def compare(record: dict, baseline: dict | None, history: list[dict], reason: str = "") -> Comparison:
    """Judge a record by its baseline, and say what moved over the nights before it.

    Args:
        record: of this run.
        baseline: the accepted record; None where there is none yet.
        history: stored records, oldest first; those of other machines are left out, and said so.
        reason: why the baseline was accepted.

    Raises:
        EnvironmentInvalid: record and baseline are of unlike machines or kinds of run; lists the fields that differ.
    """
    nights, remarks = _nights(record, history)
    points = [point for name in WATCHED for point in change_points(name, nights)]
    if baseline is None:
        told = "there is no baseline yet, so nothing was compared; accept this run with --accept REASON"
        return Comparison("pass", None, change_points=points, remarks=[told, *remarks])
    likeness.check(record, baseline)
    faces, paired, said = accuracy(record, baseline)
    rows = [*speeds(record, baseline), *costs(record, baseline), *faces]
    creeping = _creeps(points, baseline)
    whole = ["invalid" if noisy(record) else None, "inconclusive" if creeping else None]
    return Comparison(
        verdict=verdict.worst(*(row.verdict for row in rows), *whole),
        baseline={"time": _time(baseline), "commit": _commit(baseline), "reason": reason},
        rows=rows,
        changed=likeness.changed(record, baseline),
        change_points=points,
        accuracy=paired and paired.to_json(),
        remarks=[*remarks, *said, *creeping],
    )


def change_points(name: str, records: list[dict]) -> list[ChangePoint]:
    """Where a metric's level moved in records of one machine, oldest first; the last one says what counts as the same."""
    series = [(value, each) for each in records if (value := _watched(name, each, records[-1])) is not None]
    values = np.array([value for value, _ in series])
    found = changepoints.find(values)
    ends = [0, *(index for index, _ in found), len(values)]
    levels = [np.median(values[start:end]) for start, end in itertools.pairwise(ends)] if found else []
    return [_change_point(name, *levels[k : k + 2], series[index][1], p) for k, (index, p) in enumerate(found)]


def _change_point(name: str, before: float, after: float, first: dict, p: float) -> ChangePoint:
    worse = bool(after < before if GATES[name].better == "higher" else after > before)
    return ChangePoint(name, _time(first), _commit(first), float(before), float(after), float(after / before), p, worse)


def _watched(name: str, record: dict, now: dict) -> float | None:
    """A record's figure, where it means the same as in the record of now: same reference, same crops."""
    if name in figures.RATIOS:
        role = figures.RATIOS[name]
        same = likeness.yardstick(record, role) == likeness.yardstick(now, role)
    elif name == "accuracy":
        same = _crops(record) == _crops(now)
    else:
        same = True
    value = look(record, ("metrics", name, "value"))
    return value if same and value else None


def _nights(record: dict, history: list[dict]) -> tuple[list[dict], list[str]]:
    """The records that can be looked at in one line with this one, which comes last, and what was left out."""
    earlier = [each for each in history if (_time(each), _commit(each)) != (_time(record), _commit(record))]
    like = [each for each in earlier if likeness.alike(each, record)]
    remarks = []
    if len(like) < len(earlier):
        remarks.append(f"{len(earlier) - len(like)} stored records are of other machines or kinds of run; left out")
    valid = [each for each in like if each["verdict"] != "invalid" and not look(each, (*RUN, "quick"))]
    return [*valid[-WINDOW:], record], remarks


def _creeps(points: list[ChangePoint], baseline: dict) -> list[str]:
    """One sentence for each metric that has moved for the worse since the baseline, all its steps together, and by enough."""
    since = [point for point in points if point.time > _time(baseline)]
    series = {name: [point for point in since if point.metric == name] for name in WATCHED}
    return [_creep(name, steps) for name, steps in series.items() if steps and _lost(name, steps) > GATES[name].matters]


def _lost(name: str, steps: list[ChangePoint]) -> float:
    """By how much a metric is worse after its steps than before them, as a fraction; of accuracy, the difference itself."""
    first, last = steps[0].before, steps[-1].after
    change = last - first if name == "accuracy" else last / first - 1
    return -change if GATES[name].better == "higher" else change


def _creep(name: str, steps: list[ChangePoint]) -> str:
    commits = ", ".join((step.commit or "unknown")[:7] for step in steps)
    return (
        f"{name} is {steps[-1].after / steps[0].before:.3f} of what it was, for the worse, moved at {commits}; "
        "mend it, or accept it with --accept REASON"
    )


def _crops(record: dict) -> str | None:
    return look(record, ("samples", "predictions", "crops_sha256"))


def _time(record: dict) -> str:
    return look(record, ("environment", "time")) or ""


def _commit(record: dict) -> str | None:
    return look(record, ("environment", "git", "commit"))


def _plain(value):
    """Tuples as lists, so that what is written and what is read are equal."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
