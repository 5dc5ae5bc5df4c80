"""One training run in Lightning: cross-entropy against label distributions; accuracy on the hold-out and on valid."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from edgefer.errors import UsageError
from train import models, views
from train.au_graph import Graph, neighbour_term
from train.faces import VALIDATION
from train.ldg import LabelDistributionGenerator
from train.recipe import Recipe

MEAN, SCALE = 128.0, 128.0
"""Normalisation (x − 128) / 128; see ``ModelSpec.mean``."""


def normalised(crops: Tensor) -> Tensor:
    """Grey levels 0…255 → about [−1, 1]."""
    return (crops - MEAN) / SCALE


class Learner(L.LightningModule):
    """A network with its loss, schedule, augmentation and metrics.

    Args:
        recipe: the choices.
        num_classes: classes of the data set.
        seed: of augmentation and dropout.
        ldg: the teacher of label distribution learning, where the recipe has a share for it.
        class_weights: (num_classes,) weight of each class in the loss; None: all alike.
        graph: neighbours of the training faces in Action-Unit space, where the recipe has a factor for them.
        judged: what the LDG says of the recipe's views, kept; None to ask it anew at every step.
    """

    def __init__(
        self,
        recipe: Recipe,
        num_classes: int,
        seed: int,
        ldg: LabelDistributionGenerator | None = None,
        class_weights: Tensor | None = None,
        graph: Graph | None = None,
        judged: views.Judged | None = None,
    ):
        super().__init__()
        self.recipe, self.seed, self.graph, self.judged = recipe, seed, graph, judged
        self._ldg = [ldg]  # in a list, so that its weights are neither trained, averaged nor saved with the run
        try:
            network = models.build(recipe.system, num_classes, recipe.channels, recipe.options)
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"recipe: 'options' do not fit system '{recipe.system}' ({error})") from None
        self.network = convert_conv2d_weight_memory_format(network, torch.channels_last)
        self._branches = getattr(self.network, "branch_logits", None) or (lambda x: [self.network(x)])
        if recipe.compiled:
            self._branches = torch.compile(self._branches, dynamic=False)
        accuracies = {
            f"{average}_accuracy": MulticlassAccuracy(num_classes, average=average) for average in ("micro", "macro")
        }
        self.metrics = torch.nn.ModuleList(
            MetricCollection(accuracies, prefix=f"{name}_").clone() for name in VALIDATION
        )
        self.loss = MeanMetric()
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.curve: list[dict[str, float]] = []
        self.generator: torch.Generator | None = None
        self.view: tuple[Tensor, Tensor | None] | None = None

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
        if self.recipe.views:
            self.view = self._view(self.current_epoch % self.recipe.views)

    def _view(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Crops of every training face in one view, and what the LDG says of them."""
        faces = self.trainer.datamodule.train_faces
        crops = views.drawn(faces.images, self.recipe.augmentation, self.recipe.input_size, self.seed, number)
        if self.judged is None:
            return crops, None
        real = faces.shares[:, 0] > 0
        if self.trainer.is_global_zero:
            self.judged.judge(number, crops[real], normalised)
        self.trainer.strategy.barrier()
        said = torch.zeros_like(faces.targets)
        said[real] = self.judged.judge(number, crops[real], normalised)
        return crops, said

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _index: int) -> Tensor:
        images, target, share, rows = batch
        if self.view is None:
            crops, said = self.recipe.augmentation(images, self.recipe.input_size, self.generator), None
        else:
            crops, said = (part if part is None else part[rows.cpu()].to(self.device) for part in self.view)
            crops = crops.float()
        if said is not None:
            target = share * said + (1 - share) * target
        crops, target, share = self.recipe.augmentation.mixed(crops, target, share)
        x = normalised(crops).contiguous(memory_format=torch.channels_last)
        if said is None and self.ldg is not None:
            judged = share[:, 0] > 0
            target[judged] = share[judged] * self.ldg(x[judged]) + (1 - share[judged]) * target[judged]
        branches = self._branches(x)
        # −Σ d log softmax(logits), mean over the batch (paper 001, Equation 5); summed over branches (paper 000, Section 3).
        loss = sum(F.cross_entropy(logits, target, self.class_weights) for logits in branches)
        if self.graph is not None:
            loss = loss + self.recipe.au_factor * self._neighbour_term(rows, torch.stack(branches).mean(0))
        self.loss.update(loss.detach())
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True)
        return loss

    def _neighbour_term(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Ω of paper 003: the neighbours of the batch's faces, augmented, go through the network as well."""
        neighbours, weights = self.graph.neighbours(rows)
        images = self.trainer.datamodule.train_faces.images[neighbours.flatten().cpu()].to(self.device)
        crops = self.recipe.augmentation(images, self.recipe.input_size, self.generator)
        answers = self.network(normalised(crops).contiguous(memory_format=torch.channels_last))
        return neighbour_term(logits, answers.unflatten(0, neighbours.shape), weights)

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int, dataloader_idx: int = 0) -> None:
        crops, labels = batch
        logits = self.network(normalised(crops.float()).contiguous(memory_format=torch.channels_last))
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

    def parameter_groups(self) -> list[dict]:
        """What AdamW learns; a group may bring a peak learning rate of its own."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        free = [p for p in self.network.parameters() if p.ndim <= 1]
        return [{"params": decayed, "weight_decay": self.recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]

    def configure_optimizers(self) -> dict:
        groups = self.parameter_groups()
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group.get("lr", self.recipe.learning_rate) for group in groups],
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=self.recipe.warmup,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
