"""Training a changed network on by the project's own recipes: ``python -m train`` as a program, resumable like all its runs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgefer import errors
from edgefer.spec import ModelSpec
from train import checkpoint, recipe, trainer
from train.evaluate import use_ferplus

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
        out: folder of the run; a run that was begun there goes on, a finished one is not run again, another one is refused.
        name: recipe.
        data: as ``python -m train`` takes it.
        limit: only the first so many training rows; 0: all.
        overrides: changed fields of the recipe, ``epochs=3``.
        teachers: generate the label distributions, if the recipe has a share for them; several are averaged.

    Raises:
        InputRejected: ``out`` holds the run of another network or recipe.
        EdgeferError: the training failed; its kind is that of the program's exit code, and it has said why.
    """
    trained = out / "checkpoint"
    changes = changed(start, name, data, overrides)
    chosen = recipe.load(name, changes)
    teachers = teachers if chosen.ldg_share > 0 else ()
    if (trained / checkpoint.SPEC).exists():
        trainer.claim(out, trainer.described(chosen, 0, limit or None, start, teachers))
        return trained
    words = [sys.executable, "-m", "train", "--recipe", name, "--start", str(start), "--out", str(out)]
    words += [word for change in changes for word in ("--set", change)]
    words += ["--ldg", *map(str, teachers)] if teachers else []
    words += ["--data", data] if data and chosen.data != "synthetic" else []
    words += ["--limit", str(limit)] if limit else []
    code = subprocess.run(words, stdout=sys.stderr, check=False).returncode
    if code:
        raise errors.of(code)(f"fine-tuning in {out} ended with exit code {code}; the lines above say why")
    return trained


def changed(start: Path, name: str, data: str | None, overrides: Sequence[str]) -> list[str]:
    """What of a recipe a checkpoint's own form, FER+ that is not there and the caller change, as ``--set`` takes it."""
    spec = ModelSpec.load(start / checkpoint.SPEC)
    own = [f"options={json.dumps(spec.options)}", f"input_size={spec.input_size}", f"channels={spec.channels}"]
    wants_ferplus = recipe.load(name, overrides).data == "ferplus"
    drawn = ["data=synthetic", "synthetic=0"] if wants_ferplus and not use_ferplus(data) else []
    return [*own, *drawn, *overrides]
