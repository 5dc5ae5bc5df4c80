"""What a run learns from and is watched on: the recipe's data set and synthetic faces, as Lightning takes them."""

import copy
from collections.abc import Sequence

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from edgefer.align import to_channels
from edgefer.errors import InputRejected, UsageError
from edgefer.spec import FERPLUS_LABELS
from train import au_graph
from train.data import FaceSet, action_units, balance, crops_of, datasets, drawn, ferplus, synthetic
from train.recipe import Recipe

VALIDATION = ("holdout", "valid")
SYNTHETIC_SEED = 1000
"""Plus the run's seed; calibration, tuning, parity and evaluation use small seeds."""
SIDES = 1.5
"""Large pictures are kept at this multiple of the input size, so that augmentation has pixels to zoom into."""


class TrainingFaces(Dataset):
    """(uint8 image (C, h, w), target distribution (classes,), LDG's share (1,), row); augmented later, as a batch.

    Args:
        faces: to learn from.
        recipe: its targets, balance and channels are obeyed.
        ldg_share: how much of the target an LDG decides.
        seed: of oversampling.
    """

    def __init__(self, faces: FaceSet, recipe: Recipe, ldg_share: float = 0.0, seed: int = 0):
        if recipe.balance == "oversample":
            faces = faces[balance.oversampled(faces, seed)]
        if recipe.targets == "majority":
            faces = faces.evaluated
            target = np.eye(len(faces.classes), dtype=np.float32)[faces.labels]
        else:
            faces = faces[faces.distributions.sum(1) > 0]
            target = faces.distributions
        images = np.stack([to_channels(image, recipe.channels).round().astype(np.uint8) for image in faces.images])
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self.targets = torch.from_numpy(target)
        self.shares = torch.full((len(faces), 1), ldg_share)
        self.names = faces.names

    def __add__(self, other: "TrainingFaces") -> "TrainingFaces":
        """Both sets' faces; of one image size."""
        both = copy.copy(self)
        for name in ("images", "targets", "shares"):
            setattr(both, name, torch.cat([getattr(self, name), getattr(other, name)]))
        both.names = self.names + other.names
        return both

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor, int]:
        return self.images[row], self.targets[row], self.shares[row], row


class EvaluationFaces(Dataset):
    """(uint8 crop (C, S, S), class index)."""

    def __init__(self, faces: FaceSet, recipe: Recipe):
        faces = faces.evaluated
        crops = crops_of(faces, recipe.input_size, recipe.channels)
        self.crops = torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(faces.labels)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.crops[row], self.labels[row]


class Faces(L.LightningDataModule):
    """Training rows shuffled by (seed, epoch) alone, so that a resumed run sees what an unbroken one would have seen.

    Args:
        train: real faces to learn from, of which an LDG judges the recipe's share.
        holdout, valid: faces to watch accuracy on; of equal classes.
        recipe: the choices.
        seed: of order and oversampling.
        extra: faces learned from by their own distributions alone, such as synthetic ones.
    """

    def __init__(
        self, train: FaceSet, holdout: FaceSet, valid: FaceSet, recipe: Recipe, seed: int, extra: Sequence[FaceSet] = ()
    ):
        super().__init__()
        self.recipe, self.seed, self.classes = recipe, seed, train.classes
        self.train_faces = TrainingFaces(train, recipe, recipe.ldg_share, seed)
        for faces in extra:
            self.train_faces += TrainingFaces(faces, recipe)
        self.evaluation_faces = [EvaluationFaces(faces, recipe) for faces in (holdout, valid)]
        self.class_weights = None
        if recipe.balance == "weighted":
            self.class_weights = torch.from_numpy(balance.class_weights(train))

    def train_dataloader(self) -> DataLoader:
        ranks = {"num_replicas": self.trainer.world_size, "rank": self.trainer.global_rank}
        sampler = DistributedSampler(self.train_faces, shuffle=True, seed=self.seed, drop_last=True, **ranks)
        batch = min(self.recipe.batch_size, len(self.train_faces))
        return DataLoader(self.train_faces, batch, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> list[DataLoader]:
        return [DataLoader(faces, 256) for faces in self.evaluation_faces]


def gathered(recipe: Recipe, data: str | None, limit: int | None, seed: int) -> Faces:
    """The faces of a run: the data set's training rows without a fixed tenth (the hold-out), and its validation rows.

    Args:
        recipe: names the data set.
        data: folder that holds it; None for ``EDGEFER_DATA``.
        limit: only the first so many training rows.
        seed: of the run.

    Raises:
        UsageError: the data set has nothing to train on, or synthetic faces are asked for beside another size or classes.
        EnvironmentInvalid, InputRejected: the data set is not there, or damaged.
    """
    known = datasets.get(recipe.data)
    if "train" not in known.splits:
        raise UsageError(f"data set '{recipe.data}' has no training split; it serves evaluation only")
    side = round(SIDES * recipe.input_size)
    train = known.load("train", data, side)
    valid = known.load(datasets.validation_split(recipe.data), data, side)
    held_out = ferplus.holdout(train.names)
    if held_out.all() or not (held_out.any() and len(valid)):
        raise InputRejected(
            f"{known.title}: of {len(train)} + {len(valid)} faces none are left to train or be judged on"
        )
    rows = train[~held_out]
    rows = rows[np.arange(min(limit, len(rows)))] if limit else rows
    extra = []
    if recipe.synthetic:
        if rows.classes != FERPLUS_LABELS:
            raise UsageError(f"synthetic faces show FER+'s eight classes, data set '{recipe.data}' has others")
        print(f"drawing {recipe.synthetic} synthetic faces")
        extra = [synthetic.faces(recipe.synthetic, SYNTHETIC_SEED + seed, rows.images.shape[1])]
    return Faces(rows, train[held_out], valid, recipe, seed, extra)


def action_unit_graph(faces: Faces, source: str | None) -> au_graph.Graph | None:
    """The neighbours of the training faces in Action-Unit space, where the recipe asks for them.

    Args:
        faces: of the run; those without a vector, such as synthetic ones beside real ones, get no neighbours.
        source: file or folder of Action-Unit vectors, or "synthetic" for those of the data set of that name.

    Raises:
        UsageError: the recipe and ``source`` do not go together.
        InputRejected: the vectors are damaged, or those of too few faces.
    """
    recipe = faces.recipe
    if recipe.au_factor == 0:
        if source:
            raise UsageError("--au needs a recipe with au_factor above 0")
        return None
    known = source in (None, "synthetic")
    if known and recipe.data != "synthetic":
        raise UsageError(
            "a recipe with au_factor needs --au, the Action Units of the faces, unless its data are synthetic"
        )
    names, vectors = drawn.action_units() if known else action_units.read(source)
    options = au_graph.Options(recipe.au_neighbours, recipe.au_sigma, recipe.au_factor)
    return au_graph.build(action_units.matched(names, vectors, faces.train_faces.names), options)
