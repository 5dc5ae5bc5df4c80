"""One training run of the finder in Lightning; watched on composed frames it does not learn from."""

import lightning as L
import numpy as np
import torch
from torch import Tensor

from edgefer import finder
from edgefer.finder_spec import OUTPUTS, FinderSpec
from train.finder import network
from train.finder.loss import FinderLoss, Losses
from train.finder.recipe import Recipe
from train.learner import MEAN, SCALE, normalised

THRESHOLD, OVERLAP = 0.5, 0.3
"""Until ``train.finder.tune`` has chosen a threshold."""


def spec_of(recipe: Recipe, **more) -> FinderSpec:
    """The FinderSpec of a recipe's network."""
    options = {"widths": recipe.widths, "depths": recipe.depths, "heads": recipe.heads}
    values = {"threshold": THRESHOLD, "overlap": OVERLAP, "mean": MEAN, "scale": SCALE, **more}
    return FinderSpec(
        "face_finder", recipe.input_size, network.STRIDES, network.UNITS, options=options, **values
    )  # fmt: skip


class FinderLearner(L.LightningModule):
    """The network with its loss, schedule and what it is watched by."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe, self.spec = recipe, spec_of(recipe)
        made = network.FaceFinder(**self.spec.options)
        self.network = made.to(memory_format=torch.channels_last)
        self.losses = torch.nn.ModuleDict({str(s): FinderLoss(s) for s in {recipe.input_size, recipe.first_size}})
        self.curve: list[dict[str, float]] = []
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._counted = {"faces": 0, "found": 0, "false": 0, "frames": 0}
        self._off: list[float] = []
        self._totals: list[float] = []

    def _losses_of(self, batch: list[Tensor]) -> tuple[Losses, tuple[Tensor, Tensor, Tensor]]:
        images, boxes, landmarks, there = batch
        x = normalised(images[:, None].float()).contiguous(memory_format=torch.channels_last)
        outputs = self.network(x)
        loss = self.losses[str(images.shape[-1])]
        return loss(tuple(o.float() for o in outputs), loss.targets(boxes, landmarks, there)), outputs

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        losses, _ = self._losses_of(batch)
        for name, value in zip(Losses._fields, losses, strict=True):
            self.log(f"train_{name}", value, on_epoch=True, on_step=False, prog_bar=True)
        self._totals.append(float(losses.total.detach()))
        return losses.total

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        _, (scores, boxes, landmarks) = self._losses_of(batch)
        outputs = scores.sigmoid(), boxes, landmarks
        _, wanted, points, there = (part.cpu().numpy() for part in batch)
        for row in range(len(wanted)):
            single = {k: o[row : row + 1].float().cpu().numpy() for k, o in zip(OUTPUTS, outputs, strict=True)}
            found = finder.decode(single, self.spec)
            self._count(found, wanted[row][there[row]], points[row][there[row]])

    def _count(self, found: finder.Found, wanted: np.ndarray, points: np.ndarray) -> None:
        rows = finder.pairs(found.boxes, np.concatenate([wanted[:, :2], wanted[:, :2] + wanted[:, 2:]], 1))
        self._counted["faces"] += len(wanted)
        self._counted["found"] += int((rows >= 0).sum())
        self._counted["false"] += int((rows < 0).sum())
        self._counted["frames"] += 1
        right = ((landmarks, points[row]) for landmarks, row in zip(found.landmarks, rows, strict=True) if row >= 0)
        self._off += [finder.landmarks_off(*pair) for pair in right]

    def on_validation_epoch_end(self) -> None:
        counted = self._counted
        row = {
            "epoch": self.current_epoch,
            "train_loss": float(np.mean(self._totals)) if self._totals else 0.0,
            "tune_found": counted["found"] / max(1, counted["faces"]),
            "tune_false_per_frame": counted["false"] / max(1, counted["frames"]),
            "tune_landmarks_off": float(np.median(self._off)) if self._off else 1.0,
        }
        self.log_dict({name: value for name, value in row.items() if name != "epoch"}, prog_bar=True)
        self.curve.append(row)
        self._start_epoch()

    def on_save_checkpoint(self, state: dict) -> None:
        state["curve"] = self.curve

    def on_load_checkpoint(self, state: dict) -> None:
        self.curve = state["curve"]

    def configure_optimizers(self) -> dict:
        parameters = list(self.network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.recipe.rate_at)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
