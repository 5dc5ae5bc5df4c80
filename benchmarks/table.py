"""The readable report: made from a record, never the reverse."""

import math
import sys

from rich.box import ASCII, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 100
"""Columns where the output is not a terminal."""
STYLES = {"pass": "green", "fail": "bold red", "invalid": "yellow", "inconclusive": "yellow", "not measured": "yellow"}


def console(file=None) -> Console:
    """Where reports go: the terminal's own width, or 100 columns of plain text in a pipe or file."""
    file = file or sys.stdout
    return Console(file=file, width=None if file.isatty() else WIDTH, highlight=False, soft_wrap=False)


def show(record: dict, where: str, out: Console) -> None:
    """Print header, table, what each figure is, what else decided, and the verdict with the record's place."""
    run, verdict = record["environment"]["run"], record["verdict"]
    for line in header(record):
        out.print(Text(line))
    out.print(metric_table(record["metrics"], out))
    for line in notes(record["metrics"]):
        out.print(Text(line, style="dim"))
    if record["samples"].get("engines"):
        out.print(engine_table(record["samples"]["engines"], out))
    from benchmarks import study_tables  # which draws with this module's pieces

    study_tables.show(record["samples"], out)
    for line in [*run["problems"], *run["remarks"]]:
        out.print(Text(line, style="yellow"))
    out.print(Text(f"verdict: {verdict}", style=STYLES[verdict]), Text(f"record: {where}"), sep="   ", soft_wrap=True)


def header(record: dict) -> list[str]:
    """What was measured where."""
    environment = record["environment"]
    run, cpu = environment["run"], environment["cpu"]
    threads = "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
    load = environment["load_average_at_start"]  # some Androids keep it to themselves
    lines = [
        f"target {record['target']}: {cpu['model']}, {cpu['cores']} cores, {' '.join(cpu['flags']) or 'no flags told'}",
        f"{run['system']}, crop {run['input_size']}×{run['input_size']}×{run['channels']}, {run['engine']} {run['precision']}, "
        f"{threads}, batch 1; load average {f'{load[0]:.1f}' if load else 'not told'}",
        f"crops: {run['crops']}",
        f"frames: {run['frames']}",
    ]
    return lines + (["quick: few rounds, for a first look only"] if run["quick"] else [])


def metric_table(metrics: dict[str, dict], out: Console) -> Table:
    """One row a metric: name, measured, interval, budget, verdict."""
    table = new_table(out)
    for heading, side in (("metric", "left"), ("measured", "right"), ("95 % interval", "right"), ("budget", "right")):
        table.add_column(heading, justify=side, overflow="fold")
    table.add_column("verdict", overflow="fold")
    for name, row in metrics.items():
        verdict = row["verdict"] or "–"
        cells = [name, quantity(row["value"], row["unit"]), interval(row), budget(row["budget"], row["unit"])]
        table.add_row(*map(Text, cells), Text(verdict, style=STYLES.get(verdict, "")))
    return table


def notes(metrics: dict[str, dict]) -> list[str]:
    """What each figure is, where its name does not say it all."""
    return [f"{name}: {row['note']}" for name, row in metrics.items() if row["note"]]


def engine_table(rows: list[dict], out: Console) -> Table:
    """One row for every engine and precision of the same interleaved run."""
    table = new_table(out)
    table.add_column("engine", no_wrap=True)
    headings = "latency\nms", "95 %\ninterval", "times\neager", "peak\nMB", "cold\nms", "size\nMB", "accuracy", "flips"
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        interval_ = "–".join(number(end) for end in row["latency_ci95"])
        figures = [row[k] for k in ("speedup_vs_eager_fp32", "peak_rss_mb", "cold_start_ms", "artifact_mb")]
        shares = [quantity(row[k], "fraction") for k in ("accuracy", "flip_rate")]
        table.add_row(row["name"], number(row["latency_ms"]), interval_, *map(number, figures), *shares)
    return table


def show_comparison(comparison: dict, out: Console) -> None:
    """Print a comparison: against what, each metric, what each row is, what changed and when, and the verdict."""
    for line in comparison_header(comparison):
        out.print(Text(line))
    if comparison["rows"]:
        out.print(comparison_table(comparison["rows"], out))
    for row in comparison["rows"]:
        if row["note"]:
            out.print(Text(f"{row['metric']}: {row['note']}", style="dim"))
    for line in [*map(change_point, comparison["change_points"]), *comparison["remarks"]]:
        out.print(Text(line, style="yellow"))
    out.print(Text(f"comparison: {comparison['verdict']}", style=STYLES[comparison["verdict"]]))


def comparison_header(comparison: dict) -> list[str]:
    """The baseline, and what is not as it was then."""
    base, changed = comparison["baseline"], comparison["changed"]
    if base is None:
        return []
    packages = [f"{name} {old or 'none'} → {new or 'none'}" for name, (old, new) in changed["packages"].items()]
    others = [name for name in changed if name != "packages"]
    lines = [f"baseline of {base['time']}, commit {(base['commit'] or 'unknown')[:7]}: {base['reason']}"]
    return [*lines, f"changed since: {', '.join([*others, *packages]) or 'nothing that is known'}"]


def comparison_table(rows: list[dict], out: Console) -> Table:
    """One row a metric: now, then, their ratio with its interval, verdict."""
    table = new_table(out)
    table.add_column("metric", overflow="fold")
    for heading in ("now", "baseline", "ratio", "95 % interval"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for row in rows:
        ends = "–".join(f"{end:.3f}" for end in row["ratio_ci95"] or ())
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3f}"
        figures = [quantity(row[side], row["unit"]) for side in ("now", "baseline")]
        verdict = row["verdict"] or "–"
        cells = [row["metric"], *figures, ratio, ends]
        table.add_row(*map(Text, cells), Text(verdict, style=STYLES.get(verdict, "")))
    return table


def change_point(point: dict) -> str:
    """When a metric moved, and by how much."""
    sense = "worse" if point["worse"] else "better"
    return (
        f"{point['metric']}: {number(point['before'])} → {number(point['after'])} ({sense}) from {point['time']}, "
        f"commit {(point['commit'] or 'unknown')[:7]} on (p = {point['p']:.3f})"
    )


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit; fractions as percent."""
    if value is None:
        return "–"
    if unit == "fraction":
        return f"{100 * value:.2f} %"
    return f"{number(value)} {unit}"


def number(value: float | None) -> str:
    """Three significant digits, at most five decimals, and never an exponent."""
    if value is None:
        return "–"
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(5, max(0, 2 - magnitude))}f}"


def interval(row: dict) -> str:
    """The ends of a metric's interval, in its unit."""
    if row["ci95"] is None:
        return ""
    low, high = (f"{100 * end:.2f}" if row["unit"] == "fraction" else number(end) for end in row["ci95"])
    return f"{low} … {high}"


def budget(value: dict | None, unit: str) -> str:
    """``≥ 40`` or ``≤ 3 %``."""
    if not value:
        return ""
    (side, bound), *_ = value.items()
    told = f"{100 * bound:g} %" if unit == "fraction" else f"{bound:g}"
    return f"{'≥' if side == 'min' else '≤'} {told}"


def new_table(out: Console) -> Table:
    """An empty table in the report's style."""
    return Table(box=SIMPLE_HEAD if out.is_terminal else ASCII, expand=False)
