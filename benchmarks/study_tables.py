"""The studies in readable form: peers with the machine's peak, ``benchmark_app``, factors, growth. Made from samples only."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import growth
from benchmarks.table import new_table, number


def show(samples: dict, out: Console) -> None:
    """Print whatever studies a record holds; nothing where it holds none."""
    if samples.get("peers"):
        out.print(peer_table(samples["peers"], out))
        for line in [*peak_lines(samples["peak"]), *note_lines(samples["peers"])]:
            out.print(Text(line, style="dim"))
    if samples.get("benchmark_app"):
        out.print(Text(app_line(samples["benchmark_app"])))
    if samples.get("factors"):
        out.print(factor_table(samples["factors"], out))
    if samples.get("growth"):
        out.print(growth_table(samples["growth"], out))
        for line in growth_lines(samples["growth"]):
            out.print(Text(line, style="dim"))


def peer_table(rows: list[dict], out: Console) -> Table:
    """One row for the target and each peer that was measured."""
    table = new_table(out)
    table.add_column("peer", overflow="fold")
    table.add_column("engine", overflow="fold")
    for heading in "side", "ms", "times\nours", "95 %\ninterval", "M\npar.", "MB", "GMAC\n/s", "of\npeak":
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        if row["latency_ms"] is None:
            continue
        figures, rates = [row["latency_ms"], row["ratio"]], [row["size_mb"], row["gmacs_per_s"]]
        interval = "–".join(number(end) for end in row["ratio_ci95"])
        millions = f"{row['params'] / 1e6:.3g}"
        share = "–" if row["share_of_peak"] is None else f"{100 * row['share_of_peak']:.0f} %"
        engine = row["engine"] if row["precision"] == "fp32" else f"{row['engine']} {row['precision']}"
        side = str(row["input_size"])
        table.add_row(row["name"], engine, side, *map(number, figures), interval, millions, *map(number, rates), share)
    return table


def peak_lines(peak: dict[str, dict]) -> list[str]:
    """The machine's peak in each precision, and what reached it."""
    return [
        f"peak {precision}: {number(best['gmacs_per_s'])} GMAC/s ({'–'.join(map(number, best['ci95']))}), "
        f"by {best['kernel'].split()[-1]}"
        for precision, best in peak.items()
    ]


def note_lines(rows: list[dict]) -> list[str]:
    """What each peer is, or why it is absent."""
    return [f"{row['name']}, {row['engine']}: {row['note']}" for row in rows]


def app_line(found: dict) -> str:
    """How our figure of the same file compares to benchmark_app's."""
    low, high = map(number, found["ratio_ci95"])
    theirs = sorted(found["theirs_ms"])
    middle = theirs[len(theirs) // 2]
    return (
        f"benchmark_app, {found['artifact']}: {number(middle)} ms; the same by our run {number(found['ours_ms'])} ms, "
        f"ratio {number(found['ratio'])} ({low}–{high}), its noise {found['noise']:.1%}: "
        f"{'agree' if found['agrees'] else 'do not agree'}; our whole call {number(found['ours_call_ms'])} ms"
    )


def factor_table(rows: list[dict], out: Console) -> Table:
    """One row a step of the chain: its latency, and how many times as fast as the step before and as the first."""
    table = new_table(out)
    for heading in "step", "what runs":
        table.add_column(heading, overflow="fold")
    for heading in "ms", "times the\nstep before", "95 %\ninterval", "times\nthe first", "95 %\ninterval":
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        figures = [number(row["latency_ms"])]
        for column in "factor", "all":
            ends = row[f"{column}_ci95"]
            figures += [number(row[column]), "–".join(map(number, ends))] if ends else ["–", "–"]
        table.add_row(row["step"], row["what"], *figures)
    return table


def growth_table(axes: dict[str, dict], out: Console) -> Table:
    """One row a point: what varies, latency, its interval."""
    table = new_table(out)
    table.add_column("cost against", overflow="fold")
    for heading in "at", "ms", "95 % interval":
        table.add_column(heading, justify="right", overflow="fold")
    for axis, told in axes.items():
        for index, x in enumerate(told["x"]):
            ends = "–".join(number(end) for end in told["ci95"][index])
            table.add_row("" if index else axis, str(x), number(told["latency_ms"][index]), ends)
    return table


def growth_lines(axes: dict[str, dict]) -> list[str]:
    """The fitted model of each axis, with the intervals of its coefficients."""
    lines = []
    for axis, told in axes.items():
        ends = told["fit"]["coefficients_ci95"]
        intervals = ", ".join(f"{name} {low:.3g}–{high:.3g}" for name, (low, high) in ends.items())
        lines.append(f"{axis} ({told['what']}): {growth.sentence(told['fit'])}; 95 %: {intervals}")
    return lines
