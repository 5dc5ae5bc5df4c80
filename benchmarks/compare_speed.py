"""Rows of a comparison about time, memory and size. Pure: two records in.

Speed is judged by ratios only. Where the run timed the baseline's own artifact in turns with today's, that ratio decides. But
today's engine and today's code of ours then ran both artifacts, so with another engine version, or other code of ours, the
speed-ups of the two nights over the references decide as well. They decide alone where the baseline's artifact was not timed. A
reference counts where it was the same in both runs; where our code has changed, only one that this code does not run through in
the target's way: eager PyTorch, else another engine. Milliseconds of two nights stand in the table for information and judge
nothing.
"""

import numpy as np

from benchmarks import contenders, figures, likeness, rows, stats, verdict
from benchmarks.likeness import RUN, look
from benchmarks.rows import INTERLEAVED, REFERENCES, Row
from benchmarks.stats import Estimate

UNSEEN = 0.01
"""How much the ratio of a target to its references moves from one night to the next for no reason of its own, as a standard
deviation. No repeat inside a run can show it, so every interval between two nights includes it."""
ABSOLUTE = ("latency_ms", "pipeline_fps", "result_age_ms", "sustained_slowdown")


def speeds(record: dict, baseline: dict) -> list[Row]:
    """Rows of speed; which of the first two decides is said at the head of this module. None where neither run took times."""
    timed = [rows.timed(each) for each in (record, baseline)]
    if not all(timed):
        why = "only one of the two runs took times"
        return [rows.row(REFERENCES, "×", None, None, None, "inconclusive", why)] if any(timed) else []
    beside = _beside(record, baseline)
    engines = [look(each, (*RUN, "contenders", contenders.TARGET, "engine")) for each in (record, baseline)]
    decides = beside is None or engines[0] != engines[1] or not likeness.same_runtime(record, baseline)
    found = [] if beside is None else [beside]
    found.append(_over_references(record, baseline, decides))
    found += [_over(name, role, record, baseline) for name, role in figures.RATIOS.items() if rows.figure(record, name)]
    return found + [_absolute(name, record, baseline) for name in ABSOLUTE if rows.figure(record, name)]


def _beside(record: dict, baseline: dict) -> Row | None:
    """Today's artifact over the baseline's, timed in turns; None where the run did not time that artifact."""
    timed = likeness.yardstick(record, contenders.BASELINE)
    files = look(baseline, (*RUN, "artifact", "files")) or {}
    if timed is None or timed[1] != sorted(files.values()):
        return None
    now, before = _blocks(record, contenders.TARGET), _blocks(record, contenders.BASELINE)
    ratio = stats.ratio(now, before)
    note = "the baseline's own artifact, timed in turns with today's"
    judged = rows.judge(INTERLEAVED, ratio, record)
    return rows.row(INTERLEAVED, "ms", stats.median(now / 1e6), stats.median(before / 1e6), ratio, judged, note)


def _over_references(record: dict, baseline: dict, decides: bool) -> Row:
    """The speed-up over the references that tell the target's speed from the machine's, geometric mean."""
    roles, said = _yardsticks(record, baseline)
    if not roles:
        note = f"{said}, so nothing tells the target's speed from the machine's"
        return rows.row(REFERENCES, "×", None, None, None, "inconclusive" if decides else None, note)
    now, before = (_speedups(each, roles) for each in (record, baseline))
    ratio = stats.quotient(now, before, UNSEEN)
    note = said if decides else f"{said}; for information, {INTERLEAVED} decides"
    judged = rows.judge(REFERENCES, ratio, record) if decides else None
    return rows.row(REFERENCES, "×", stats.geometric(now), stats.geometric(before), ratio, judged, note)


def _yardsticks(record: dict, baseline: dict) -> tuple[list[str], str]:
    """References that two nights can be compared by, and which or why there are none.

    A slower ``Engine.infer`` of ours slows the references of the same engine down like the target, and their ratio stays as it
    was; eager PyTorch does not go through our engines at all.
    """
    same = [role for role in figures.RATIOS.values() if _same_reference(role, record, baseline)]
    if likeness.same_runtime(record, baseline):
        return same, f"over {', '.join(same)}" if same else "no reference is the same in both runs"
    others = [contenders.ORT] if look(record, (*RUN, "engine")) != "onnxruntime" else []
    found = next(([role] for role in (contenders.EAGER, *others) if role in same), [])
    if found:
        return found, f"over {found[0]} alone: our own code has changed, or may have, and runs the other references too"
    return [], "our own code has changed, or may have, and no reference that does without it is the same in both runs"


def _over(name: str, role: str, record: dict, baseline: dict) -> Row:
    """One reference's speed-up, for information."""
    both = rows.figures_of(name, record, baseline)
    if not _same_reference(role, record, baseline):
        return rows.row(name, "×", *both, None, None, "not the same reference in both runs")
    ratio = stats.quotient(_speedups(record, [role]), _speedups(baseline, [role]), UNSEEN)
    return rows.row(name, "×", *both, ratio, None, "for information")


def _same_reference(role: str, record: dict, baseline: dict) -> bool:
    now = likeness.yardstick(record, role)
    return now is not None and now == likeness.yardstick(baseline, role)


def _speedups(record: dict, roles: list[str]) -> np.ndarray:
    """Logarithm of each round's speed-up over the geometric mean of references (rounds,).

    Where the baseline's artifact, timed beside the target's, has the same files, it is the target once more: then two processes
    a round tell the target's speed instead of one.
    """
    references, targets = (_mean_logs(record, each) for each in (roles, _targets(record)))
    return np.median(references - targets, axis=1)


def _targets(record: dict) -> list[str]:
    beside, files = likeness.yardstick(record, contenders.BASELINE), look(record, (*RUN, "artifact", "files")) or {}
    same = beside is not None and beside[1] == sorted(files.values())
    return [contenders.TARGET, contenders.BASELINE] if same else [contenders.TARGET]


def _mean_logs(record: dict, roles: list[str]) -> np.ndarray:
    return np.mean([stats.block_logs(_blocks(record, role)) for role in roles], axis=0)


def costs(record: dict, baseline: dict) -> list[Row]:
    """Rows of cold start, memory and size, of those that were measured."""
    judges = {"cold_start_ms": _cold_start, "peak_rss_mb": _memory, "artifact_mb": _size}
    return [judge(record, baseline) for name, judge in judges.items() if all(rows.figures_of(name, record, baseline))]


def _cold_start(record: dict, baseline: dict) -> Row:
    name, beside = "cold_start_ms", record["samples"].get("cold_start_baseline")
    if not beside or _beside(record, baseline) is None:
        return _absolute(name, record, baseline)
    now, before = (np.array([start["total"] for start in each]) for each in (record["samples"]["cold_start"], beside))
    ratio = stats.geometric(np.log(now / before))
    note = "the baseline's own artifact, started in turns with today's"
    if not likeness.same_runtime(record, baseline):
        apart = _absolute(name, record, baseline).ratio
        note += f"; blind to our own code, which starts both and may have changed; two nights, for information: ×{apart:.2f}"
    return rows.row(name, "ms", stats.repeats(now), stats.repeats(before), ratio, rows.judge(name, ratio, record), note)


def _memory(record: dict, baseline: dict) -> Row:
    name = "peak_rss_mb"
    now, before = (np.log(_peaks(each)) for each in (record, baseline))
    ratio = stats.quotient(now, before)
    return rows.row(name, "MB", *rows.figures_of(name, record, baseline), ratio, rows.judge(name, ratio, record))


def _size(record: dict, baseline: dict) -> Row:
    name = "artifact_mb"
    now, before = rows.figures_of(name, record, baseline)
    ratio = Estimate(now.value / before.value)
    return rows.row(name, "MB", now, before, ratio, rows.judge(name, ratio, record))


def _absolute(name: str, record: dict, baseline: dict) -> Row:
    now, before = rows.figures_of(name, record, baseline)
    ratio = Estimate(now.value / before.value) if now and before and before.value else None
    return rows.row(name, verdict.KINDS[name].unit, now, before, ratio, None, "two nights, absolute: for information")


def _blocks(record: dict, role: str) -> np.ndarray:
    return np.array(record["samples"]["interleaved"]["blocks"][role])


def _peaks(record: dict) -> np.ndarray:
    return np.array([run["steady"]["vm_hwm"] for run in record["samples"]["memory"]], float)
