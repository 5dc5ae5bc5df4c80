"""Plots of a nightly page as inline SVG. Colours are variables of the page's style: one drawing suits light, dark and paper.

Each function gives a string of SVG that names no address and no font file, or an empty string where there is nothing to draw.
Nothing here knows where the figures come from.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INCHES = (4.6, 2.5)
"""At 72 units an inch about as wide as a phone, where it is shown at its own size."""
WIDE = 5.6
"""A plot with names in it."""
LEAST_HEIGHT = 3
"""Of a scatter's y axis, percentage points: a tenth of a point of accuracy is chance, and must not look like a cliff."""
COLOURS = {
    "ink": "#010101", "muted": "#020202", "grid": "#030303", "ground": "#040404", "bad": "#050505", "good": "#060606",
    "one": "#0a0a01", "two": "#0a0a02", "three": "#0a0a03", "four": "#0a0a04", "five": "#0a0a05", "six": "#0a0a06",
}  # fmt: skip
"""Variable of the page's style → the stand-in it is drawn with."""
SERIES = ("one", "two", "three", "four", "five", "six")
SHAPES = ("o", "s", "^", "D", "v", "P")
"""Beside its colour a series has its own shape: colour alone tells nothing to one reader in twelve."""
STYLE = {
    "svg.fonttype": "none", "text.parse_math": False, "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.edgecolor": COLOURS["muted"], "axes.labelcolor": COLOURS["ink"], "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"], "ytick.color": COLOURS["muted"], "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "legend.fontsize": 8,
    "lines.linewidth": 1.3, "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A figure on a plane, with its intervals where there are any."""

    x: float
    y: float
    name: str = ""
    x_ci95: Sequence[float] | None = None
    y_ci95: Sequence[float] | None = None
    size: float | None = None
    """What the marker's area shows."""
    group: str = ""
    """Points of one group share colour and shape."""


@dataclass(frozen=True)
class Night:
    """One figure of one night."""

    time: datetime
    value: float
    ci95: Sequence[float] | None = None
    sound: bool = True
    """False where the night's verdict was invalid: drawn hollow, off the line."""


def trend(nights: list[Night], label: str, name: str, baseline: Night | None = None, budget=None, changes=()) -> str:
    """A figure over the nights. ``changes`` are (time, short commit, worse); ``budget`` is a bound or None."""
    if not nights:
        return ""

    def draw(axes: Axes) -> None:
        _nights(axes, [n for n in nights if n.sound], "-", COLOURS["one"])
        _nights(axes, [n for n in nights if not n.sound], "", COLOURS["ground"])
        for time, commit, worse in changes:
            colour = COLOURS["bad" if worse else "good"]
            axes.axvline(time, color=colour, linestyle="--", linewidth=1)
            axes.annotate(commit, (time, 1), xycoords=("data", "axes fraction"), xytext=(3, -8), color=colour, fontsize=8,
                          textcoords="offset points")  # fmt: skip
        if baseline:
            axes.axhline(baseline.value, color=COLOURS["muted"], linewidth=0.8)
            axes.plot(baseline.time, baseline.value, "D", color=COLOURS["two"], markersize=7, markeredgecolor=COLOURS["ink"],
                      zorder=5, label="baseline")  # fmt: skip
        if budget is not None and _near(budget, nights):
            axes.axhline(budget, color=COLOURS["bad"], linestyle=":", linewidth=1.2, label="budget")
        axes.set_ylabel(label)
        _dates(axes, nights)
        _room(axes)

    return _svg(draw, name)


def scatter(points: list[Point], x_label: str, y_label: str, name: str, front: bool = True) -> str:
    """Points with intervals; ``front`` joins those that no other one beats (small x, large y)."""
    if not points:
        return ""

    def draw(axes: Axes) -> None:
        if front:
            best = pareto(points)
            axes.step(
                [p.x for p in best],
                [p.y for p in best],
                where="post",
                color=COLOURS["muted"],
                linewidth=1,
                linestyle="--",
            )
        groups = list(dict.fromkeys(p.group for p in points))
        largest = max(p.size or 0 for p in points) or 1
        for index, group in enumerate(groups):
            _group(axes, [p for p in points if p.group == group], group, SERIES[index % 6], SHAPES[index % 6], largest)
        _names(axes, points)
        axes.set_ylabel(y_label)
        _across(axes, x_label, [p.x for p in points])
        axes.margins(0.12, 0.18)
        middle = sum(axes.get_ylim()) / 2
        axes.set_ylim(
            min(axes.get_ylim()[0], middle - LEAST_HEIGHT / 2), max(axes.get_ylim()[1], middle + LEAST_HEIGHT / 2)
        )
        if groups != [""]:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=len(groups), handletextpad=0.2)

    return _svg(draw, name, (WIDE, 3.4))


def pareto(points: list[Point]) -> list[Point]:
    """Those that no other point beats in both, from small x on."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, -p.y)):
        if not best or point.y > best[-1].y:
            best.append(point)
    return best


def histogram(values: Sequence[float], label: str, name: str, marks: dict[str, float]) -> str:
    """How often each value came, none left out; ``marks`` are named vertical lines. The count is logarithmic, for the rare."""
    if not len(values):
        return ""

    def draw(axes: Axes) -> None:
        low, high = min(values), max(values)
        wide = high > 3 * low > 0
        edges = np.geomspace(low, high, 60) if wide else 60
        axes.hist(values, bins=edges, color=COLOURS["one"], log=True)
        for index, (text, at) in enumerate(marks.items()):
            axes.axvline(at, color=COLOURS["ink"], linewidth=1, linestyle=("-", "--", ":")[index % 3], label=text)
        if wide:
            axes.set_xscale("log")
            _plain_log(axes.xaxis, values)
        _plain_log(axes.yaxis, (1, 1000))
        axes.set(xlabel=label, ylabel="inferences")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(marks), borderaxespad=0)

    return _svg(draw, name)


def ladder(points: list[Point], label: str, name: str) -> str:
    """One point a line, its name on the left, the smallest x at the top."""
    if not points:
        return ""
    rungs = sorted(points, key=lambda p: -p.x)

    def draw(axes: Axes) -> None:
        for height, p in enumerate(rungs):
            whiskers = _whiskers([p.x], [p.x_ci95])
            axes.errorbar(p.x, height, xerr=whiskers, fmt="o", color=COLOURS["one"], markersize=5, capsize=2)
        axes.set_yticks(range(len(rungs)), [p.name for p in rungs])
        axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
        _across(axes, label, [p.x for p in rungs])
        axes.margins(0.08, 0.1)

    return _svg(draw, name, (WIDE, 0.9 + 0.24 * len(rungs)))


def growth(x: Sequence[float], y: Sequence[float], ci95, name: str, label: str, factors, term) -> str:
    """Latency over one quantity; with two ``factors`` the fitted curve, the first plus the second times ``term`` of x."""
    if not len(x):
        return ""

    def draw(axes: Axes) -> None:
        if factors:
            line = np.linspace(min(x), max(x), 200)
            axes.plot(line, factors[0] + factors[1] * term(line), color=COLOURS["two"], label="fit")
        axes.errorbar(
            x, y, _whiskers(y, ci95), fmt="o", color=COLOURS["one"], markersize=5, capsize=2, label="measured"
        )
        axes.set(xlabel=label, ylabel="latency, ms")
        axes.set_xticks(x if len(x) < 7 else x[::2])
        axes.set_ylim(0, 1.1 * max(axes.get_ylim()[1], *y))
        if factors:
            axes.legend(loc="best")

    return _svg(draw, name)


def sustained(rows: list[dict], name: str) -> str:
    """Latency of a long run, and under it temperature and clock where they were told; all over minutes."""
    panels = [(key, text) for key, text in SUSTAINED.items() if any(row.get(key) is not None for row in rows)]
    if not panels:
        return ""

    def draw_all(figure: Figure) -> None:
        for axes, (key, text), colour in zip(_stack(figure, len(panels)), panels, SERIES, strict=False):
            told = [(row["t_s"] / 60, row[key]) for row in rows if row.get(key) is not None]
            axes.plot(*zip(*told, strict=True), color=COLOURS[colour])
            axes.set_ylabel(text)
        axes.set_xlabel("minutes")

    return _figure(draw_all, name, (INCHES[0], 0.7 + 1.1 * len(panels)))


SUSTAINED = {"latency_ms": "latency, ms", "temperature_c": "temperature, °C", "mhz": "clock, MHz"}


def _nights(axes: Axes, nights: list[Night], line: str, face: str) -> None:
    if nights:
        values = [n.value for n in nights]
        whiskers = _whiskers(values, [n.ci95 for n in nights])
        axes.errorbar([n.time for n in nights], values, whiskers, fmt="o" + line, color=COLOURS["one"], markersize=4,
                      markerfacecolor=face, elinewidth=0.8, capsize=1.5)  # fmt: skip


def _whiskers(values: Sequence[float], intervals) -> np.ndarray | None:
    """Distances (2, n) to the ends of the intervals; nought where there is none."""
    if intervals is None:
        return None
    ends = [ci or (value, value) for value, ci in zip(values, intervals, strict=True)]
    return np.array([(max(0.0, v - low), max(0.0, high - v)) for v, (low, high) in zip(values, ends, strict=True)]).T


def _group(axes: Axes, points: list[Point], group: str, colour: str, shape: str, largest: float) -> None:
    for p in points:
        across, along = (_whiskers([v], [ci]) for v, ci in ((p.x, p.x_ci95), (p.y, p.y_ci95)))
        axes.errorbar(p.x, p.y, along, across, fmt="none", ecolor=COLOURS[colour], elinewidth=0.9)
        area = 24 + 250 * (p.size or 0) / largest
        axes.scatter(
            p.x, p.y, area, COLOURS[colour], marker=shape, alpha=0.75, linewidths=0.8, edgecolors=COLOURS["ink"]
        )
    axes.scatter([], [], 40, COLOURS[colour], marker=shape, label=group)


def _names(axes: Axes, points: list[Point]) -> None:
    """Each point's name, above and below in turns, since neighbours are often close."""
    for index, p in enumerate(sorted(points, key=lambda p: p.x)):
        away = (0, 9) if index % 2 else (0, -16)
        axes.annotate(p.name, (p.x, p.y), xytext=away, textcoords="offset points", fontsize=8, ha="center")


def _near(bound: float, nights: list[Night]) -> bool:
    """Whether a bound lies where showing it leaves the figure readable: within three times the values either way."""
    values = [n.value for n in nights]
    return min(values) / 3 <= bound <= max(values) * 3 if min(values) > 0 else True


def _dates(axes: Axes, nights: list[Night]) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=5))
    days = (max(n.time for n in nights) - min(n.time for n in nights)).days
    axes.xaxis.set_major_formatter(DateFormatter("%d %b" if days >= 2 else "%d %b %H:%M"))


def _room(axes: Axes) -> None:
    """At least a tenth of the value above and below, so that noise of one per cent does not look like a mountain range."""
    low, high = axes.get_ylim()
    middle, least = (low + high) / 2, abs(low + high) / 2 * 0.1
    if high - low < 2 * least:
        axes.set_ylim(middle - least, middle + least)


def _across(axes: Axes, label: str, values: Sequence[float]) -> None:
    """Label of the x axis, which is logarithmic where the values are far apart."""
    wide = max(values) > 3 * min(values) > 0
    axes.set_xlabel(f"{label} (logarithmic)" if wide else label)
    if wide:
        axes.set_xscale("log")
        _plain_log(axes.xaxis, values)
    else:
        axes.locator_params(axis="x", nbins=5)


def _plain_log(axis, values: Sequence[float]) -> None:
    """Ticks 1, 2, 5, 10, … in plain figures."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    few = max(values) / max(min(values), 1e-9) > 300
    axis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _stack(figure: Figure, count: int) -> list[Axes]:
    return list(np.atleast_1d(figure.subplots(count, 1, sharex=True)))


def _svg(draw, name: str, inches=INCHES) -> str:
    return _figure(lambda figure: draw(figure.subplots()), name, inches)


def _figure(draw, name: str, inches) -> str:
    """A figure as inline SVG: ids are its own, stand-in colours are variables, and nothing points outside the page."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 class="plot"', svg, count=1)
    prefix = re.sub(r"\W+", "-", name)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r"(font: [^;\"]*?[\d.]+px|font-family:) [^;\"]*", r"\1 var(--face)", svg)
    for variable, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return svg
