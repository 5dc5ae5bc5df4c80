"""Make the tiny bundle of the runtime's tests: ``python tests/data/make_tiny_models.py [FOLDER]``. Needs the workshop.

Two strided convolutions and a linear layer over 16×16 gray crops, four classes, seed 0, weights large enough that different
crops get different labels. Three formats, fp32 and int8, with golden vectors: what ``edgefer.bundle.load`` reads. The folder
given (default: ``tests/data/tiny``) is replaced. The int8 files are quantised from 64 random smooth crops.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compress.calibration import Calibration
from compress.quantize import Plan
from edgefer import bundle, engines, golden
from edgefer.align import warp
from edgefer.files import new_folder
from edgefer.spec import Alignment, ModelSpec
from export import to_litert, to_onnx, to_openvino

SPEC = ModelSpec(
    system="tiny",
    labels=("neutral", "happiness", "surprise", "anger"),
    input_size=16,
    channels=1,
    alignment=Alignment(
        landmarks=((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)),
        boxes={"haar": (0.05, 0.0, 0.9, 0.9), "yunet": (0.15, 0.0, 0.7, 0.95)},
    ),
    licence="Apache-2.0; random weights, learned from nothing",
)


class Tiny(nn.Module):
    """uint8 (1, 16, 16, 1) → probabilities (1, 4)."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)
        )
        with torch.no_grad():
            self.net[-1].weight.mul_(30)

    def forward(self, crop: torch.Tensor) -> torch.Tensor:
        scaled = (crop.permute(0, 3, 1, 2).to(torch.float32) - 128) / 128
        return torch.softmax(self.net(scaled), 1)


def smooth_pictures(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """uint8 (count, height, width) blobs: random 5×5 grey levels, enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 5, 5, 1)).astype(np.float32)
    side = max(height, width)
    matrix = np.array([[side / 5, 0, 0], [0, side / 5, 0.0]])
    return np.stack([warp(picture, matrix, side)[:height, :width, 0] for picture in coarse])


def make(folder: Path) -> None:
    torch.manual_seed(0)
    network = Tiny().eval()
    crops = smooth_pictures(64, 16, 16, seed=1)[..., None]
    faces = Calibration(crops, crops, None, "64 random pictures")
    artifacts = []
    for format_ in (to_litert, to_onnx, to_openvino):
        files = {"fp32": format_.write_fp32(network, SPEC.crop_shape, folder)}
        files["int8"] = format_.write_int8(faces, Plan("plain"), folder)
        artifacts += [bundle.artifact(folder, format_.ENGINE, format_.FORMAT, p, names) for p, names in files.items()]
    made = bundle.Bundle(
        folder=folder,
        name="tiny",
        target="i7",
        spec=SPEC,
        artifacts=tuple(artifacts),
        data={"calibration": {"source": faces.source}, "parity": {}},
        inputs={"seed": 0},
        defaults={"engine": "litert", "precision": "int8", "threads": 1},
    ).write_manifest()
    write_golden(made)
    bundle.seal(folder)


def write_golden(made: bundle.Bundle) -> None:
    frames = smooth_pictures(4, 48, 64, seed=2)
    points = np.array(SPEC.alignment.landmarks, np.float32)
    landmarks = np.stack([points * (24 + 4 * i) + (8 + i, 6) for i in range(len(frames))]).astype(np.float32)
    crops = golden.cut(SPEC, frames, landmarks)
    outputs = {}
    for artifact in made.artifacts:
        engine = engines.load(artifact.engine, made.folder / artifact.file)
        outputs[artifact.engine, artifact.precision] = np.concatenate([engine.infer(crop[None]) for crop in crops])
    golden.write(made.folder, SPEC, frames, landmarks, outputs)


if __name__ == "__main__":
    with new_folder(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("tiny"))) as out:
        make(out)
