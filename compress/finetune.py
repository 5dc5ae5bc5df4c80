"""Fine-tuning of a network into which NNCF has put operations of its own, by the project's own training.

The recipe is the one that the checkpoint was trained by, or another, with fewer epochs and a lower learning rate. Weights are
not averaged, and NNCF's own parameters are not decayed.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
from torch import Tensor, nn

from edgefer.errors import EnvironmentInvalid, UsageError
from edgefer.spec import ModelSpec
from train import checkpoint, ldg, recipe, trainer
from train.faces import Faces, gathered
from train.learner import Learner

HOOKS = "__nncf_hooks"
"""In the names of the modules that NNCF adds to a network."""


class Traced(nn.Module):
    """A network behind a plain forward: (B, channels, S, S) → (B, classes).

    NNCF follows one call of the whole module. A network of several branches thus learns by the mean of its branches' logits.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


class Tuner(Learner):
    """A ``Learner`` whose network is given to it, with or without NNCF's operations, not built from the recipe."""

    def __init__(self, network: nn.Module, chosen: recipe.Recipe, faces: Faces, seed: int, teacher=None):
        super().__init__(chosen, len(faces.classes), seed, teacher, faces.class_weights)
        self.network = network

    def parameter_groups(self) -> list[dict]:
        own = {id(p) for name, p in self.network.named_parameters() if HOOKS in name}
        groups = super().parameter_groups()
        for group in groups:
            group["params"] = [p for p in group["params"] if id(p) not in own]
        return [*groups, {"params": [p for p in self.network.parameters() if id(p) in own], "weight_decay": 0.0}]


def add_arguments(parser: argparse.ArgumentParser, epochs: int, learning_rate: float) -> None:
    """The options that every method with fine-tuning takes."""
    parser.add_argument("--checkpoint", required=True, type=Path, help="folder of a trained checkpoint")
    parser.add_argument(
        "--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic faces)"
    )
    parser.add_argument("--recipe", help="to fine-tune by: a name or a YAML file (default: the checkpoint's own)")
    trainer.add_arguments(parser)
    parser.add_argument("--epochs", type=int, default=epochs, help=f"of fine-tuning (default {epochs})")
    parser.add_argument(
        "--learning-rate", type=float, default=learning_rate, help=f"its peak (default {learning_rate:g})"
    )
    parser.add_argument("--seed", type=trainer.seed, default=0, help="of order and augmentation (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the evidence to FILE as well")


def recipe_for(spec: ModelSpec, args: argparse.Namespace, synthetic: bool) -> recipe.Recipe:
    """The recipe of the fine-tuning: ``--recipe`` or the checkpoint's own, for the checkpoint's network, crops and ``--set``.

    Without ``--ldg`` it learns from the data set's own targets alone.

    Raises:
        UsageError: the checkpoint does not tell its recipe and none is named, or a field has no such value.
        InputRejected: the recipe cannot be read.
    """
    if args.recipe:
        value = recipe.load(args.recipe).to_json()
    else:
        value = {k: v for k, v in (spec.training.get("recipe") or {}).items() if k != "name"}
        if not value:
            raise UsageError(f"{args.checkpoint} does not tell the recipe it was trained by; name one with --recipe")
    value |= {name: getattr(spec, name) for name in ("system", "options", "input_size", "channels")}
    value |= {"epochs": args.epochs, "learning_rate": args.learning_rate, "warmup": 0.1, "ema": 0.0, "views": 0}
    value |= {"compiled": False, "precision": "32-true", "au_factor": 0.0}
    if not args.ldg:
        value["ldg_share"] = 0.0
    if synthetic:
        value |= {"data": "synthetic", "synthetic": 0}
    return recipe.changed(recipe.from_json(value, "the checkpoint's recipe"), args.set)


def gather(spec: ModelSpec, chosen: recipe.Recipe, args: argparse.Namespace) -> Faces:
    """The faces to learn from.

    Raises:
        UsageError: their classes are not the checkpoint's.
        EnvironmentInvalid: the data set is not there.
    """
    faces = gathered(chosen, None if chosen.data == "synthetic" else args.data, args.limit, args.seed)
    if tuple(faces.classes) != tuple(spec.labels):
        raise UsageError(
            f"the checkpoint knows {len(spec.labels)} classes ({', '.join(spec.labels)}) and data set '{chosen.data}' "
            f"has {len(faces.classes)}; name a recipe of the checkpoint's own classes"
        )
    return faces


def run(tuner: Tuner, faces: Faces, out: Path) -> None:
    """Train in ``out``, or go on with what an interrupted run left there; the network ends in evaluation mode."""
    tuner.train()  # checkpoints are loaded in evaluation mode; weights stay contiguous, as NNCF views them flat
    trainer.fit(out, tuner, faces, tuner.recipe, devices="1")
    tuner.cpu()
    tuner.network.eval()


def begin(args: argparse.Namespace, out: Path, chosen: recipe.Recipe, method: dict) -> dict:
    """Claim the run's folder, seed everything; returns what the new checkpoint tells of its origin."""
    told = {**trainer.described(chosen, args.seed, args.limit, args.checkpoint, args.ldg), **method}
    trainer.claim(out, told)
    L.seed_everything(args.seed, verbose=False)
    return told


def teacher(args: argparse.Namespace, spec: ModelSpec, chosen: recipe.Recipe):
    """The LDG of ``--ldg``, or None."""
    return ldg.load(args.ldg, spec.labels, spec.channels, chosen.ldg_bf16) if args.ldg else None


def plain_state(traced: Traced) -> dict[str, Tensor]:
    """The weights of the network inside, by their own names, without what NNCF added."""
    return {
        name.removeprefix("network."): tensor.detach().cpu().contiguous().clone()
        for name, tensor in traced.state_dict().items()
        if HOOKS not in name
    }


def with_weights(folder: Path, state: dict[str, Tensor]) -> nn.Module:
    """A network like the checkpoint's with other weights, in evaluation mode."""
    network, _ = checkpoint.load(folder)
    network.load_state_dict(state)
    return network.eval()


@contextmanager
def nncf_follows(network: nn.Module) -> Iterator[None]:
    """Turn what NNCF raises inside the block into one sentence.

    Raises:
        UsageError: NNCF cannot trace the network, or has no rule for one of its operations.
        EnvironmentInvalid: its own kernels, which a C++ compiler builds once, were not built in time.
    """
    os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "600")
    from nncf.torch.extensions import ExtensionLoaderTimeoutException

    try:
        yield
    except ExtensionLoaderTimeoutException as error:
        raise EnvironmentInvalid(
            "NNCF's quantisation kernels were not compiled in 10 minutes; an interrupted build may have left its lock: delete "
            "the folder nncf below ~/.cache/torch_extensions and try again"
        ) from error
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError, NotImplementedError) as error:
        inside = type(getattr(network, "network", network)).__name__
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"NNCF cannot follow {inside} in PyTorch ({reason[:200]}); quantise it after training, by python -m compress"
        ) from error
