"""A fixed number of augmented views of the training faces, each judged by the LDG once.

A student of label distribution learning gains from seeing the very crop that its LDG judged, and from long training; together
that costs a forward pass of the larger network at every step. Here the views repeat: epoch e shows view e mod n, drawn from a
seed of its own, so what the LDG says of it can be kept and read again – by later epochs, after a kill, and by other runs with
the same faces, augmentation, seed and LDG.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from train.augment import Augmentation
from train.ldg import LabelDistributionGenerator

CHUNK = 512
"""Faces augmented or judged at once."""
FOLDER = "ldg-views"


def drawn(images: Tensor, augmentation: Augmentation, size: int, seed: int, view: int) -> Tensor:
    """View number ``view`` of uint8 images (N, C, h, w): uint8 (N, C, size, size), the same whenever it is asked for."""
    parts = []
    for start in range(0, len(images), CHUNK):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + view) * 100_003 + start // CHUNK)
        parts.append(augmentation(images[start : start + CHUNK], size, generator).round().byte())
    return torch.cat(parts)


def key(images: Tensor, augmentation: Augmentation, size: int, seed: int, ldg: Sequence[str]) -> str:
    """Short hash of everything on which the LDG's answers depend; ``ldg`` are the hashes of its weights."""
    told = [repr(augmentation), size, seed, list(ldg), list(images.shape)]
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update(images.numpy().tobytes())
    return digest.hexdigest()[:16]


class Judged:
    """What an LDG says of each view, kept in files.

    Args:
        folder: of these faces, augmentation, seed and LDG alone; see ``key``.
        ldg: the generator, on the device where it shall run.
    """

    def __init__(self, folder: Path, ldg: LabelDistributionGenerator):
        self.folder, self.ldg = folder, ldg

    def file(self, view: int) -> Path:
        """Where the answers for a view are kept."""
        return self.folder / f"view-{view}.safetensors"

    def read(self, view: int) -> Tensor | None:
        """Distributions (N, classes) of a view judged before; None if it was not, or its file is damaged."""
        try:
            return safetensors.torch.load_file(self.file(view))["distributions"]
        except (OSError, SafetensorError, KeyError):
            return None

    def judge(self, view: int, crops: Tensor, normalise) -> Tensor:
        """Let the LDG judge uint8 crops (N, C, S, S), unless it did before, and keep its answers: float32 (N, classes)."""
        known = self.read(view)
        if known is not None and len(known) == len(crops):
            return known
        device = next(self.ldg.parameters()).device
        said = [
            self.ldg(normalise(crops[start : start + CHUNK].to(device).float())).cpu()
            for start in range(0, len(crops), CHUNK)
        ]
        distributions = torch.cat(said)
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".view-{view}.part"
        safetensors.torch.save_file({"distributions": distributions}, beside)
        beside.replace(self.file(view))
        return distributions
