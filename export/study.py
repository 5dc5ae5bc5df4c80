"""Files for studies of cost: a checkpoint's network at another input size or batch. Not for bundles: no parity is checked."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from compress import calibration, quantize
from compress.toollog import tool_output
from edgefer.align import resize
from edgefer.errors import UsageError, unknown
from edgefer.files import new_folder, read_json, sha256, write_json
from export import inputs
from export.build import FORMATS
from train import checkpoint as checkpoints
from train.data import synthetic
from train.graph import DeployedGraph

CALIBRATION_FACES, SEED = 8, 2
"""Few: ranges change what an int8 network says, not how long it takes."""


MADE = "made.json"
"""What is in a folder: {"sha256": {file: hash}}, the model first."""


def artifact(checkpoint: Path, engine: str, precision: str, size: int, batch: int, root: Path) -> Path:
    """The model file in a folder of ``root``, written unless one from the same inputs is there whole. Raises: see ``write``."""
    made_from = inputs.network(checkpoint)
    key = hashlib.sha256(repr(sorted(made_from.items())).encode()).hexdigest()[:12]
    folder = root / f"{engine}-{precision}-{size}-{batch}-{key}"
    if not _whole(folder):
        with new_folder(folder) as new:
            names = write(checkpoint, engine, precision, size, batch, new)
            write_json(new / MADE, {"sha256": {name: sha256(new / name) for name in names}})
    return folder / next(iter(read_json(folder / MADE)["sha256"]))


def _whole(folder: Path) -> bool:
    """Whether a folder holds the files that were written into it."""
    if not (folder / MADE).is_file():
        return False
    files = read_json(folder / MADE)["sha256"]
    return all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in files.items())


def write(checkpoint: Path, engine: str, precision: str, size: int, batch: int, folder: Path) -> list[str]:
    """Write a network for crops (batch, size, size, C) into an existing folder; returns the artifact's file names, model first.

    Raises:
        UsageError: no such engine; or int8 of a batch, which the quantisers do not calibrate.
        InputRejected: the checkpoint is damaged.
    """
    formats = {format.ENGINE: format for format in FORMATS}
    if engine not in formats:
        raise unknown("engine", engine, formats, "export/build.py")
    if precision == "int8" and batch > 1:
        raise UsageError(f"a batch of {batch} cannot be written in int8; study batches in fp32")
    network, spec = checkpoints.load(checkpoint)
    spec = replace(spec, input_size=size)
    graph, shape = DeployedGraph(network, spec).eval(), (batch, *spec.crop_shape[1:])
    with tool_output(folder / "export.log", quiet=True):
        names = formats[engine].write_fp32(graph, shape, folder)
        if precision == "int8":
            images = synthetic.faces(CALIBRATION_FACES, SEED).images
            crops = np.stack([resize(image, size, spec.channels) for image in images])
            faces = calibration.Calibration(crops, crops, None, "synthetic faces, for studies of cost")
            names = formats[engine].write_int8(faces, quantize.remedies(vnni=False)[0], folder)
    return names
