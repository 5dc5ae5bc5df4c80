"""The pictures of an evaluation: confusion matrix, reliability diagram, class-activation maps. Each is one PNG file."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from edgefer.files import new_binary
from train.evaluate import cam
from train.evaluate.metrics import BINS
from train.evaluate.subject import Subject

DPI = 130
BLUE, PALE, RED, GREEN, INK = "#2f6db5", "#9cc3ea", "#d1495b", "#1a7f37", "#24292f"
FACES_EACH = 3
"""Right and wrong faces of each class among the activation maps."""


def write(
    folder: Path, subject: Subject, result: dict, crops: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> list[Path]:
    """Write the pictures of one evaluation into ``folder``; activation maps only where ``subject`` has a network.

    Args:
        folder: made when it is not there.
        subject: what was evaluated.
        result: its figures, as ``metrics.score`` gives them, with "protocol".
        crops: uint8 (N, S, S, C) it was asked about.
        labels: int (N,), the true classes.
        probabilities: float (N, classes), its answers.

    Raises:
        UsageError: the folder cannot be written.
    """
    title = f"{subject.name}: {result['protocol']}"
    figures = {"confusion.png": confusion(result, title), "reliability.png": reliability(result, title)}
    if subject.network is not None:
        figures["activation.png"] = activation(subject, crops, labels, probabilities, title)
    return [_save(figure, folder / name) for name, figure in figures.items()]


def confusion(result: dict, title: str) -> Figure:
    """Rows true, columns answered: colour and upper figure are percent of the row, the lower figure counts faces."""
    names, counts = result["confusion"]["labels"], np.array(result["confusion"]["counts"])
    faces = counts.sum(1, keepdims=True)
    shares = np.divide(counts, faces, out=np.zeros(counts.shape), where=faces > 0)
    figure, axes = _figure(1.1 + 0.82 * len(names), 1.5 + 0.72 * len(names), f"{title}\n{_accuracy(result)}")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else INK
        if counts[row, column]:
            axes.text(column, row - 0.12, f"{100 * share:.1f}", ha="center", va="center", color=colour, size=10.5)
            axes.text(column, row + 0.24, f"{counts[row, column]}", ha="center", va="center", color=colour, size=7.5)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), [f"{name}\n({n})" for name, n in zip(names, faces[:, 0], strict=True)])
    axes.set(xlabel="answered", ylabel="true (faces)")
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return figure


def reliability(result: dict, title: str) -> Figure:
    """Accuracy of each bin of confidence, where its mean confidence is off it, and how many faces each bin holds."""
    bins = result["reliability"]
    told = f"expected calibration error {result['ece']:.2%}, {BINS} bins"
    figure, (upper, lower) = _figure(6.2, 6.6, f"{title}\n{told}", nrows=2, height_ratios=(3, 1), sharex=True)
    middles, width = [(row["low"] + row["high"]) / 2 for row in bins], 0.94 / BINS
    accuracy, confidence = (np.array([row[key] for row in bins]) for key in ("accuracy", "confidence"))
    shared = np.minimum(accuracy, confidence)
    upper.bar(middles, shared, width, color=BLUE)
    for missing, colour, told in (
        (accuracy - shared, PALE, "right more often than it is sure"),
        (confidence - shared, RED, "sure more often than it is right"),
    ):
        upper.bar(middles, missing, width, shared, color=colour, label=told)
    upper.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, label="calibrated")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    upper.legend(loc="upper left", frameon=False)
    counts = [row["n"] for row in bins]
    lower.bar_label(lower.bar(middles, counts, width, color=BLUE), counts, size=7, color=INK, padding=1)
    lower.set(xlabel="confidence: probability of the answer", ylabel="faces")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def activation(
    subject: Subject, crops: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, title: str
) -> Figure:
    """For each class, right faces and wrong ones: the crop, and over it in red what spoke for the answer given."""
    predicted, names = probabilities.argmax(1), subject.spec.labels
    drawn = cam.chosen(labels, predicted, FACES_EACH)
    rows = np.concatenate([row for pair in drawn.values() for row in pair])
    layer = cam.cam_layer(subject.network, subject.spec)
    found = cam.class_activation(subject.network, layer, subject.spec, crops[rows], predicted[rows])
    maps = dict(zip(rows, found, strict=True))
    told = f"Grad-CAM at {cam.name_of(subject.network, layer)}; red speaks for the answer above the face; faces drawn by chance"
    figure = Figure(figsize=(2.02 * 2 * FACES_EACH + 1.4, 1.24 * len(drawn) + 0.9), layout="constrained")
    figure.suptitle(f"{title}\n{told}", size=10, color=INK)
    for line, (k, pair) in zip(_grid(figure, len(drawn)), drawn.items(), strict=True):
        for places, of_class, colour in zip(line, pair, (GREEN, RED), strict=True):
            for axes, row in zip(places, of_class, strict=False):
                axes.set_title(f"{names[predicted[row]]} {probabilities[row].max():.0%}", size=8, pad=2, color=colour)
                _face(axes, crops[row], maps[row])
        first = line[0][0]
        first.text(-0.06, 0.5, names[k], transform=first.transAxes, ha="right", va="center", size=10, color=INK)
    return figure


def _grid(figure: Figure, lines: int) -> list[tuple]:
    """For each line the axes of its right faces and of its wrong faces, with room between the two."""
    ratios = [1] * FACES_EACH + [0.06] + [1] * FACES_EACH
    grid = figure.subplots(lines, len(ratios), squeeze=False, gridspec_kw={"width_ratios": ratios})
    for axes in grid.flat:
        axes.set_axis_off()
    return [(line[:FACES_EACH], line[FACES_EACH + 1 :]) for line in grid]


def _face(axes, crop: np.ndarray, heat: np.ndarray) -> None:
    plain = np.repeat(crop, 3, axis=2) if crop.shape[2] == 1 else crop
    over = np.clip(0.55 * plain + 0.45 * 255 * colormaps["jet"](heat)[..., :3], 0, 255).astype(np.uint8)
    gap = np.full((len(crop), max(1, len(crop) // 24), 3), 255, np.uint8)
    axes.imshow(np.hstack([plain, gap, over]), interpolation="bilinear")
    if not heat.any():
        axes.text(0.76, 0.04, "no positive value", transform=axes.transAxes, ha="center", size=6.5, color="white")


def _figure(width: float, height: float, title: str, **subplots):
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, size=10, color=INK)
    ratios = subplots.pop("height_ratios", None)
    return figure, figure.subplots(gridspec_kw={"height_ratios": ratios} if ratios else None, **subplots)


def _accuracy(result: dict) -> str:
    low, high = result["ci95"]
    return f"accuracy {result['accuracy']:.2%} [{low:.2%}, {high:.2%}] on {result['n']} faces"


def _save(figure: Figure, path: Path) -> Path:
    with new_binary(path) as file:
        figure.savefig(file, format="png", dpi=DPI, facecolor="white")
    return path
