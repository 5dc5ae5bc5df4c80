"""What a night's page shows of one target: rows of text and plots, made from its record, its comparison and its history.

Pure. A part that a record does not have (no labels, no peers, no sustained run) gives an empty list or string.
"""

from collections.abc import Iterable
from datetime import datetime

import numpy as np
from markupsafe import Markup

from benchmarks import contenders, figures, plots, stats, study_views
from benchmarks.plots import Night, Point
from benchmarks.study_views import span
from benchmarks.table import budget, interval, number, quantity
from edgefer.spec import FERPLUS_LABELS

TRENDS = {
    "speedup_vs_eager_fp32": "Speed against eager PyTorch",
    "speedup_vs_onnxruntime_fp32": "Speed against onnxruntime fp32",
    "speedup_vs_same_engine_fp32": "Speed against the same engine's fp32",
    "latency_ms": "Latency of the network",
    "pipeline_fps": "Frame to label",
    "result_age_ms": "Age of a label at a camera's pace",
    "dropped_frames": "Frames dropped at a camera's pace",
    "sustained_slowdown": "Slowdown in a sustained run",
    "accuracy": "Accuracy",
    "flip_rate": "Labels that differ from fp32's",
    "peak_rss_mb": "Peak memory",
    "artifact_mb": "Size of the artifact",
    "cold_start_ms": "Cold start",
}
"""Metrics whose history is drawn, in this order, and their headings."""
LABELS = {
    "fraction": "%",
    **dict.fromkeys(figures.RATIOS, "times faster"),
    "sustained_slowdown": "times slower",
}
"""Metric or unit → what its axis says, where that is not the unit."""
JUDGED = (contenders.TARGET, contenders.BASELINE, *figures.RATIOS.values())
"""Contenders that the environment lists: those of a verdict. What else took turns has its own table."""
TIME = "%Y-%m-%d %H:%M"


def target(entry: dict, record: dict | None, history: list[dict]) -> dict:
    """Everything the page shows of a target.

    Args:
        entry: of ``nightly.json``.
        record: tonight's; None for a target that was skipped or crashed.
        history: earlier records with tonight's as the last one, oldest first.
    """
    view = {**entry, "id": anchor(entry["target"])}
    if record is None:
        return view
    comparison = entry["comparison"] or {}
    samples = record["samples"]
    return view | {
        "ran": ran(record),
        "rows": metric_rows(record["metrics"], comparison.get("rows", [])),
        "baseline": baseline_line(comparison.get("baseline")),
        "changed": changed_rows(comparison.get("changed") or {}),
        "change_points": change_rows(comparison.get("change_points", [])),
        "remarks": [*remarks(record, comparison), *entry["remarks"]],
        "trends": trends(view["id"], record, comparison, history),
        "nights": len(history),
        "engines": engine_rows(samples),
        "pareto": Markup(pareto(view["id"], record)),
        "histogram": Markup(histogram(view["id"], samples)),
        "confusion": confusion(samples.get("predictions")),
        **study_views.studies(view["id"], samples),
        "sustained": Markup(plots.sustained(samples.get("sustained") or [], f"{view['id']}-sustained")),
        "environment": list(flat(judged(record["environment"]))),
    }


def anchor(name: str) -> str:
    """A target's name as an id of the page."""
    return "target-" + "".join(c if c.isalnum() else "-" for c in name)


def ran(record: dict) -> str:
    """What ran where, on one line."""
    run, cpu = record["environment"]["run"], record["environment"]["cpu"]
    crop = f"{run['input_size']}×{run['input_size']}×{run['channels']}"
    threads = "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
    return f"{run['system']}, crop {crop}, {run['engine']} {run['precision']}, {threads}, batch 1, on {cpu['model']}"


def metric_rows(metrics: dict[str, dict], compared: list[dict]) -> list[dict]:
    """What was only compared first, since it decides; then one row a metric, the comparison of the same name beside it."""
    beside = {row["metric"]: row for row in compared}
    only = [_only_compared(row) | _compared(row) for row in compared if row["metric"] not in metrics]
    return only + [_metric(name, row) | _compared(beside.get(name)) for name, row in metrics.items()]


def _metric(name: str, row: dict) -> dict:
    return {
        "metric": name,
        "now": quantity(row["value"], row["unit"]),
        "interval": interval(row),
        "budget": budget(row["budget"], row["unit"]),
        "verdict": row["verdict"],
        "notes": [row["note"]] if row["note"] else [],
    }


def _only_compared(row: dict) -> dict:
    told = {"value": row["now"], "ci95": row["now_ci95"], "unit": row["unit"]}
    return _metric(row["metric"], told | {"budget": None, "verdict": None, "note": ""})


def _compared(row: dict | None) -> dict:
    if row is None:
        return {"baseline": "", "ratio": "", "ratio_interval": "", "compared": None, "compared_note": ""}
    ends = row["ratio_ci95"]
    return {
        "baseline": quantity(row["baseline"], row["unit"]),
        "ratio": f"×{row['ratio']:.3f}" if row["ratio"] is not None else "–",
        "ratio_interval": f"{ends[0]:.3f} … {ends[1]:.3f}" if ends else "",
        "compared": row["verdict"],
        "compared_note": row["note"],
    }


def baseline_line(baseline: dict | None) -> str:
    """Which night is compared with, and why it was accepted."""
    if not baseline:
        return ""
    reason = f": {baseline['reason']}" if baseline.get("reason") else ""
    return f"{moment(baseline['time']).strftime(TIME)}, commit {short(baseline['commit'])}{reason}"


def changed_rows(changed: dict) -> list[tuple[str, str, str]]:
    """What differs from the baseline: (what, then, now)."""
    rows = []
    for what, value in changed.items():
        pairs = value.items() if isinstance(value, dict) else [(what, value)]
        rows += [(name, _text(old), _text(new)) for name, (old, new) in pairs]
    return rows


def change_rows(points: list[dict]) -> list[dict]:
    """Change points as text."""
    return [
        {
            "metric": p["metric"],
            "time": moment(p["time"]).strftime(TIME),
            "commit": short(p["commit"]),
            "before": number(p["before"]),
            "after": number(p["after"]),
            "factor": f"×{p['factor']:.3f}" if p["factor"] is not None else "–",
            "p": "–" if p["p"] is None else f"{p['p']:.2g}",
            "worse": p["worse"],
        }
        for p in points
    ]


def remarks(record: dict, comparison: dict) -> list[str]:
    """What else decided or should be known."""
    run = record["environment"]["run"]
    return [*run["problems"], *run["remarks"], *comparison.get("remarks", [])]


def trends(name: str, record: dict, comparison: dict, history: list[dict]) -> list[dict]:
    """A plot for each metric that has a history of at least two nights."""
    found = []
    for metric, heading in TRENDS.items():
        nights = [night for each in history if (night := _night(each, metric))]
        if len(nights) > 1:
            svg = _trend(f"{name}-{metric}", metric, nights, record["metrics"].get(metric) or {}, comparison)
            found.append({"heading": heading, "metric": metric, "svg": Markup(svg)})
    return found


def _trend(name: str, metric: str, nights: list[Night], now: dict, comparison: dict) -> str:
    accepted, unit = comparison.get("baseline"), now.get("unit", "")
    start = accepted and next((n for n in nights if n.time == moment(accepted["time"])), None)
    changes = [
        (moment(p["time"]), short(p["commit"]), p["worse"])
        for p in comparison.get("change_points", [])
        if p["metric"] == metric
    ]
    bound = next(iter((now.get("budget") or {}).values()), None)
    scale = 100 if unit == "fraction" else 1
    label = LABELS.get(metric) or LABELS.get(unit, unit)
    return plots.trend(nights, label, name, start, bound if bound is None else bound * scale, changes)


def _night(record: dict, metric: str) -> Night | None:
    row = record["metrics"].get(metric)
    if row is None or row["value"] is None:
        return None
    scale = 100 if row["unit"] == "fraction" else 1
    ci95 = row["ci95"] and [scale * end for end in row["ci95"]]
    return Night(moment(when(record)), scale * row["value"], ci95, record["verdict"] != "invalid")


def engine_rows(samples: dict) -> list[dict]:
    """Every artifact of the same interleaved run, as text; a dash for what was not measured."""
    return [
        {
            "name": row["name"],
            "latency": number(row.get("latency_ms")),
            "interval": span(row.get("latency_ci95")),
            "speedup": number(row.get("speedup_vs_eager_fp32")),
            "memory": number(row.get("peak_rss_mb")),
            "cold": number(row.get("cold_start_ms")),
            "size": number(row.get("artifact_mb")),
            "accuracy": quantity(row.get("accuracy"), "fraction"),
            "flips": quantity(row.get("flip_rate"), "fraction"),
        }
        for row in samples.get("engines") or []
    ]


def pareto(name: str, record: dict) -> str:
    """Accuracy (agreement with fp32 where there are no labels) against latency of every artifact; area: size."""
    told = [row for row in record["samples"].get("engines") or [] if row.get("latency_ms") is not None]
    labelled = any(row.get("accuracy") is not None for row in told)
    rows = [row for row in told if row.get("accuracy" if labelled else "flip_rate") is not None]
    points = [
        Point(
            x=row["latency_ms"],
            y=100 * (row["accuracy"] if labelled else 1 - row["flip_rate"]),
            name=row["name"].rpartition("/")[2],
            x_ci95=row.get("latency_ci95"),
            size=row.get("artifact_mb"),
            group=row["name"].partition("/")[0],
        )
        for row in rows
    ]
    label = "accuracy, %" if labelled else "labels as fp32's, %"
    return plots.scatter(points, "latency of the network, ms", label, f"{name}-pareto")


def histogram(name: str, samples: dict) -> str:
    """Every timed inference of the target, with the median and the 99th percentile."""
    blocks = samples.get("interleaved", {}).get("blocks", {}).get("target")
    if not blocks:
        return ""
    ms = np.array(blocks, float).ravel() / 1e6
    marks = {f"median {number(np.median(ms))}": np.median(ms)}
    if ms.size >= stats.PERCENTILE_MINIMUM[99]:
        marks[f"99 % below {number(np.percentile(ms, 99))}"] = np.percentile(ms, 99)
    return plots.histogram(ms, "latency of one inference, ms", f"{name}-histogram", marks)


def confusion(predictions: dict | None) -> dict | None:
    """Matrices of the timed artifact and of its fp32: true class down, predicted class across.

    Without labels one matrix, of what fp32 says against what the artifact says.
    """
    if not predictions:
        return None
    names, labels, fp32 = _class_names(predictions), predictions["labels"], predictions.get("fp32")
    if labels is not None:
        told = [("The timed artifact", predictions["target"]), *([("Its fp32", fp32)] if fp32 else [])]
        pairs = [(what, labels, predicted) for what, predicted in told]
    else:
        pairs = [("fp32 and the timed artifact", fp32, predictions["target"])] if fp32 else []
    matrices = [(what, _matrix(rows, columns, names)) for what, rows, columns in pairs]
    return {"labelled": labels is not None, "names": names, "matrices": matrices}


def _class_names(predictions: dict) -> list[str]:
    count = 1 + max(max(predictions.get(k) or [0]) for k in ("fp32", "target", "labels"))
    names = predictions.get("classes") or FERPLUS_LABELS
    return list(names) if count <= len(names) else [str(k) for k in range(count)]


def _matrix(rows: list[int], columns: list[int], names: list[str]) -> list[dict]:
    """One dict a class: its name, number of faces, share found, and (count, share) of each predicted class."""
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (rows, columns), 1)
    lines = []
    for k, name in enumerate(names):
        total = int(counts[k].sum())
        shares = counts[k] / total if total else np.zeros(len(names))
        cells = [(int(n), round(float(s), 3)) for n, s in zip(counts[k], shares, strict=True)]
        found = f"{100 * shares[k]:.1f} %" if total else "–"
        lines.append({"name": name, "cells": cells, "total": total, "found": found, "own": k})
    return lines


def judged(environment: dict) -> dict:
    """An environment whose contenders are only those of a verdict."""
    run = environment["run"]
    kept = {
        name: {role: told for role, told in run[name].items() if role in JUDGED}
        for name in ("contenders", "contender_files")
        if run.get(name)
    }
    return {**environment, "run": {**run, **kept}}


def flat(value, path: str = "") -> Iterable[tuple[str, str]]:
    """A nested object as (dotted name, text) pairs, three names deep at most; hashes of inputs are left to the record."""
    if isinstance(value, dict) and value and path.count(".") < 2:
        for key, inner in value.items():
            if key != "bundle_inputs":
                yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif value not in ({}, [], None, ""):
        yield path, _text(value)


def _text(value) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, bool) or value is None:
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return value[:12] + "…" if isinstance(value, str) and _is_hash(value) else str(value)


def _is_hash(text: str) -> bool:
    return len(text) in (40, 64) and not set(text) - set("0123456789abcdef")


def when(record: dict) -> str:
    """When a record was begun, ISO 8601 in UTC."""
    return record["environment"]["time"]


def moment(text: str) -> datetime:
    """A record's time stamp (ISO 8601) as a plain UTC time, which the plots' axes take."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


def short(commit: str | None) -> str:
    """The first eight digits of a commit."""
    return commit[:8] if commit else "unknown"
