"""Synthetic faces as a data set: something to train on where there is none, with exact Action Units.

A network trained on them alone recognises drawings, not people.
"""

from pathlib import Path

import numpy as np

from train.data import FaceSet, synthetic

TITLE = "synthetic faces"
FACES = {"train": 6000, "valid": 1000}
SEEDS = {"train": 1000, "valid": 2}
"""Training takes the seed that a recipe's ``synthetic`` begins at; valid is the synthetic evaluation set."""
SPLITS = tuple(FACES)
LAYOUT = "nothing: the faces are drawn"
LICENCE = "Apache-2.0, as the program that draws them"
PROTOCOL = f"synthetic faces (version {synthetic.VERSION}), labels by construction, 8 classes"
SIDE = 48


def find(data: str | Path | None = None) -> Path | None:
    """None: there is no copy to find, and none is needed."""
    return None


def load(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """Draw a split, gray faces of ``side`` (48) pixels."""
    return synthetic.faces(FACES[split], SEEDS[split], max(side or SIDE, SIDE))


def action_units() -> tuple[tuple[str, ...], np.ndarray]:
    """Names and Action Units float32 (N, 18) of the training faces."""
    names, units, _ = synthetic.actions(FACES["train"], SEEDS["train"])
    return names, units
