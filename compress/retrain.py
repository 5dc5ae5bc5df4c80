"""Training a changed network on by the project's own recipes: ``python -m train`` as a program, resumable like all its runs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgefer.errors import BudgetBroken
from edgefer.spec import ModelSpec
from train import checkpoint, recipe

TEACHER = checkpoint.SHIPPED / "resnet18"
"""Generates the label distributions of recipes that want some, by itself or beside others."""


def recipe_of(spec: ModelSpec) -> str:
    """The recipe a checkpoint was trained by, if it comes with the project, else the one named like its system."""
    name = spec.training.get("recipe", {}).get("name", spec.system)
    return name if name in recipe.names() else spec.system


def run(
    start: Path,
    out: Path,
    name: str,
    data: str | None = None,
    limit: int = 0,
    overrides: Sequence[str] = (),
    teachers: Sequence[Path] = (TEACHER,),
) -> Path:
    """Train a checkpoint's network on from its weights; returns the folder of the trained one.

    Args:
        start: folder of the checkpoint; its options and input size hold, whatever the recipe says.
        out: folder of the run; a run that was begun there goes on, a finished one is not run again.
        name: recipe.
        data: as ``python -m train`` takes it.
        limit: only the first so many training rows; 0: all.
        overrides: changed fields of the recipe, ``epochs=3``.
        teachers: generate the label distributions, if the recipe has a share for them; several are averaged.

    Raises:
        BudgetBroken: the training failed; it has said why.
    """
    trained = out / "checkpoint"
    if (trained / checkpoint.SPEC).exists():
        return trained
    words = command(start, out, name, data, limit, overrides, teachers)
    code = subprocess.run(words, stdout=sys.stderr, check=False).returncode
    if code:
        raise BudgetBroken(f"fine-tuning in {out} ended with exit code {code}; the lines above say why")
    return trained


def command(
    start: Path,
    out: Path,
    name: str,
    data: str | None,
    limit: int,
    overrides: Sequence[str],
    teachers: Sequence[Path] = (TEACHER,),
) -> list[str]:
    """The training run as it could be typed."""
    spec = ModelSpec.load(start / checkpoint.SPEC)
    own = [f"options={json.dumps(spec.options)}", f"input_size={spec.input_size}", f"channels={spec.channels}"]
    chosen = recipe.load(name, [*own, *overrides])
    words = [sys.executable, "-m", "train", "--recipe", name, "--start", str(start), "--out", str(out)]
    for override in (*own, *overrides):
        words += ["--set", override]
    words += ["--ldg", *map(str, teachers)] if chosen.ldg_share > 0 else []
    words += ["--data", data] if data and chosen.data != "synthetic" else []
    return words + (["--limit", str(limit)] if limit else [])
