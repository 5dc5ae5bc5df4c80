"""``python -m benchmarks.report``: the page of a night once more, from what the night left and from the history.

    python -m benchmarks.report --night build/nightly --history history

One HTML file that needs nothing beside it: no network, no font, no script. Every table and plot is made from records.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmarks import verdict, views
from benchmarks.compare import WINDOW
from benchmarks.history import Store
from benchmarks.likeness import alike
from benchmarks.rows import GATES
from benchmarks.verdict import Metric
from edgefer.errors import EdgeferError, exit_with
from edgefer.files import read_json, write_text
from edgefer.targets import Budget

TEMPLATES = Path(__file__).with_name("templates")
SIGNS = {
    "pass": "✓", "fail": "✗", "invalid": "!", "inconclusive": "?", "unreachable": "✗", "skipped": "–", "not measured": "–",
}  # fmt: skip
"""Beside its colour each verdict has its own sign."""
HEADLINES = {
    "pass": "Everything holds",
    "fail": "Something is broken",
    "invalid": "Not a night to judge by",
    "inconclusive": "Undecided",
    "unreachable": "A device was not there",
}
BAD = ("fail", "unreachable", "invalid", "inconclusive")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.splitlines()[0])
    night = Path(__file__).resolve().parents[1] / "build" / "nightly"
    parser.add_argument("--night", type=Path, default=night, metavar="DIR", help="what a night wrote (build/nightly)")
    parser.add_argument(
        "--history", metavar="DIR", help="where records are kept (default: EDGEFER_HISTORY, else history/)"
    )
    args = parser.parse_args(argv)
    store = Store(args.history)
    measured = [entry["target"] for entry in read_json(args.night / "nightly.json")["targets"] if entry["record"]]
    print(write(args.night, {name: history(store, name) for name in measured}))
    return 0


def history(store: Store, target: str) -> list[dict]:
    """A target's latest records; none, said on stderr, where they cannot be read."""
    try:
        return store.records(target, WINDOW).records
    except EdgeferError as error:
        print(f"remark: {target} is shown without its history: {error}", file=sys.stderr)
        return []


def write(folder: Path, history: dict[str, list[dict]]) -> Path:
    """Make ``report.html`` in the folder of a night.

    Args:
        folder: with ``nightly.json`` and ``records/``.
        history: target → its records, oldest first; tonight's need not be among them.
    """
    night = read_json(folder / "nightly.json")
    records = {t["target"]: read_json(folder / t["record"]) for t in night["targets"] if t["record"]}
    write_text(folder / "report.html", page(night, records, history))
    return folder / "report.html"


def page(night: dict, records: dict[str, dict], history: dict[str, list[dict]]) -> str:
    """The page as text. ``night`` is ``nightly.json``; ``records`` are tonight's, by target."""
    shown = [
        views.target(entry, records.get(name), up_to(history.get(name, []), records.get(name)))
        for entry in night["targets"]
        for name in [entry["target"]]
    ]
    return _template().render(
        night=night,
        when=views.moment(night["time"]).strftime(views.TIME) + " UTC",
        commit=views.short(night["commit"]),
        took=duration(night["seconds"]),
        targets=shown,
        skipped=[view for view in shown if view["state"] == "skipped"],
        attention=sorted((i for e in night["targets"] for i in attention(e)), key=lambda i: BAD.index(i["verdict"])),
        parts=list(parts(night)),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        signs=SIGNS,
        headlines=HEADLINES,
    )


def up_to(history: list[dict], record: dict | None) -> list[dict]:
    """The history of tonight's machine and kind of run, with tonight's record as its end."""
    if record is None:
        return []
    return [each for each in history if views.when(each) < views.when(record) and alike(each, record)] + [record]


def attention(entry: dict) -> Iterator[dict]:
    """What a person should look at of one target; nothing of what passed, and never nothing of what did not."""
    name = entry["target"]
    found = (
        [(entry["verdict"], entry["reason"])]
        if entry["state"] != "measured"
        else [*_of_run(entry), *_of_comparison(entry)]
    )
    if entry["verdict"] in BAD and not any(verdict_ for verdict_, _ in found):
        found = [(entry["verdict"], text) for text in _said(entry)]
    for verdict_, text in found:
        if verdict_:
            yield {"target": name, "id": views.anchor(name), "verdict": verdict_, "text": text}


def _said(entry: dict) -> list[str]:
    """Every remark, for a target that is bad for no reason that has a place of its own."""
    remarks = [*entry["summary"]["remarks"], *(entry["comparison"] or {}).get("remarks", []), *entry["remarks"]]
    return remarks or [f"verdict: {entry['verdict']}"]


def _of_run(entry: dict) -> Iterator[tuple[str, str]]:
    """What the record itself says: verdict and sentence."""
    summary = entry["summary"]
    yield from (("fail", problem) for problem in summary["problems"])
    yield from (("invalid", reason) for reason in summary.get("spoiling", []))
    for metric, row in summary["metrics"].items():
        if row["verdict"] in BAD:
            yield row["verdict"], _against_budget(metric, row)
    if summary["verdict"] == "inconclusive":
        yield from (("inconclusive", f"{metric} has a budget and was not measured") for metric in _unanswered(entry))


def _unanswered(entry: dict) -> list[str]:
    """Metrics that have a budget, were not measured, and have nothing to stand in for them."""
    rows = [
        Metric(name, row["value"], None, row["unit"], row["budget"] and Budget(**row["budget"]), row["verdict"])
        for name, row in entry["summary"]["metrics"].items()
    ]
    return verdict.unanswered(rows, timed=entry["reach"] != "emulated")


def _of_comparison(entry: dict) -> Iterator[tuple[str, str]]:
    """What differs from the baseline, or why that is not known; nothing where the record was accepted as the new one."""
    comparison = entry["comparison"] or {}
    if entry["accepted"] or not comparison:
        return
    if comparison["verdict"] in BAD and not comparison["baseline"]:
        yield from ((comparison["verdict"], remark) for remark in comparison["remarks"])
    for row in comparison["rows"]:
        if row["verdict"] in BAD:
            yield row["verdict"], _against_baseline(row)
    for point in comparison["change_points"]:
        matters = comparison["verdict"] in BAD or abs(point["factor"] - 1) > GATES[point["metric"]].matters
        if point["worse"] and matters and point["time"] > (comparison["baseline"] or {"time": ""})["time"]:
            commit, factor = views.short(point["commit"]), point["factor"]
            yield "inconclusive", f"{point['metric']} moved for the worse with commit {commit}, ×{factor:.3f}"


def _against_budget(metric: str, row: dict) -> str:
    value, bound = views.quantity(row["value"], row["unit"]), views.budget(row["budget"], row["unit"])
    span = views.interval(row)
    return f"{metric} is {value}{f' [{span}]' if span else ''}, budget {bound}"


def _against_baseline(row: dict) -> str:
    if row["ratio"] is None:
        return f"{row['metric']} against the baseline: {row['note'] or 'not comparable'}"
    span = "{:.3f} … {:.3f}".format(*row["ratio_ci95"]) if row["ratio_ci95"] else ""
    return f"{row['metric']} is ×{row['ratio']:.3f}{f' [{span}]' if span else ''} of the baseline"


def parts(night: dict) -> Iterator[tuple[str, str]]:
    """Each part of the night and how long it took, with the passes of a run under it, the whole last."""
    for entry in night["targets"]:
        for part, seconds in entry["seconds"].items():
            yield f"{entry['target']}: {part}", duration(seconds)
            for name, inner in entry["passes"].items() if part == "measuring" else ():
                yield f"– {name}", duration(inner)
    yield "whole night", duration(night["seconds"])


def duration(seconds: float) -> str:
    """``42 s`` or ``3 min 20 s`` or ``1 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if whole < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


if __name__ == "__main__":
    sys.exit(exit_with(main))
