"""One training run in Lightning: cross-entropy against label distributions; accuracy on the hold-out and on valid."""

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from train import models
from train.data import FaceSet, crops_of
from train.ldg import LabelDistributionGenerator
from train.recipe import Recipe

MEAN, SCALE = 128.0, 128.0
"""Normalisation (x − 128) / 128; see ``ModelSpec.mean``."""
VALIDATION = ("holdout", "valid")


def normalised(crops: Tensor) -> Tensor:
    """Grey levels 0…255 → about [−1, 1]."""
    return (crops - MEAN) / SCALE


class TrainingFaces(Dataset):
    """(uint8 image (C, h, w), target distribution (classes,), row); augmented later, as a batch."""

    def __init__(self, faces: FaceSet, recipe: Recipe):
        if recipe.targets == "majority":
            faces = faces.evaluated
            target = np.eye(faces.distributions.shape[1], dtype=np.float32)[faces.labels]
        else:
            faces = faces[faces.distributions.sum(1) > 0]
            target = faces.distributions
        images = faces.images if faces.images.ndim == 4 else faces.images[..., None]
        if images.shape[3] == 1 and recipe.channels == 3:
            images = np.repeat(images, 3, axis=3)
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self.targets = torch.from_numpy(target)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, int]:
        return self.images[row], self.targets[row], row


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
    """Training rows shuffled by (seed, epoch) alone, so that a resumed run sees what an unbroken one would have seen."""

    def __init__(self, train: FaceSet, holdout: FaceSet, valid: FaceSet, recipe: Recipe, seed: int):
        super().__init__()
        self.recipe, self.seed = recipe, seed
        self.train_faces = TrainingFaces(train, recipe)
        self.evaluation_faces = [EvaluationFaces(faces, recipe) for faces in (holdout, valid)]

    def train_dataloader(self) -> DataLoader:
        ranks = {"num_replicas": self.trainer.world_size, "rank": self.trainer.global_rank}
        sampler = DistributedSampler(self.train_faces, shuffle=True, seed=self.seed, drop_last=True, **ranks)
        batch = min(self.recipe.batch_size, len(self.train_faces))
        return DataLoader(self.train_faces, batch, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> list[DataLoader]:
        return [DataLoader(faces, 256) for faces in self.evaluation_faces]


class Learner(L.LightningModule):
    """A network with its loss, schedule, augmentation and metrics."""

    def __init__(self, recipe: Recipe, num_classes: int, seed: int, ldg: LabelDistributionGenerator | None = None):
        super().__init__()
        self.recipe, self.seed = recipe, seed
        self._ldg = [ldg]  # in a list, so that its weights are neither trained, averaged nor saved with the run
        network = models.build(recipe.system, num_classes, recipe.channels, recipe.options)
        self.network = network.to(memory_format=torch.channels_last)
        if recipe.compiled:
            self.network.compile(dynamic=False)
            if ldg is not None:
                ldg.compile(dynamic=False)
        accuracies = {
            f"{average}_accuracy": MulticlassAccuracy(num_classes, average=average) for average in ("micro", "macro")
        }
        self.metrics = torch.nn.ModuleList(
            MetricCollection(accuracies, prefix=f"{name}_").clone() for name in VALIDATION
        )
        self.loss = MeanMetric()
        self.curve: list[dict[str, float]] = []
        self.generator: torch.Generator | None = None

    @property
    def ldg(self) -> LabelDistributionGenerator | None:
        """The frozen teacher of LDL, where the recipe has one."""
        return self._ldg[0]

    def on_train_epoch_start(self) -> None:
        if self.ldg is not None:
            self.ldg.to(self.device)
        ranks = self.trainer.world_size
        draw = ((self.seed * 100_003 + self.current_epoch) * ranks + self.global_rank) % 2**63
        self.generator = torch.Generator(self.device).manual_seed(draw)
        torch.manual_seed(draw)  # dropout and mixup draw from the global generator, which a resumed run must find alike

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _index: int) -> Tensor:
        images, target, _rows = batch
        crops = self.recipe.augmentation(images, self.recipe.input_size, self.generator)
        crops, target = self.recipe.augmentation.mixed(crops, target)
        x = normalised(crops).contiguous(memory_format=torch.channels_last)
        if self.ldg is not None:
            share = self.recipe.ldg_share
            target = share * self.ldg(x) + (1 - share) * target
        branches = self.network.branch_logits(x) if hasattr(self.network, "branch_logits") else [self.network(x)]
        loss = sum(F.cross_entropy(logits, target) for logits in branches)
        self.loss.update(loss.detach())
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int, dataloader_idx: int = 0) -> None:
        crops, labels = batch
        # forward itself, past torch.compile: the odd sizes of the last batches would each be compiled anew.
        logits = self.network.forward(normalised(crops.float()).contiguous(memory_format=torch.channels_last))
        self.metrics[dataloader_idx].update(logits, labels)

    def on_validation_epoch_end(self) -> None:
        row = {"epoch": self.current_epoch, "train_loss": float(self.loss.compute())}
        for metrics in self.metrics:
            found = metrics.compute()
            self.log_dict(found, prog_bar=True)
            row |= {name: float(value) for name, value in found.items()}
            metrics.reset()
        self.loss.reset()
        self.curve.append(row)

    def on_save_checkpoint(self, state: dict) -> None:
        state["curve"] = self.curve

    def on_load_checkpoint(self, state: dict) -> None:
        self.curve = state["curve"]

    def configure_optimizers(self) -> dict:
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        free = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.recipe.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=self.recipe.warmup,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
