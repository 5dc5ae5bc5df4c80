"""Rows of a comparison: one metric, now and in the baseline, and how each metric is judged. Pure."""

from dataclasses import dataclass

from benchmarks import figures, verdict
from benchmarks.likeness import RUN, look
from benchmarks.stats import Estimate
from edgefer import parity
from edgefer.targets import Budget

MARGIN_POINTS = 0.5
"""Largest drop of accuracy between two runs, percentage points; ``edgefer.parity`` bounds its uncertainty."""
INTERLEAVED, REFERENCES = "latency_vs_baseline", "speedup_vs_references"


@dataclass(frozen=True)
class Gate:
    """How a metric is judged between two runs."""

    better: str
    """higher or lower."""
    margin: float = 0.0
    """Fraction by which it may get worse: the whole interval within passes, the whole interval beyond fails."""
    matters: float = 0.03
    """Smallest change over the nights, as a fraction, that is worth a person's look."""


SPEED = Gate("higher", 0.10)
GATES = {
    INTERLEAVED: Gate("lower", 0.10),
    REFERENCES: SPEED,
    **dict.fromkeys(figures.RATIOS, SPEED),
    "cold_start_ms": Gate("lower", 0.25),
    "peak_rss_mb": Gate("lower", 0.10),
    "artifact_mb": Gate("lower", 0.05),
    "accuracy": Gate("higher", matters=MARGIN_POINTS / 100),
    "flips_vs_baseline": Gate("lower"),
    "latency_ms": Gate("lower"),
    "pipeline_fps": Gate("higher"),
    "result_age_ms": Gate("lower"),
    "sustained_slowdown": Gate("lower"),
}


@dataclass(frozen=True)
class Row:
    """One metric, now and in the baseline."""

    metric: str
    unit: str
    now: float | None
    now_ci95: tuple[float, float] | None
    baseline: float | None
    baseline_ci95: tuple[float, float] | None
    ratio: float | None
    """now / baseline."""
    ratio_ci95: tuple[float, float] | None
    better: str
    verdict: str | None
    """pass, fail, invalid or inconclusive; None where it is shown for information."""
    note: str = ""


def judge(name: str, ratio: Estimate, record: dict) -> str:
    """A ratio against its metric's margin; a time taken on a machine too noisy for times is invalid."""
    gate = GATES[name]
    is_time = name in (INTERLEAVED, REFERENCES) or verdict.KINDS[name].timed
    if is_time and noisy(record):
        return "invalid"
    worse = ratio if gate.better == "lower" else ratio.map(lambda x: 1 / x)
    return verdict.judge(worse, Budget(max=1 + gate.margin))


def noisy(record: dict) -> bool:
    """Whether times of this record count for nothing."""
    run = look(record, RUN)
    noise = run.get("noise") or 0
    return record["verdict"] == "invalid" or bool(run.get("spoiling")) or (timed(record) and noise > run["noise_bound"])


def timed(record: dict) -> bool:
    """Whether its times are those of the target: none were taken under QEMU, and a browser here stands in for a device's."""
    return bool(look(record, ("samples", "interleaved"))) and not look(record, (*RUN, "emulated"))


def row(
    name: str,
    unit: str,
    now: Estimate | None,
    before: Estimate | None,
    ratio: Estimate | None,
    judged: str | None,
    note: str = "",
) -> Row:
    """A row from estimates; ``ratio`` is now / before."""
    pairs = [(each.value, each.ci95) if each else (None, None) for each in (now, before, ratio)]
    return Row(name, unit, *pairs[0], *pairs[1], *pairs[2], GATES[name].better, judged, note)


def figure(record: dict, name: str) -> Estimate | None:
    """A metric's estimate as the record gives it."""
    told = record["metrics"].get(name)
    return None if not told or told["value"] is None else Estimate(told["value"], told["ci95"] and tuple(told["ci95"]))


def figures_of(name: str, record: dict, baseline: dict) -> tuple[Estimate | None, Estimate | None]:
    """A metric's estimates now and in the baseline."""
    return figure(record, name), figure(baseline, name)


def share(value: float, n: int) -> Estimate:
    """A fraction of n crops with its Wilson interval."""
    return Estimate(value, parity.wilson(round(value * n), n))
