"""A recipe: every choice of one training run, read from a YAML file that can be copied and changed."""

import dataclasses
import math
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from edgefer.errors import InputRejected, UsageError, unknown
from train.augment import Augmentation

FOLDER = Path(__file__).parent / "recipes"
ROOT = FOLDER.parents[1]
TARGETS = ("majority", "votes")
BALANCES = ("none", "oversample", "weighted")
PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True)
class Recipe:
    """Choices of one training run."""

    system: str
    """Network: a name of ``train.models.SYSTEMS``."""
    options: dict = field(default_factory=dict)
    """Constructor options of the network besides num_classes and channels."""
    input_size: int = 64
    """Side of the crop in pixels."""
    channels: int = 1
    """1: gray. 3: RGB (gray data is repeated)."""
    data: str = "ferplus"
    """Data set: a name of ``train.data.datasets.DATASETS``."""
    balance: str = "none"
    """Rare classes: "none" as they are, "oversample" rows until all classes are as frequent, or "weighted" loss."""
    targets: str = "votes"
    """What is learned: "majority" single labels of the protocol's rows, or the crowd's "votes" of all rows that have any;
    without a crowd both are the single label."""
    ldg_share: float = 0.0
    """Label distribution learning: share of the LDG's distribution in what is learned, the rest is ``targets``; 1 is LDL as in
    paper 001. Above 0, ``--ldg`` names the LDG."""
    ldg_bf16: bool = False
    """Run the LDG in bfloat16, where the hardware gains from it."""
    views: int = 0
    """Augmented views that there are of every face, seen one an epoch and then again; 0: a new one every epoch. An LDG judges
    each view once and its answers are kept beside the run, also for other runs, so that a long training pays for it only in
    the first epochs."""
    au_factor: float = 0.0
    """λ of the Action-Unit graph's term (paper 003), which asks for similar answers to faces with similar Action Units; 0:
    without. Above 0, ``--au`` names the faces' Action Units."""
    au_neighbours: int = 4
    """K of that graph. Every neighbour goes through the network too, so a step costs 1 + K times as much."""
    au_sigma: float = 1.0
    """σ of that graph: a neighbour at distance d weighs exp(−d/σ²)."""
    synthetic: int = 0
    """Synthetic faces learned from beside real ones."""
    epochs: int = 40
    """Passes over the training rows."""
    batch_size: int = 128
    """Faces a step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule, AdamW."""
    weight_decay: float = 0.05
    """AdamW's, on weights of two or more dimensions only."""
    warmup: float = 0.15
    """Fraction of the steps in which the learning rate rises."""
    ema: float = 0.999
    """Decay a step of the averaged weights, which are the ones validated and saved; 0: none."""
    precision: str = "32-true"
    """Lightning's precision: "32-true", or "bf16-mixed" where the hardware gains from it."""
    compiled: bool = False
    """Through torch.compile: a minute to start, then up to 1.8 times as fast on a CPU at 64²; needs a C++ compiler."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Random changes of the training faces."""

    def __post_init__(self):
        if self.targets not in TARGETS:
            raise unknown("targets", self.targets, TARGETS)
        if self.balance not in BALANCES:
            raise unknown("balance", self.balance, BALANCES)
        for name in ("input_size", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"recipe: '{name}' must be at least 1, not {getattr(self, name)}")
        if self.au_factor and self.augmentation.mixup:
            raise UsageError("recipe: 'au_factor' compares single faces, so it cannot go with 'augmentation.mixup'")
        if self.au_factor and self.balance == "oversample":
            raise UsageError(
                "recipe: with balance 'oversample' the neighbours of 'au_factor' would be a face's own copies"
            )
        if self.synthetic and self.data == "synthetic":
            raise UsageError("recipe: data 'synthetic' holds the faces that 'synthetic' would add; set synthetic=0")
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        for name in ("views", "synthetic", "weight_decay", "au_factor"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"recipe: '{name}' must be at least 0, not {getattr(self, name)}")
        for name, open_ in {"ldg_share": False, "warmup": True, "ema": True}.items():
            value = getattr(self, name)
            if not 0 <= value <= 1 or (open_ and value == 1):
                raise UsageError(f"recipe: '{name}' is a share from 0 to {'below ' if open_ else ''}1, not {value}")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"recipe: 'learning_rate' must be above 0, not {self.learning_rate}")

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(recipe: str, overrides: list[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file by path, with ``key=value`` overrides (values are YAML; dots reach inside).

    Raises:
        UsageError: no such recipe, or an override that is not ``key=value``.
        InputRejected: not YAML, or fields that are unknown, missing or of the wrong kind; all of them at once.
    """
    value, path = read(recipe, FOLDER, overrides)
    return from_json(value, str(path))


def read(recipe: str, folder: Path, overrides: list[str] = ()) -> tuple[dict, Path]:
    """A recipe's plain data and its file, by name in ``folder`` or by path; overridden, not yet checked; raises as ``load``."""
    path = Path(recipe) if recipe.endswith(".yaml") else folder / f"{recipe}.yaml"
    if not path.is_file():
        there = sorted(file.stem for file in folder.glob("*.yaml"))
        raise unknown("recipe", recipe, there, f"{folder.relative_to(ROOT).as_posix()}/")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputRejected(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise InputRejected(f"{path} must hold 'field: value' lines")
    for override in overrides:
        _override(value, override)
    return value, path


def changed(chosen: Recipe, overrides: list[str]) -> Recipe:
    """A recipe with ``key=value`` overrides, as ``load`` takes them. Raises: as ``load``."""
    value = chosen.to_json()
    for override in overrides:
        _override(value, override)
    return from_json(value)


def from_json(value: dict, source: str = "recipe") -> Recipe:
    """Build a recipe from plain data; ``source`` names the file in errors."""
    value = dict(value)
    found = problems(Recipe, value)
    augmentation = value.get("augmentation", {})
    if isinstance(augmentation, dict):
        found += [f"augmentation: {p}" for p in problems(Augmentation, augmentation)]
    if found:
        raise InputRejected(f"{source}: {'; '.join(found)}")
    return Recipe(**{**value, "augmentation": Augmentation(**augmentation)})


def _override(value: dict, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError(f"--set takes key=value, not '{override}'")
    *parents, last = key.split(".")
    for parent in parents:
        value = value.setdefault(parent, {})
        if not isinstance(value, dict):
            raise UsageError(f"--set {override}: '{parent}' has nothing inside")
    try:
        value[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise UsageError(f"--set {override}: '{text}' is no YAML value") from None


def problems(cls: type, value: dict) -> list[str]:
    """Unknown fields, missing fields, and values not of the field's kind."""
    known = {f.name: f for f in fields(cls)}
    found = [f"unknown field '{name}' (there are {', '.join(known)})" for name in value if name not in known]
    for name, f in known.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if name not in value:
            found += [f"field '{name}' is missing"] if required else []
            continue
        kinds = {int: int, float: (int, float), str: str, bool: bool, dict: dict, list: list}.get(f.type, dict)
        if not isinstance(value[name], kinds) or (f.type is not bool and isinstance(value[name], bool)):
            wanted = getattr(f.type, "__name__", "mapping")
            found.append(f"field '{name}' must be {wanted}, not {value[name]!r}")
    return found
