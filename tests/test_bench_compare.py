"""Comparing records: which may be, how each row is judged, what moved over the nights. Records are made by the simulation."""

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import changepoints, contenders, likeness
from benchmarks.compare import compare
from benchmarks.compare_accuracy import judge_drop
from benchmarks.session import FULL
from benchmarks.simulate import Noise, alone, record
from edgefer.errors import EnvironmentInvalid
from edgefer.files import read_json

GOLDEN = Path(__file__).parent / "data" / "bench-golden"
PLAN = replace(FULL.plan, rounds=4, blocks=4, warm_s=0.01)
CALM = Noise(jitter=0.01, restart=0.005, drift=0.02, burst=1.2, taste=0.002)


def made(night: int = 0, **truth) -> dict:
    return record(1000 * night, noise=CALM, plan=PLAN, night=night, n_faces=2000, **truth)


@pytest.fixture(scope="module")
def _before() -> dict:
    return made()


@pytest.fixture(scope="module")
def _now() -> dict:
    return made(night=1)


@pytest.fixture
def before(_before) -> dict:
    """The baseline's record, to change at will."""
    return copy.deepcopy(_before)


@pytest.fixture
def now(_now) -> dict:
    """A record of the same thing a night later, to change at will."""
    return copy.deepcopy(_now)


def rows(now: dict, before: dict, history=()) -> dict:
    return {row.metric: row for row in compare(now, before, list(history)).rows}


def test_without_a_baseline_nothing_is_compared_and_it_says_how_to_accept_one(now):
    found = compare(now, None, [])
    assert (found.verdict, found.baseline, found.rows) == ("pass", None, [])
    assert "--accept" in found.remarks[0]


def test_the_same_passes_and_has_the_form_other_programs_read(now, before):
    found = compare(now, before, [before], "first").to_json()
    assert found["verdict"] == "pass", found["rows"]
    assert found.keys() == {"verdict", "baseline", "rows", "changed", "change_points", "accuracy", "remarks"}
    assert found["baseline"] == {"time": "2026-01-01T02:00:00Z", "commit": "0" * 40, "reason": "first"}
    assert all(
        row.keys()
        == {
            "metric", "unit", "now", "now_ci95", "baseline", "baseline_ci95", "ratio", "ratio_ci95", "better", "verdict",
            "note",
        }
        for row in found["rows"]
    )  # fmt: skip
    assert json.loads(json.dumps(found)) == found


UNLIKE = {
    "CPU model": ("environment", "cpu", "model"),
    "CPU flags": ("environment", "cpu", "flags"),
    "cores": ("environment", "cpu", "cores"),
    "affinity": ("environment", "cpu", "affinity"),
    "machine": ("environment", "cpu", "machine"),
    "governor": ("environment", "cpu", "governor"),
    "target": ("target",),
    "engine": ("environment", "run", "engine"),
    "precision": ("environment", "run", "precision"),
    "threads": ("environment", "run", "threads"),
    "input size": ("environment", "run", "input_size"),
}


@pytest.mark.parametrize(("name", "path"), UNLIKE.items(), ids=str)
def test_unlike_records_are_refused_with_the_field_and_both_values(now, before, name, path):
    *parents, last = path
    place = likeness.look(now, tuple(parents))
    was, place[last] = place[last], "another"
    with pytest.raises(EnvironmentInvalid, match=name) as caught:
        compare(now, before, [])
    assert "another" in str(caught.value) and str(was) in str(caught.value)


def test_every_field_that_differs_is_listed(now, before):
    now["environment"]["cpu"] |= {"model": "new", "cores": 64}
    with pytest.raises(EnvironmentInvalid, match=r"CPU model is new now and simulated in the baseline; cores is 64"):
        compare(now, before, [])


def test_versions_and_commits_may_differ_and_are_listed(now, before):
    now["environment"]["packages"] = {"numpy": "2.0", "torch": "9"}
    changed = compare(now, before, []).changed
    assert changed["packages"] == {"numpy": ["1.0", "2.0"], "torch": [None, "9"]}
    assert changed["commit"] == ["0" * 40, f"{1:040x}"]
    assert "artifact" not in changed


def test_stored_records_of_other_machines_are_left_out_and_said(now, before):
    other = copy.deepcopy(before)
    other["environment"]["cpu"]["model"] = "another"
    assert any("1 stored records are of other machines" in remark for remark in compare(now, before, [other]).remarks)


def test_the_interleaved_baseline_decides_and_the_references_inform(now, before):
    found = rows(now, before)
    assert found["latency_vs_baseline"].verdict == "pass"
    assert found["speedup_vs_references"].verdict is None
    assert found["latency_ms"].verdict is None


def test_with_another_engine_version_the_references_decide_as_well(now, before):
    now["environment"]["run"]["contenders"]["target"] = {"engine": "litert 2"}
    found = rows(now, before)
    assert found["latency_vs_baseline"].verdict == found["speedup_vs_references"].verdict == "pass"


def slower(record: dict, factor: float, *roles: str) -> None:
    blocks = record["samples"]["interleaved"]["blocks"]
    for role in roles:
        blocks[role] = (factor * np.array(blocks[role])).tolist()


@pytest.mark.parametrize("old", ["another", None], ids=["another hash", "no hash in the old record"])
def test_slower_code_of_ours_fails_although_it_times_the_baselines_files_too(now, before, old):
    before["environment"]["run"]["runtime"] = old
    slower(now, 1.3, "target", "baseline", "same_engine_fp32", "onnxruntime_fp32")
    found = rows(now, before)
    assert found["latency_vs_baseline"].verdict == "pass"
    assert found["speedup_vs_references"].verdict == "fail"
    assert "over eager_fp32 alone" in found["speedup_vs_references"].note
    assert compare(now, before, []).verdict == "fail"


def test_with_other_code_of_ours_and_no_eager_another_engine_tells(now, before):
    now["environment"]["run"]["runtime"] = "another"
    for each in (now, before):
        del each["environment"]["run"]["contenders"]["eager_fp32"]
    row = rows(now, before)["speedup_vs_references"]
    assert row.verdict == "pass" and "over onnxruntime_fp32 alone" in row.note
    for each in (now, before):
        each["environment"]["run"]["engine"] = "onnxruntime"
    row = rows(now, before)["speedup_vs_references"]
    assert row.verdict == "inconclusive" and "our own code has changed" in row.note


def test_with_other_code_of_ours_the_cold_start_says_what_it_cannot_see(now, before):
    assert "blind" not in rows(now, before)["cold_start_ms"].note
    now["environment"]["run"]["runtime"] = "another"
    assert "blind to our own code" in rows(now, before)["cold_start_ms"].note
    assert compare(now, before, []).changed["code that is timed"] == ["0" * 64, "another"]


def test_a_record_over_the_network_is_not_compared_with_one_from_here(now, before):
    assert not likeness.differences(now | {"environment": now["environment"] | {"reach": "local"}}, before)
    now["environment"]["reach"] = "ssh"
    with pytest.raises(EnvironmentInvalid, match="reach is ssh now and local in the baseline"):
        compare(now, before, [])


def test_another_artifact_timed_as_baseline_is_not_taken_for_this_baselines(now, before):
    before["environment"]["run"]["artifact"]["files"] = {"model": "1" * 64}
    found = rows(now, before)
    assert "latency_vs_baseline" not in found
    assert found["speedup_vs_references"].verdict == "pass"
    assert found["cold_start_ms"].verdict is None


def test_only_references_that_are_the_same_in_both_runs_count(now, before):
    now["environment"]["run"]["contenders"]["eager_fp32"] = {"engine": "torch 9"}
    now["environment"]["run"]["contender_files"]["same_engine_fp32"] = {"fp32": "1" * 64}
    found = rows(alone(now), before)
    assert found["speedup_vs_references"].note == "over onnxruntime_fp32"
    assert found["speedup_vs_eager_fp32"].ratio is None


def test_with_no_reference_in_common_speed_is_unknown(now, before):
    for role in ("eager_fp32", "same_engine_fp32", "onnxruntime_fp32"):
        now["environment"]["run"]["contenders"][role] = {"engine": "new"}
    found = compare(alone(now), before, [])
    assert found.verdict == "inconclusive"


def test_a_run_too_noisy_for_times_is_invalid_but_a_size_still_fails(now, before):
    now["environment"]["run"]["noise"] = 0.9
    assert compare(now, before, []).verdict == "invalid"
    now["metrics"]["artifact_mb"]["value"] *= 2
    found = rows(now, before)
    assert (found["latency_vs_baseline"].verdict, found["artifact_mb"].verdict) == ("invalid", "fail")
    assert compare(now, before, []).verdict == "fail"


def test_where_no_times_were_taken_only_the_rest_is_compared(now, before):
    """As under emulation, where times mean nothing."""
    for each in (now, before):
        del each["samples"]["interleaved"]
        each["metrics"] = {name: each["metrics"][name] for name in ("peak_rss_mb", "artifact_mb", "accuracy")}
    found = compare(now, before, [])
    assert [row.metric for row in found.rows] == ["peak_rss_mb", "artifact_mb", "accuracy", "flips_vs_baseline"]
    assert found.verdict == "pass"


def test_a_browser_that_stands_in_for_a_devices_is_not_timed(now, before):
    for each in (now, before):
        each["environment"]["run"] |= {"emulated": True, "noise": 0.7}
    blocks = now["samples"]["interleaved"]["blocks"]
    blocks["target"] = (2 * np.array(blocks["target"])).tolist()
    found = compare(now, before, [])
    assert not {"latency_vs_baseline", "speedup_vs_references"} & {row.metric for row in found.rows}
    assert found.verdict != "invalid"


def test_times_in_one_run_only_are_no_pass(now, before):
    del before["samples"]["interleaved"]
    assert compare(now, before, []).verdict == "inconclusive"


@pytest.mark.parametrize(("factor", "expected"), [(1.0, "pass"), (1.05, "pass"), (1.3, "fail")])
def test_memory_has_a_margin_of_a_tenth(now, before, factor, expected):
    for run in now["samples"]["memory"]:
        run["steady"]["vm_hwm"] *= factor
    assert rows(now, before)["peak_rss_mb"].verdict == expected


def test_a_slower_cold_start_fails_beside_the_baselines(now, before):
    for start in now["samples"]["cold_start"]:
        start["total"] *= 1.5
    found = rows(now, before)["cold_start_ms"]
    assert (found.verdict, found.ratio) == ("fail", pytest.approx(1.5, rel=0.1))


@pytest.mark.parametrize(
    ("drop", "upper", "low", "expected"),
    [
        (0.0, 0.4, -0.4, "pass"),
        (0.5, 1.0, 0.0, "pass"),
        (0.4, 1.1, -0.4, "inconclusive"),
        (0.6, 1.0, 0.1, "fail"),
        (0.6, 1.4, -0.3, "inconclusive"),
        (-1.0, 0.2, -2.0, "pass"),
    ],
)
def test_accuracy_is_judged_by_the_parity_rule_and_doubt_is_doubt(drop, upper, low, expected):
    assert judge_drop(drop, upper, low) == expected


def test_the_paired_result_is_kept(now, before):
    paired = compare(now, before, []).accuracy
    assert paired["n"] == 2000 and 0 < paired["flip_rate"] < 0.03


def test_other_crops_of_the_same_faces_are_compared_unpaired_and_said(now, before):
    now["samples"]["predictions"]["crops_sha256"] = "f" * 64
    found = compare(now, before, [])
    assert found.accuracy is None
    assert any("unpaired" in remark for remark in found.remarks)
    assert {row.metric: row.verdict for row in found.rows}["accuracy"] == "inconclusive"


@pytest.mark.parametrize("damage", ["other faces", "no predictions"])
def test_an_accuracy_that_cannot_be_compared_is_no_pass(now, before, damage):
    if damage == "other faces":
        now["environment"]["run"]["crops"] = "500 synthetic faces"
    else:
        del now["samples"]["predictions"]
    row = rows(now, before)["accuracy"]
    assert row.verdict == "inconclusive" and damage.split()[1] in row.note


def test_without_labels_only_flips_are_judged(now, before):
    for each in (now, before):
        each["samples"]["predictions"]["labels"] = None
    found = rows(now, before)
    assert "accuracy" not in found and found["flips_vs_baseline"].verdict == "pass"


# Change points


def test_a_step_is_found_where_it_is():
    values = np.r_[np.zeros(12), np.full(9, 0.1)] + np.random.default_rng(0).normal(0, 0.02, 21)
    ((index, p),) = changepoints.find(values)
    assert index == 12 and p < 0.01


def test_two_steps_are_found_in_order():
    values = np.r_[np.zeros(10), np.ones(10), np.zeros(10)] + np.random.default_rng(1).normal(0, 0.05, 30)
    assert [index for index, _ in changepoints.find(values)] == [10, 20]


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0] * 30, [1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
)
def test_nothing_is_found_in_constants_or_one_spoilt_night(values):
    assert changepoints.find(np.array(values)) == []


def test_change_points_are_the_same_every_time():
    values = np.random.default_rng(2).normal(0, 1, 40)
    assert changepoints.find(values) == changepoints.find(values)


def nights(factors: list[float], name: str = "speedup_vs_eager_fp32") -> list[dict]:
    """Light records: a metric's value and nothing that other rows would need."""
    first = made()
    run = first["environment"]["run"]
    random = np.random.default_rng(3)
    told = []
    for number, factor in enumerate(factors):
        environment = {**first["environment"], "time": f"2026-01-{number + 1:02d}T02:00:00Z", "run": run}
        environment["git"] = {"commit": f"{number:07d}"}
        value = 20 * factor * random.lognormal(0, 0.01)
        told.append(
            {**first, "environment": environment, "metrics": {**first["metrics"], name: {"value": value, "ci95": None}}}
        )
    return told


def test_a_creep_that_never_breaks_the_margin_is_caught():
    """0.4 % slower each night: after 24 nights 9 %, within the margin of every single comparison."""
    records = nights([0.996**k for k in range(25)])
    found = compare(records[-1], records[0], records[:-1])
    assert found.verdict == "inconclusive"
    assert any("speedup_vs_eager_fp32" in remark and "accept" in remark for remark in found.remarks)
    assert all(point.worse and point.metric == "speedup_vs_eager_fp32" for point in found.change_points)


def test_a_change_point_names_the_commit_that_moved_the_metric():
    records = nights([1.0] * 14 + [0.9] * 10)
    (point,) = compare(records[-1], records[-1], records[:-1]).change_points
    assert (point.commit, point.worse) == ("0000014", True)
    assert point.factor == pytest.approx(0.9, rel=0.02)


def test_an_accepted_change_is_listed_and_no_longer_counts():
    records = nights([1.0] * 14 + [0.9] * 10)
    found = compare(records[-1], records[20], records[:-1])
    assert found.verdict == "pass" and len(found.change_points) == 1


def test_a_change_for_the_better_is_no_complaint():
    records = nights([1.0] * 14 + [1.1] * 10)
    found = compare(records[-1], records[0], records[:-1])
    assert found.verdict == "pass" and not found.change_points[0].worse


def test_invalid_and_quick_nights_are_no_history():
    records = nights([1.0] * 14 + [0.9] * 10)
    for each in records[14:-1]:
        each["verdict"] = "invalid"
    assert compare(records[-1], records[0], records[:-1]).change_points == []


def test_the_golden_comparison_stays_as_it_is():
    """If the rules are meant to change, run tests/data/make_bench_golden.py and look at what changed."""
    spec = importlib.util.spec_from_file_location("golden", Path(__file__).parent / "data" / "make_bench_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    same(module.compared(), read_json(GOLDEN / "comparison.json"))


def same(found, expected, where: str = "") -> None:
    """Equal, numbers to nine digits: logarithms differ in the last ones between processors."""
    assert type(found) is type(expected) or isinstance(found, int | float), where
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name in expected:
            same(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, (a, b) in enumerate(zip(found, expected, strict=True)):
            same(a, b, f"{where}[{number}]")
    else:
        assert found == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected), where


def test_a_role_whose_own_blocks_were_too_noisy_is_no_yardstick():
    now = record(1001, night=1)
    run = now["environment"]["run"]
    noisy = {**now, "environment": {**now["environment"], "run": {**run, "doubtful_roles": [contenders.BASELINE]}}}
    metrics = [row.metric for row in compare(noisy, record(1), []).rows]
    assert "latency_vs_baseline" not in metrics
    assert "latency_vs_baseline" in [row.metric for row in compare(now, record(1), []).rows]
