"""What a night's page shows of the studies and of what watched the run: peers, the machine's peak, ``benchmark_app``, factors,
growth, and the waiting workers. Pure: samples of a record in, rows of text and plots out, empty where the record has none.
"""

import numpy as np
from markupsafe import Markup

from benchmarks import growth, plots
from benchmarks.plots import Point
from benchmarks.table import number


def studies(name: str, samples: dict) -> dict:
    """Parts of a target's view, by name. ``name``: the target's, as an id of the page."""
    return {
        "peers": peer_rows(samples.get("peers") or []),
        "peers_plot": Markup(peers_plot(name, samples.get("peers") or [])),
        "peaks": peak_rows(samples.get("peak") or {}),
        "benchmark_app": app_row(samples.get("benchmark_app")),
        "factors": factor_rows(samples.get("factors") or []),
        "growth": growth_plots(name, samples.get("growth") or {}),
        "idle": idle_rows(samples.get("idle_cpu") or {}),
    }


def peak_rows(peaks: dict[str, dict]) -> list[dict]:
    """The machine's measured peak in each precision, and which kernel reached it."""
    return [
        {
            "precision": precision,
            "rate": number(best["gmacs_per_s"]),
            "interval": span(best.get("ci95")),
            "kernel": best["kernel"].split()[-1],
        }
        for precision, best in peaks.items()
    ]


def app_row(found: dict | None) -> dict | None:
    """OpenVINO's own ``benchmark_app`` beside our figures of the same file; None where they were not compared."""
    if not found:
        return None
    return {
        "artifact": found.get("artifact") or "",
        "theirs": number(float(np.median(found["theirs_ms"]))),
        "ours": number(found["ours_ms"]),
        "ratio": f"×{found['ratio']:.3f}",
        "interval": span(found["ratio_ci95"]),
        "noise": f"{100 * found['noise']:.1f} %",
        "call": number(found.get("ours_call_ms")),
        "outside": number(found.get("outside_ms")),
        "agrees": bool(found["agrees"]),
    }


def idle_rows(passes: dict[str, dict]) -> list[dict]:
    """One row an interleaved run: the waiting worker that took most of a core while others were timed."""
    rows = []
    for name, told in passes.items():
        busiest = max(told["workers"].items(), key=lambda pair: pair[1]["share"], default=None)
        if busiest:
            role, worker = busiest
            share, bound = worker["share"], told["bound"]
            rows.append(
                {
                    "name": name,
                    "workers": str(len(told["workers"])),
                    "busiest": role,
                    "share": f"{100 * share:.2f} %",
                    "bound": f"{100 * bound:g} %",
                    "still": share <= bound,
                }
            )
    return rows


def peer_rows(peers: list[dict]) -> list[dict]:
    """Other networks measured in the same run, as text; one that could not be measured has its reason as a note."""
    return [
        {
            "name": row["name"],
            "note": row.get("note") or "",
            "runs": " ".join(str(row[k]) for k in ("engine", "precision") if row.get(k)),
            "input": f"{row['input_size']}²" if row.get("input_size") else "–",
            "latency": number(row.get("latency_ms")),
            "interval": span(row.get("latency_ci95")),
            "ratio": f"×{number(row['ratio'])}" if row.get("ratio") is not None else "–",
            "ratio_interval": span(row.get("ratio_ci95")),
            "params": f"{row['params']:,}" if row.get("params") is not None else "–",
            "size": number(row.get("size_mb")),
            "peak": "–" if row.get("share_of_peak") is None else f"{100 * row['share_of_peak']:.1f} %",
        }
        for row in peers
    ]


def peers_plot(name: str, peers: list[dict]) -> str:
    """Latency of each, on one axis."""
    told = [row for row in peers if row.get("latency_ms") is not None]
    names = [" ".join(str(row[k]) for k in ("name", "engine", "precision") if row.get(k)) for row in told]
    points = [
        Point(x=row["latency_ms"], y=0, name=name_, x_ci95=row.get("latency_ci95"), group=row["name"])
        for row, name_ in zip(told, names, strict=True)
    ]
    return plots.ladder(points, "latency, ms", f"{name}-peers")


def factor_rows(rows: list[dict]) -> list[dict]:
    """The chain from the paper's setting to the artifact, as text."""
    return [
        {
            "step": row["step"],
            "what": row["what"],
            "latency": number(row["latency_ms"]),
            "interval": span(row.get("latency_ci95")),
            **{
                column: f"×{number(row[column])} ({span(row[f'{column}_ci95'])})" if row[column] else "–"
                for column in ("factor", "all")
            },
        }
        for row in rows
    ]


def growth_plots(name: str, axes: dict[str, dict]) -> list[dict]:
    """A plot of each quantity that the cost was measured over, and its fit in words."""
    found = []
    for axis, curve in axes.items():
        heading, fit, model = axis.replace("_", " "), curve.get("fit") or {}, growth.MODELS.get(axis)
        svg = plots.growth(
            curve["x"],
            curve["latency_ms"],
            curve.get("ci95"),
            f"{name}-growth-{axis}",
            label=model.unit if model else heading,
            factors=fit.get("factors") if model else None,
            term=model and model.term,
        )
        told = growth.sentence(fit) if fit else ""
        found.append({"heading": heading, "what": curve.get("what") or "", "svg": Markup(svg), "fit": told})
    return found


def span(ci95: list | None) -> str:
    """The ends of an interval; nothing where there is none."""
    return " … ".join(map(number, ci95 or []))
