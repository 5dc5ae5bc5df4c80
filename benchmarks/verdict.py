"""Verdicts: measured figures against a target's budgets. Pure: estimates in, metrics and one verdict out."""

from collections.abc import Collection
from dataclasses import dataclass

from benchmarks.stats import Estimate
from edgefer.errors import BROKEN, ENVIRONMENT, INCONCLUSIVE, PASS, UsageError
from edgefer.targets import Budget, Target

EXIT_CODES = {"pass": PASS, "fail": BROKEN, "invalid": ENVIRONMENT, "inconclusive": INCONCLUSIVE}
NOT_MEASURED = "not measured"
NOISE_BOUND = 0.5
"""Largest spread of the target's own block medians (interquartile range over median) at which times count. Generous, because
noise widens every interval by itself and the speed gates are ratios of neighbours in time; beyond it, blocks of the same thing
differ by half, and an interval over a few of them means little."""


@dataclass(frozen=True)
class Kind:
    """What a metric is."""

    unit: str
    timed: bool = False
    """It is worth nothing on a machine too noisy to time on."""
    by_value: bool = False
    """Judged by its value, not by its interval: the parity rule bounds the uncertainty in its own way (``edgefer.parity``)."""
    stand_in: str = ""
    """The metric whose own budget is judged in its place where it cannot be measured."""


KINDS = {
    "latency_ms": Kind("ms", timed=True),
    "latency_p90_ms": Kind("ms", timed=True),
    "latency_p95_ms": Kind("ms", timed=True),
    "latency_p99_ms": Kind("ms", timed=True),
    "fps": Kind("frames/s", timed=True),
    "speedup_vs_eager_fp32": Kind("×", timed=True, stand_in="speedup_vs_onnxruntime_fp32"),
    "speedup_vs_onnxruntime_fp32": Kind("×", timed=True),
    "speedup_vs_same_engine_fp32": Kind("×", timed=True),
    "pipeline_fps": Kind("frames/s", timed=True),
    "result_age_ms": Kind("ms", timed=True),
    "dropped_frames": Kind("fraction", timed=True),
    "sustained_slowdown": Kind("×", timed=True),
    "cold_start_ms": Kind("ms", timed=True),
    "peak_rss_mb": Kind("MB"),
    "artifact_mb": Kind("MB"),
    "installed_mb": Kind("MB"),
    "accuracy": Kind("fraction"),
    "accuracy_fp32": Kind("fraction"),
    "accuracy_drop_points": Kind("points", by_value=True, stand_in="flip_rate"),
    "flip_rate": Kind("fraction", by_value=True),
}
"""Every metric of the benchmark, in the order of the table."""


@dataclass(frozen=True)
class Metric:
    """One row: a figure, its budget and what came of it."""

    name: str
    value: float | None
    ci95: tuple[float, float] | None
    unit: str
    budget: Budget | None
    verdict: str | None
    """pass, fail, invalid, inconclusive or not measured; None where a measured figure has no budget."""
    note: str = ""

    def to_json(self) -> dict:
        bounds = {"min": self.budget.min, "max": self.budget.max} if self.budget else {}
        return {
            "value": self.value,
            "ci95": self.ci95 and list(self.ci95),
            "unit": self.unit,
            "budget": {side: bound for side, bound in bounds.items() if bound is not None} or None,
            "verdict": self.verdict,
            "note": self.note,
        }


def check_budgets(target: Target) -> None:
    """Refuse a budget for something that is never measured: it would hold for ever.

    Raises:
        UsageError: names it and the metrics that exist.
    """
    strange = sorted(target.budgets.keys() - KINDS.keys())
    if strange:
        listed = ", ".join(strange)
        raise UsageError(
            f"target '{target.name}' has a budget for {listed}, which is no metric; metrics: {', '.join(KINDS)}"
        )


def judge(estimate: Estimate, budget: Budget, by_value: bool = False) -> str:
    """pass or fail when the whole interval lies on one side of the budget (the bound itself is allowed), else inconclusive."""
    ends = (estimate.value,) if by_value or estimate.ci95 is None else estimate.ci95
    good = [end >= budget.min if budget.min is not None else end <= budget.max for end in ends]
    return "pass" if all(good) else "inconclusive" if any(good) else "fail"


def metrics(
    measured: dict[str, Estimate | None],
    budgets: dict[str, Budget],
    noisy: bool,
    notes: dict[str, str],
    doubtful: Collection[str] = (),
) -> list[Metric]:
    """Every measured or budgeted metric, judged.

    Args:
        measured: None for what could not be measured.
        budgets: of the target.
        noisy: no time counts.
        notes: what a figure is, or why there is none.
        doubtful: names of metrics that do not count, such as ratios over a noisy reference.
    """
    names = [name for name in KINDS if name in measured or name in budgets]
    return [
        _metric(name, measured.get(name), budgets.get(name), noisy or name in doubtful, notes.get(name, ""))
        for name in names
    ]


def _metric(name: str, estimate: Estimate | None, budget: Budget | None, noisy: bool, note: str) -> Metric:
    kind = KINDS[name]
    if estimate is None:
        return Metric(name, None, None, kind.unit, budget, NOT_MEASURED, note)
    verdict = None
    if budget:
        verdict = "invalid" if noisy and kind.timed else judge(estimate, budget, kind.by_value)
    return Metric(name, estimate.value, estimate.ci95, kind.unit, budget, verdict, note)


def overall(rows: list[Metric], problems: list[str], noisy: bool, timed: bool = True) -> str:
    """One verdict for the run: fail, then invalid, then inconclusive, else pass.

    A budgeted metric that could not be measured makes the run inconclusive, unless its stand-in was measured, or unless it is
    a time and the device is one that has none to tell (``timed`` is false).
    """
    verdicts = {row.verdict for row in rows}
    if "fail" in verdicts or problems:
        return "fail"
    if "invalid" in verdicts or noisy:
        return "invalid"
    return "inconclusive" if "inconclusive" in verdicts or unanswered(rows, timed) else "pass"


def worst(*verdicts: str | None) -> str:
    """The one that decides: fail, then invalid, then inconclusive, else pass. None is information only."""
    return next((each for each in ("fail", "invalid", "inconclusive") if each in verdicts), "pass")


def unanswered(rows: list[Metric], timed: bool = True) -> list[str]:
    """Budgeted metrics that were not measured and that nothing stands in for; no times where those are not asked for.

    A stand-in that has no budget of its own was measured and not judged: it stands in for nothing.
    """
    judged = {row.name for row in rows if row.value is not None and row.budget}
    open_ = [row.name for row in rows if row.budget and row.value is None and KINDS[row.name].stand_in not in judged]
    return [name for name in open_ if timed or not KINDS[name].timed]
