"""Verdicts by table, and the harness as a whole on simulated samples: A against A holds, an injected slowdown is caught."""

import pytest
from test_bench_stats import simulated

from benchmarks import figures, verdict
from benchmarks.stats import Estimate
from edgefer.errors import UsageError
from edgefer.targets import Budget, Target

AT_LEAST_10, AT_MOST_10 = Budget(min=10), Budget(max=10)


@pytest.mark.parametrize(
    ("value", "interval", "budget", "expected"),
    [
        (12, (11, 13), AT_LEAST_10, "pass"),
        (12, (10, 13), AT_LEAST_10, "pass"),
        (12, (9, 13), AT_LEAST_10, "inconclusive"),
        (9, (8, 11), AT_LEAST_10, "inconclusive"),
        (8, (7, 9), AT_LEAST_10, "fail"),
        (8, (7, 9), AT_MOST_10, "pass"),
        (8, (7, 11), AT_MOST_10, "inconclusive"),
        (12, (11, 13), AT_MOST_10, "fail"),
        (10, None, AT_MOST_10, "pass"),
        (10.01, None, AT_MOST_10, "fail"),
        (9.99, None, AT_LEAST_10, "fail"),
    ],
)
def test_a_budget_is_judged_by_the_whole_interval(value, interval, budget, expected):
    assert verdict.judge(Estimate(value, interval), budget) == expected


def test_parity_metrics_are_judged_by_value_because_their_rule_bounds_the_interval():
    wide, budget = Estimate(0.2, (-0.4, 0.8)), Budget(max=0.5)
    (row,) = verdict.metrics({"accuracy_drop_points": wide}, {"accuracy_drop_points": budget}, False, {})
    assert row.verdict == "pass"


def judged(measured: dict, budgets: dict, noisy: bool = False, problems=()) -> str:
    return verdict.overall(verdict.metrics(measured, budgets, noisy, {}), list(problems), noisy)


GOOD, BAD, UNSURE = Estimate(50, (45, 55)), Estimate(5, (4, 6)), Estimate(11, (9, 13))
FPS, SIZE = {"fps": Budget(min=10)}, {"artifact_mb": Budget(max=2)}


@pytest.mark.parametrize(
    ("measured", "budgets", "noisy", "problems", "expected"),
    [
        ({"fps": GOOD}, FPS, False, [], "pass"),
        ({"fps": GOOD}, {}, False, [], "pass"),
        ({"fps": BAD}, FPS, False, [], "fail"),
        ({"fps": UNSURE}, FPS, False, [], "inconclusive"),
        ({"fps": GOOD}, FPS, False, ["too many flips"], "fail"),
        ({"fps": GOOD}, FPS, True, [], "invalid"),
        ({"fps": BAD}, FPS, True, [], "invalid"),  # a time taken on a machine too noisy for times proves nothing
        ({"fps": GOOD, "artifact_mb": Estimate(3)}, FPS | SIZE, True, [], "fail"),  # a size does not care
        ({"fps": UNSURE, "artifact_mb": Estimate(3)}, FPS | SIZE, False, [], "fail"),
        ({"fps": None}, FPS, False, [], "inconclusive"),
        ({}, FPS, False, [], "inconclusive"),
    ],
)
def test_the_worst_verdict_wins(measured, budgets, noisy, problems, expected):
    assert judged(measured, budgets, noisy, problems) == expected


def test_flips_stand_in_for_accuracy_without_labels():
    budgets = {"accuracy_drop_points": Budget(max=0.5), "flip_rate": Budget(max=0.03)}
    rows = verdict.metrics({"accuracy_drop_points": None, "flip_rate": Estimate(0.01)}, budgets, False, {})
    assert [row.verdict for row in rows] == ["not measured", "pass"]
    assert verdict.overall(rows, [], False) == "pass"
    assert judged({"accuracy_drop_points": None, "flip_rate": None}, budgets) == "inconclusive"


def test_metrics_keep_null_and_say_why():
    (row,) = verdict.metrics({"speedup_vs_eager_fp32": None}, {}, False, {"speedup_vs_eager_fp32": "torch is not here"})
    assert row.to_json() == {
        "value": None, "ci95": None, "unit": "×", "budget": None, "verdict": "not measured", "note": "torch is not here",
    }  # fmt: skip


def test_a_budget_for_no_metric_is_refused():
    target = Target("x", "", {}, "litert", "int8", 1, False, 0.5, {"fsp": Budget(min=1)})
    with pytest.raises(UsageError, match=r"fsp.*metrics: latency_ms"):
        verdict.check_budgets(target)


def test_each_verdict_has_its_exit_code():
    assert verdict.EXIT_CODES == {"pass": 0, "fail": 1, "invalid": 3, "inconclusive": 4}


def run_simulated(seed: int, slowdown: float) -> str:
    """Verdict of a run whose candidate is the reference itself, slowed down; at most 8 % slower is allowed."""
    reference, candidate = simulated(2.0, 2 * seed), simulated(2.0 * slowdown, 2 * seed + 1)
    measured = figures.speed({"target": candidate, "onnxruntime_fp32": reference})
    return judged(measured, {"speedup_vs_onnxruntime_fp32": Budget(min=1 / 1.08)})


def test_a_against_a_never_fails_and_mostly_passes():
    verdicts = [run_simulated(seed, slowdown=1.0) for seed in range(20)]
    assert "fail" not in verdicts
    assert verdicts.count("pass") >= 15


def test_an_injected_slowdown_of_a_fifth_is_caught():
    verdicts = [run_simulated(seed, slowdown=1.2) for seed in range(20)]
    assert "pass" not in verdicts
    assert verdicts.count("fail") >= 15


def test_speed_figures_agree_with_each_other():
    found = figures.speed({"target": simulated(2.0, 1), "eager_fp32": simulated(20.0, 2, n=5)})
    assert found["fps"].value == 1000 / found["latency_ms"].value
    assert found["speedup_vs_eager_fp32"].value == pytest.approx(10, rel=0.1)
    assert found["speedup_vs_onnxruntime_fp32"] is None
    assert found["latency_p99_ms"].value > found["latency_p90_ms"].value > found["latency_ms"].value


def test_memory_takes_the_worst_run_and_cold_start_the_median():
    runs = [{"steady": {"vm_hwm": n * 10**6}} for n in (50, 70, 60)]
    assert figures.memory(runs)["peak_rss_mb"].value == 70
    assert figures.cold([{"total": t} for t in (90.0, 300.0, 100.0)])["cold_start_ms"].value == 100
