"""How the cost grows: with the input's size, with faces in a frame, with threads, with the batch. ``run.py --growth``.

The points of an axis are contenders of one interleaved run. Each axis gets the model that should explain it, fitted by least
squares of relative errors, because times scatter in proportion to themselves. Intervals of the coefficients come from the same
bootstrap over processes and blocks as all others: each resample is fitted. docs/benchmarks-peers.md says what the models mean.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import stats
from benchmarks.contenders import artifact_job
from edgefer.faces import Face
from edgefer.files import new_binary, read_json
from edgefer.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
SIZES = (32, 48, 64, 96, 128, 160, 224)
COUNTS = (1, 2, 4, 8, 16, 32)
"""Faces in a frame, and crops in a batch."""
FRAME, FACE_SIDE, COLUMNS = (480, 640), 72, 8
"""Height and width of the frame that holds the faces, pixels of a face, faces in a row."""
KINDS = {"litert": "litert", "onnxruntime": "onnx", "openvino": "openvino"}
"""Engine → kind of worker that runs a batch: edgefer's engines themselves take one crop."""


@dataclass(frozen=True)
class Model:
    """What should explain an axis: latency as a sum of two terms."""

    axis: str
    unit: str
    """Of x, for labels."""
    formula: str
    term: Callable[[np.ndarray], np.ndarray]
    """The term that the second factor multiplies; the first stands alone."""
    names: tuple[str, str]
    coefficients: Callable[[float, float], tuple[float, float]] = lambda first, second: (first, second)
    """The named coefficients from the two factors."""


MODELS = {
    model.axis: model
    for model in (
        Model("input_size", "side S of the crop, pixels", "a + b·S²", np.square, ("a_ms", "b_ms_per_pixel")),
        Model("faces", "faces n in a frame", "a + b·n", np.positive, ("a_ms", "b_ms_per_face")),
        Model(
            "threads",
            "threads k",
            "t₁·((1 − p) + p/k)",
            np.reciprocal,
            ("t1_ms", "p"),
            lambda a, b: (a + b, b / (a + b)),
        ),
        Model("batch", "crops n in a batch", "a + b·n", np.positive, ("a_ms", "b_ms_per_crop")),
    )
}


def study(session, checkpoint: Path) -> dict:
    """``{"growth": {axis: …}, "growth_interleaved": {axis: raw samples}}``, and a picture beside the record.

    ``checkpoint`` is what the bundle was built from: sizes and batches are exported from it anew.

    Raises:
        InputRejected: the checkpoint is damaged.
    """
    found, raw = {}, {}
    for axis, (what, jobs) in axes(session, checkpoint).items():
        run = session.interleaved(
            f"growth: {axis}", {f"{axis} {x}": job for x, job in jobs.items()}, session.effort.plan
        )
        found[axis] = {"what": what, **explained(axis, list(jobs), list(run.blocks.values()))}
        raw[axis] = run.to_json()
    draw(found, ROOT / "build" / "bench" / f"{session.target.name}-growth.png", f"{session.bundle.spec.system}")
    return {"growth": found, "growth_interleaved": raw}


def axes(session, checkpoint: Path) -> dict[str, tuple[str, dict[int, dict]]]:
    """Axis → what was measured, and x → the job of its worker."""
    target, spec, quick = session.target, session.bundle.spec, session.effort.quick
    sizes, counts = (SIZES[::3], COUNTS[::2]) if quick else (SIZES, COUNTS)
    told = f"{target.engine} {target.precision}, {target.threads} threads"
    bundle = {"bundle": str(session.bundle.folder.resolve()), "engine": target.engine, "precision": target.precision}
    faces = {"kind": "faces", **bundle, "threads": target.threads}
    cores = range(1, len(os.sched_getaffinity(0)) + 1)
    found = {
        "faces": (f"{told}, align and classify", {n: {**faces, "faces": n} for n in counts}),
        "threads": (
            f"{target.engine} {target.precision}, {spec.input_size}²",
            {k: artifact_job(session.bundle, target.engine, target.precision, k) for k in cores},
        ),
    }
    if reason := unfit(checkpoint, spec):
        session.remarks.append(f"growth with input size and batch was not measured: {reason}")
        return found
    one, many = (
        {"kind": "artifact", "engine": target.engine},
        {"kind": KINDS[target.engine], "dtype": "uint8", "spin": False},
    )
    jobs = {s: one | exported_job(session, "growth", checkpoint, target.precision, s) for s in sizes}
    batches = {n: many | exported_job(session, "growth", checkpoint, "fp32", spec.input_size, n) for n in counts}
    return {
        "input_size": (told, jobs),
        **found,
        "batch": (f"{target.engine} fp32, {spec.input_size}², {target.threads} threads", batches),
    }


def unfit(checkpoint: Path, spec: ModelSpec) -> str | None:
    """Why sizes and batches cannot be exported from this checkpoint; None when they can."""
    if not importlib.util.find_spec("torch"):
        return "torch is not installed here (pip install 'edgefer[workshop]')"
    file = Path(checkpoint) / "model.json"
    if not file.is_file():
        return f"no checkpoint at {checkpoint}; name the bundle's own with --checkpoint"
    system = read_json(file).get("system")
    return (
        None
        if system == spec.system
        else f"the checkpoint is {system}, the bundle {spec.system}; name its own with --checkpoint"
    )


def explained(axis: str, x: list[int], blocks: list[np.ndarray]) -> dict:
    """One axis's result: {x, latency_ms, ci95, fit}, from the nanoseconds (rounds, blocks, n) of each point."""
    latency = [stats.median(samples / 1e6) for samples in blocks]
    draws = np.stack([stats.draws(samples / 1e6) for samples in blocks])
    return {
        "x": x,
        "latency_ms": [each.value for each in latency],
        "ci95": [list(each.ci95) for each in latency],
        "fit": fit(MODELS[axis], np.array(x, float), np.array([each.value for each in latency]), draws, len(blocks[0])),
    }


def fit(model: Model, x: np.ndarray, y: np.ndarray, draws: np.ndarray, rounds: int) -> dict:
    """The model's coefficients with intervals, and how much of the variation it explains.

    Args:
        x: (points,).
        y: (points,) milliseconds.
        draws: (points, resamples) milliseconds.
        rounds: from which they were drawn.

    Returns:
        model, coefficients, coefficients_ci95, factors, and r2, which is None with two points: the fit is then exact anyway.
    """
    factors = _least_squares(model, x, y)
    fitted = np.array([model.coefficients(*_least_squares(model, x, draw)) for draw in draws.T])
    rest, total = ((y - predicted(model, factors, x)) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return {
        "model": model.formula,
        "coefficients": dict(zip(model.names, map(float, model.coefficients(*factors)), strict=True)),
        "coefficients_ci95": {
            name: list(stats.interval(values, rounds)) for name, values in zip(model.names, fitted.T, strict=True)
        },
        "r2": float(1 - rest / total) if len(x) > 2 and total > 0 else None,
        "factors": [float(factor) for factor in factors],
    }


def predicted(model: Model, factors: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Milliseconds that the fitted model gives at ``x``."""
    return factors[0] + factors[1] * model.term(x)


def _least_squares(model: Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The two factors that make the sum of squared relative errors least."""
    basis = np.column_stack([np.ones_like(x), model.term(x)])
    return np.linalg.lstsq(basis / y[:, None], np.ones_like(y), rcond=None)[0]


def frame_with_faces(count: int, spec: ModelSpec) -> tuple[np.ndarray, list[Face]]:
    """A frame uint8 (480, 640, 3) and where its faces are; what it shows does not change the cost."""
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), np.uint8)
    step_x, step_y = FRAME[1] // COLUMNS, FRAME[0] // (max(COUNTS) // COLUMNS)
    template = np.array(spec.alignment.landmarks, np.float32) * FACE_SIDE
    faces = []
    for index in range(count):
        x, y = index % COLUMNS * step_x, index // COLUMNS * step_y
        faces.append(Face((x, y, FACE_SIDE, FACE_SIDE), 1.0, "study", template + np.array([x, y], np.float32)))
    return frame, faces


def draw(growth: dict[str, dict], picture: Path, title: str) -> None:
    """One panel an axis: points with their intervals, the fitted line, its formula with numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for panel, (axis, told) in zip(panels, growth.items(), strict=False):
        _panel(panel, MODELS[axis], told)
    for panel in panels[len(growth) :]:
        panel.set_axis_off()
    figure.suptitle(f"{title}: how the cost grows (medians, 95 % intervals)")
    with new_binary(picture) as file:
        figure.savefig(file, format="png", dpi=110)


def _panel(panel, model: Model, told: dict) -> None:
    x, y, ends = np.array(told["x"], float), np.array(told["latency_ms"]), np.array(told["ci95"])
    errors = np.abs(ends.T - y)
    panel.errorbar(x, y, errors, fmt="o", color="#0969da", capsize=3)
    line = np.linspace(x.min(), x.max(), 200)
    panel.plot(line, predicted(model, told["fit"]["factors"], line), color="#cf222e")
    panel.set(xlabel=model.unit, ylabel="latency, ms", ylim=(0, None))
    panel.set_title(f"{told['what']}\n{sentence(told['fit'])}", fontsize=10)
    panel.set_xticks(x, [f"{each:g}" for each in x], fontsize=8)
    panel.grid(alpha=0.3)


def sentence(fit_: dict) -> str:
    """The formula, its coefficients and how well it fits, in one line."""
    numbers = ", ".join(
        f"{_short(name)} = {value:.3g} {_unit(name)}".strip() for name, value in fit_["coefficients"].items()
    )
    explained_ = "exact through two points" if fit_["r2"] is None else f"r² {fit_['r2']:.3f}"
    return f"{fit_['model']}: {numbers}; {explained_}"


def _short(name: str) -> str:
    return {"t1_ms": "t₁"}.get(name, name.split("_")[0])


def _unit(name: str) -> str:
    """``b_ms_per_face`` → ``ms per face``."""
    return name.partition("_")[2].replace("_", " ")


def exported_job(
    session, study: str, checkpoint: Path, precision: str, size: int, batch: int = 1, folder: Path | None = None
) -> dict:
    """What a worker is told of one exported point of a study, whatever its kind.

    ``folder`` keeps the files; None: growth's own.
    """
    from export.study import artifact

    target = session.target
    session.say(f"{study}: exporting {target.engine} {precision}, {size}², batch {batch}")
    root = folder or ROOT / "build" / "growth"
    model = artifact(Path(checkpoint), target.engine, precision, size, batch, root)
    channels = ModelSpec.load(Path(checkpoint) / "model.json").channels
    return {"model": str(model), "threads": target.threads, "shape": [batch, size, size, channels]}
