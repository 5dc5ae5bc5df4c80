"""The page of a night: it needs nothing outside itself, escapes what it is given, and renders whatever a record lacks."""

import re
from datetime import datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from benchmarks import verdict
from benchmarks.stats import Estimate
from edgefer.targets import Budget

pytest.importorskip("jinja2", reason="makes the page: install edgefer[workshop]")
pytest.importorskip("matplotlib", reason="draws its plots: install edgefer[workshop]")

from benchmarks import plots, report, views

START = datetime(2026, 11, 1, 2, 17)
NASTY = '<script>alert("x")</script>'
BUDGETS = {"latency_ms": Budget(max=2.0), "artifact_mb": Budget(max=2.0), "flip_rate": Budget(max=0.03)}


def made_record(
    target: str = "here", night: int = 0, ms: float = 1.0, labels: bool = True, budgets: dict = BUDGETS
) -> dict:
    """A record of the form of ``benchmarks/run.py``'s, with made-up samples."""
    random = np.random.default_rng(night)
    blocks = random.lognormal(np.log(ms * 1e6), 0.05, (3, 5, 50)).astype(int)
    measured = {
        "latency_ms": Estimate(ms, (0.97 * ms, 1.04 * ms)),
        "speedup_vs_eager_fp32": Estimate(20 / ms, (19 / ms, 21 / ms)),
        "artifact_mb": Estimate(1.7),
        "accuracy": Estimate(0.83, (0.81, 0.85)) if labels else None,
        "flip_rate": Estimate(0.01, (0.005, 0.02)),
    }
    rows = verdict.metrics(measured, budgets, False, {"latency_ms": "network alone, median"})
    truth = random.integers(0, 8, 200)
    predicted = np.where(random.random(200) < 0.8, truth, (truth + 1) % 8)
    run = {
        "system": "efficientface", "input_size": 64, "channels": 1, "engine": "litert", "precision": "int8", "threads": 2,
        "quick": False, "problems": [], "remarks": [], "contenders": {"target": {"engine": "LiteRT 2"}},
        "artifact": {"name": "litert/int8", "file": "net.tflite", "files": {"net.tflite": "0" * 64}},
    }  # fmt: skip
    return {
        "schema": 1,
        "target": target,
        "verdict": verdict.overall(rows, [], False),
        "metrics": {row.name: row.to_json() for row in rows},
        "environment": {
            "time": (START + timedelta(days=night)).isoformat() + "Z",
            "cpu": {"model": "A CPU", "cores": 4, "flags": ["avx2"]},
            "packages": {"numpy": "2.0"},
            "git": {"commit": f"{night:040x}", "dirty": False},
            "run": run,
        },
        "samples": {
            "interleaved": {"blocks": {"target": blocks.tolist()}},
            "predictions": {
                "crops_sha256": "0" * 64,
                "labels": truth.tolist() if labels else None,
                "target": predicted.tolist(),
                "fp32": truth.tolist(),
            },
        },
    }


def made_comparison(**changes) -> dict:
    """A comparison of the form of ``benchmarks.compare``'s."""
    row = {
        "metric": "latency_ms", "unit": "ms", "now": 1.2, "now_ci95": [1.1, 1.3], "baseline": 1.0, "baseline_ci95": [0.9, 1.1],
        "ratio": 1.2, "ratio_ci95": [1.15, 1.25], "better": "lower", "verdict": "fail", "note": "timed in one run",
    }  # fmt: skip
    point = {
        "metric": "latency_ms", "time": START.isoformat() + "Z", "commit": "c0ffee" + 34 * "0", "before": 1.0, "after": 1.2,
        "factor": 1.2, "p": 0.001, "worse": True,
    }  # fmt: skip
    return {
        "verdict": "fail",
        "baseline": {"time": START.isoformat() + "Z", "commit": 40 * "a", "reason": "first night"},
        "rows": [row],
        "changed": {"packages": {"numpy": ["1.26", "2.0"]}, "commit": [40 * "a", 40 * "b"]},
        "change_points": [point],
        "accuracy": None,
        "remarks": ["one remark"],
    } | changes  # fmt: skip


def made_entry(record: dict | None, target: str = "here", comparison: dict | None = None, **changes) -> dict:
    """A target's entry of ``nightly.json``."""
    summary = record and {"verdict": record["verdict"], "metrics": record["metrics"], "problems": [], "remarks": []}
    return {
        "target": target, "description": "a test", "reach": "local", "state": "measured" if record else "skipped",
        "verdict": record and record["verdict"], "reason": "" if record else "switched off", "required": False,
        "seconds": {"measuring": 61.0}, "record": None, "summary": summary, "comparison": comparison,
        "accepted": None, "remarks": [], "passes": {"speed": 31.0},
    } | changes  # fmt: skip


def made_night(*entries: dict) -> dict:
    return {
        "schema": 1, "time": START.isoformat() + "+00:00", "verdict": "pass", "quick": False, "commit": 40 * "b",
        "dirty": False, "seconds": 3900.0, "targets": list(entries),
    }  # fmt: skip


class Page(HTMLParser):
    """Checks nesting, and collects what the page refers to, its text and its ids."""

    EMPTY = frozenset({"meta", "link", "br", "img", "path", "use", "input", "rect"})

    def __init__(self, text: str):
        super().__init__()
        self.open, self.references, self.tags, self.ids, self.text = [], [], set(), [], ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "xlink:href", "action", "data", "srcset")]
        self.ids += [v for k, v in attributes if k == "id"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def full() -> str:
    """A page with everything on it: history, comparison, engines, peers, growth, a sustained run, a skipped target."""
    history = [made_record(night=n, ms=1.0 if n < 6 else 1.2) for n in range(10)]
    record = history[-1]
    engine = {
        "name": "litert/int8", "latency_ms": 1.2, "latency_ci95": [1.1, 1.3], "speedup_vs_eager_fp32": 17.0,
        "speedup_ci95": [16, 18], "peak_rss_mb": 57.0, "cold_start_ms": 260.0, "artifact_mb": 1.7, "accuracy": 0.83,
        "flip_rate": 0.01,
    }  # fmt: skip
    peer = {
        "name": "MobileNetV3", "engine": "litert", "precision": "fp32", "threads": 2, "input_size": 224, "latency_ms": 9.0,
        "latency_ci95": [8.8, 9.4], "ratio": 7.5, "ratio_ci95": [7.2, 7.9], "params": 5_483_032, "size_mb": 21.9,
        "share_of_peak": 0.31,
    }  # fmt: skip
    fit = {"model": "c0 + c1·x", "coefficients": {"c0": 0.1, "c1": 0.02}, "r2": 0.99, "factors": [0.1, 0.02]}
    eager = {**dict.fromkeys(engine), "name": "torch/eager fp32", "latency_ms": 20.0, "latency_ci95": [19, 21]}
    sizes = {"x": [32, 48, 64], "latency_ms": [0.5, 0.9, 1.2], "ci95": [[0.4, 0.6], [0.8, 1.0], [1.1, 1.3]], "fit": fit}
    app = {
        "artifact": "openvino/int8", "ours_ms": 1.11, "theirs_ms": [1.0, 1.07, 1.3], "ratio": 1.037, "ratio_ci95": [0.98, 1.1],
        "noise": 0.021, "agrees": True, "ours_call_ms": 1.19, "outside_ms": 0.08,
    }  # fmt: skip
    workers = {"target": {"cpu_ms": 1, "waited_ms": 100, "share": 0.01}, "spinner": {"share": 0.256}}
    record["environment"]["run"]["contenders"] |= {"peer resnet50": {"engine": "a peer's"}}
    first = {"step": "paper", "what": "the paper's", "latency_ms": 13.6, "factor": None, "all": None}
    engine_step = {"step": "engine", "what": "the same in litert", "latency_ms": 3.4, "factor": 4.0, "all": 4.0}
    engine_step |= {"factor_ci95": [3.9, 4.1], "all_ci95": [3.9, 4.1]}
    record["samples"] |= {
        "peak": {"int8": {"gmacs_per_s": 321.0, "ci95": [310.0, 330.0], "kernel": "peak int8 openvino", "kernels": {}}},
        "benchmark_app": app,
        "idle_cpu": {"speed": {"bound": 0.02, "workers": workers}, "nobody": {"bound": 0.02, "workers": {}}},
        "engines": [engine, eager],
        "peers": [peer, {**dict.fromkeys(peer), "name": "FaceNet", "note": "absent: timm is not installed here"}],
        "growth": {"input_size": sizes},
        "factors": [first, engine_step],
        "sustained": [{"t_s": 30 * k, "latency_ms": 1.2, "temperature_c": 50.0 + k, "mhz": None} for k in range(5)],
    }  # fmt: skip
    entries = [made_entry(record, comparison=made_comparison()), made_entry(None, "away")]
    return report.page(made_night(*entries), {"here": record}, {"here": history})


def test_the_page_is_well_formed_and_its_ids_are_its_own(full):
    page = Page(full)
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert len(page.ids) == len(set(page.ids))


def test_the_page_needs_nothing_outside_itself(full):
    assert "http:" not in full and "https:" not in full and "@import" not in full
    assert all(reference.startswith("#") for reference in Page(full).references)
    assert all(inner.startswith("#") for inner in re.findall(r"url\(([^)]*)\)", full))
    assert {reference[1:] for reference in Page(full).references} <= set(Page(full).ids)


@pytest.mark.parametrize(
    "words",
    [
        "1.20 ms", "×1.200", "1.150 … 1.250", "first night", "numpy", "1.26", "c0ffee00", "MobileNetV3", "5,483,032", "31.0 %",
       
        "Where the speed comes from", "the same in litert", "×4.00 (3.90 … 4.10)",
        "c0 + c1·x: c0 = 0.1, c1 = 0.02; r² 0.990", "side S of the crop, pixels",
        "The machine's peak", "321", "Held against OpenVINO's benchmark_app", "×1.037", "✓ agree", "1.07",
        "spinner", "25.60 %", "? busy",
        "timm is not installed", "away", "switched off", "A CPU", "happiness", "1 h 05 min", "1 min 01 s",
        "network alone, median", "– speed",
    ],
)  # fmt: skip
def test_the_page_shows(full, words):
    assert words in Page(full).text


def test_the_page_has_a_plot_of_each_kind(full):
    names = ("latency_ms", "accuracy", "artifact_mb", "pareto", "histogram", "peers", "growth-input_size", "sustained")
    assert all(f'id="target-here-{name}-figure_1"' in full for name in names)


def test_the_environment_lists_what_was_judged_only(full):
    text = Page(full).text
    assert "LiteRT 2" in text and "a peer's" not in text


@pytest.mark.parametrize(
    ("metric", "unit", "label"),
    [
        ("sustained_slowdown", "×", "times slower"),
        ("speedup_vs_same_engine_fp32", "×", "times faster"),
        ("result_age_ms", "ms", "ms"),
        ("dropped_frames", "fraction", "%"),
    ],
)
def test_a_trend_says_which_way_its_axis_goes(metric, unit, label):
    row = {"value": 0.0, "ci95": None, "unit": unit, "budget": None, "verdict": None, "note": ""}
    records = [made_record(night=n) for n in range(3)]
    for record in records:
        record["metrics"][metric] = row
    (shown,) = [each for each in views.trends("t", records[-1], {}, records) if each["metric"] == metric]
    assert f">{label}</text>" in shown["svg"]


def test_a_99th_percentile_needs_as_many_samples_as_everywhere():
    few, enough = ({"interleaved": {"blocks": {"target": np.ones((1, 1, n)).tolist()}}} for n in (661, 662))
    assert "99 % below" not in views.histogram("t", few) and "99 % below" in views.histogram("t", enough)


def test_nasty_names_are_text_everywhere(full):
    history = [made_record(NASTY, night=n) for n in range(3)]
    record = history[-1]
    record["environment"]["cpu"]["model"] = record["metrics"]["latency_ms"]["note"] = NASTY
    record["samples"]["growth"] = {NASTY: {"x": [1, 2], "latency_ms": [1, 2], "label": NASTY}}
    row = {"name": f"{NASTY}/{NASTY}", "latency_ms": 1.0, "accuracy": 0.5, "flip_rate": 0.1}
    record["samples"]["engines"] = [row]
    point = made_comparison()["change_points"][0] | {"commit": NASTY}
    comparison = made_comparison(changed={NASTY: {NASTY: [NASTY, NASTY]}}, remarks=[NASTY], change_points=[point])
    entries = made_entry(record, NASTY, comparison, description=NASTY), made_entry(None, NASTY + "2", reason=NASTY)
    page = report.page(made_night(*entries), {NASTY: record}, {NASTY: history})
    assert "<script" not in page
    assert "script" not in Page(page).tags


def test_without_history_baseline_labels_or_extras_the_page_still_renders():
    record = made_record(labels=False)
    del record["samples"]["interleaved"]
    record["samples"]["engines"] = [{"name": "litert/int8", "latency_ms": None}, {"name": "litert/fp32"}]
    page = report.page(made_night(made_entry(record)), {"here": record}, {})
    text = Page(page).text
    assert "No baseline is accepted yet" in text and "One night only" in text and "No labels here" in text
    assert "Peers" not in text and "How the cost grows" not in text


def test_a_night_without_any_record_renders():
    crashed = made_entry(None, state="crashed", verdict="fail", reason="it was killed by signal 9")
    text = Page(report.page(made_night(crashed, made_entry(None, "away")), {}, {})).text
    assert "killed by signal 9" in text and "switched off" in text


def test_what_needs_a_look_is_said_first(full):
    text = Page(full).text
    assert text.index("What needs a look") < text.index("latency_ms is ×1.200") < text.index("Figures")


def test_accepted_differences_need_no_look():
    entry = made_entry(made_record(), comparison=made_comparison(change_points=[]), accepted="faster is not needed")
    assert not list(report.attention(entry))


def test_a_change_too_small_to_matter_needs_no_look():
    point = {"metric": "latency_ms", "worse": True, "time": "9999", "commit": "abc", "factor": 1.004}
    quiet = made_comparison(verdict="pass", rows=[], change_points=[point])
    assert not list(report.attention(made_entry(made_record(), comparison=quiet)))
    first = quiet | {"baseline": None, "change_points": [point | {"factor": 0.5}]}
    assert "×0.500" in next(report.attention(made_entry(made_record(), comparison=first)))["text"], "no baseline yet"
    crept = made_comparison(verdict="inconclusive", rows=[], change_points=[point | {"factor": 1.05}])
    assert "×1.050" in next(report.attention(made_entry(made_record(), comparison=crept)))["text"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spoiling": ["throttled: 3 events"]}, ("invalid", "throttled: 3 events")),
        ({"remarks": ["steal: 9 %"]}, ("invalid", "steal: 9 %")),
        ({}, ("invalid", "verdict: invalid")),
    ],
)
def test_a_bad_night_never_needs_no_look(changes, words):
    entry = made_entry(made_record() | {"verdict": "invalid"})
    entry["summary"] |= changes
    assert [(item["verdict"], item["text"]) for item in report.attention(entry)] == [words]


def test_a_comparison_that_was_refused_and_a_budget_without_a_figure_need_a_look():
    nothing = {"baseline": None, "rows": [], "changed": {}, "change_points": [], "accuracy": None}
    refused = {"verdict": "invalid", **nothing, "remarks": ["never compared: CPU model"]}
    (item,) = report.attention(made_entry(made_record(), comparison=refused, verdict="invalid"))
    assert (item["verdict"], item["text"]) == ("invalid", "never compared: CPU model")
    (item,) = report.attention(made_entry(made_record(budgets={"pipeline_fps": Budget(min=10)})))
    assert (item["verdict"], item["text"]) == ("inconclusive", "pipeline_fps has a budget and was not measured")


def test_confusion_counts_true_classes_down():
    found = views.confusion(
        {"labels": [0, 0, 0, 1], "target": [0, 0, 1, 1], "fp32": [0, 0, 0, 0], "classes": ["a", "b"]}
    )
    (_, artifact), (_, fp32) = found["matrices"]
    assert [cell[0] for cell in artifact[0]["cells"]] == [2, 1] and artifact[0]["found"] == "66.7 %"
    assert [line["found"] for line in fp32] == ["100.0 %", "0.0 %"]


def test_confusion_without_kept_fp32_shows_the_artifact_alone():
    assert len(views.confusion({"labels": [0, 1], "target": [0, 1]})["matrices"]) == 1
    assert views.confusion({"labels": None, "target": [0, 1]})["matrices"] == []


def test_the_front_holds_those_that_no_other_beats():
    points = [plots.Point(1, 80, "a"), plots.Point(2, 79, "b"), plots.Point(3, 85, "c"), plots.Point(1, 70, "d")]
    assert [p.name for p in plots.pareto(points)] == ["a", "c"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (42.3, "42 s"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (59.7, "1 min 00 s")],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert report.duration(seconds) == text
