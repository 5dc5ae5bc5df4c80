"""The finder's recipe: every choice of one training run, read from a YAML file that can be copied and changed."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edgefer.errors import InputRejected, UsageError
from train import recipe

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Choices of one training run."""

    input_size: int = 192
    """Side of the square the network sees, a multiple of 16."""
    first_size: int = 128
    """Side before the last epochs: a smaller one costs less, and a network of convolutions does not mind."""
    widths: list = dataclasses.field(default_factory=lambda: [16, 32, 64, 128])
    """Channels at strides 2, 4, 8 and 16."""
    depths: list = dataclasses.field(default_factory=lambda: [0, 2, 4, 4])
    """Blocks at those strides, besides those that halve the resolution."""
    heads: list = dataclasses.field(default_factory=lambda: [2, 1, 1])
    """Blocks of the heads at strides 4, 8 and 16."""
    photos: int = 0
    """Photographs learned from; 0: all that are for training."""
    synthetic: int = 500
    """Synthetic faces pasted beside the photographed ones."""
    frames: int = 4000
    """Composed frames an epoch, new ones each time."""
    epochs: int = 24
    """Epochs. A run that goes on may be given another number: all before the last epochs does not depend on it."""
    last_epochs: int = 6
    """Of them, at the end, those in which frames have their full size and the learning rate falls."""
    batch_size: int = 16
    """Frames a step."""
    learning_rate: float = 2e-3
    """AdamW's, from the warm-up to the last epochs, in which it falls to a hundredth."""
    weight_decay: float = 0.02
    """AdamW's, on weights of two or more dimensions only."""
    warmup: int = 300
    """Steps in which the learning rate rises."""
    ema: float = 0.997
    """Decay a step of the averaged weights, which are the ones watched and saved."""
    workers: int = 1
    """Processes that compose frames; 0: in the training process."""
    precision: str = "32-true"
    """Lightning's precision."""

    def __post_init__(self):
        for name in ("input_size", "first_size"):
            side = getattr(self, name)
            if side < 32 or side % 16:
                raise UsageError(f"recipe: '{name}' must be a multiple of 16, at least 32, not {side}")
        if len(self.widths) != 4 or len(self.depths) != 4:
            raise UsageError("recipe: 'widths' and 'depths' are four numbers each, of strides 2, 4, 8 and 16")
        if len(self.heads) != 3:
            raise UsageError("recipe: 'heads' are three numbers, of strides 4, 8 and 16")
        for name in ("frames", "epochs", "batch_size", "warmup"):
            if getattr(self, name) < 1:
                raise UsageError(f"recipe: '{name}' must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.last_epochs <= self.epochs:
            raise UsageError(f"recipe: 'last_epochs' must be from 0 to 'epochs', not {self.last_epochs}")

    def size_at(self, epoch: int) -> int:
        """Side of the frames in an epoch, counted from 0."""
        return self.first_size if epoch < self.epochs - self.last_epochs else self.input_size

    def rate_at(self, step: int) -> float:
        """Learning rate at a step, counted from 0, as a fraction of ``learning_rate``: rises, stays, falls."""
        steps = self.frames // self.batch_size
        left = (self.epochs * steps - step) / max(1, self.last_epochs * steps)
        return min(1.0, (step + 1) / self.warmup, max(0.01, left))

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def load(name: str, overrides: list[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file by path, with ``key=value`` overrides; raises as ``train.recipe.load``."""
    value, path = recipe.read(name, FOLDER, overrides)
    problems = recipe.problems(Recipe, value)
    if problems:
        raise InputRejected(f"{path}: {'; '.join(problems)}")
    return Recipe(**value)
