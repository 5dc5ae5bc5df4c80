"""What is judged: a checkpoint run in fp32 torch, or an artifact of a bundle run by its engine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from edgefer import bundle, engines
from edgefer.spec import ModelSpec
from train import checkpoint, graph
from train.data.layout import SEVEN


@dataclass(frozen=True)
class Subject:
    """A model that can be asked about crops."""

    name: str
    """System and what runs it, for reports: ``efficientface, torch fp32``."""
    spec: ModelSpec
    probabilities: Callable[[np.ndarray], np.ndarray]
    """uint8 (N, S, S, C) → float32 (N, classes)."""
    network: nn.Module | None = None
    """In evaluation mode; None for an artifact, which has no gradients."""


def of_checkpoint(folder: Path) -> Subject:
    """A checkpoint's network in fp32 torch.

    Raises:
        InputRejected: the checkpoint is damaged.
    """
    network, spec = checkpoint.load(folder)
    return Subject(f"{spec.system}, torch fp32", spec, lambda crops: graph.probabilities(network, spec, crops), network)


def of_artifact(folder: Path, engine: str | None = None, precision: str | None = None) -> Subject:
    """An artifact of a bundle; engine and precision default to the bundle's own.

    Raises:
        InputRejected: the bundle is damaged.
        UsageError: it has no such artifact.
    """
    opened = bundle.load(folder)
    name, precision = engine or opened.defaults["engine"], precision or opened.defaults["precision"]
    artifact = opened.artifact(name, precision)
    loaded = engines.load(name, opened.folder / artifact.file, opened.defaults["threads"])
    return Subject(
        f"{opened.spec.system}, {name} {precision}", opened.spec, lambda crops: engine_probabilities(loaded, crops)
    )


def without_contempt(judged: Subject) -> Subject:
    """The same model choosing among FER+'s first seven classes: never contempt, the others' probabilities sum to 1 again."""
    kept = len(SEVEN)
    if len(judged.spec.labels) <= kept:
        return judged

    def probabilities(crops: np.ndarray) -> np.ndarray:
        # All but contempt may be 0.
        others = np.maximum(judged.probabilities(crops)[:, :kept], np.finfo(np.float32).tiny)
        return others / others.sum(1, keepdims=True)

    return replace(judged, spec=replace(judged.spec, labels=judged.spec.labels[:kept]), probabilities=probabilities)


def engine_probabilities(engine: engines.Engine, crops: Iterable[np.ndarray]) -> np.ndarray:
    """Run an engine crop by crop (batch 1, as a device does): float32 (N, classes)."""
    return np.concatenate([engine.infer(crop[None]) for crop in crops])
