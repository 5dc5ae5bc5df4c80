"""A finder's checkpoint: ``weights.safetensors`` and ``finder.json`` (the FinderSpec) in one folder. No pickles."""

from pathlib import Path

import torch

from edgefer.errors import InputRejected
from edgefer.finder_spec import FinderSpec
from train.checkpoint import SHIPPED as CHECKPOINTS
from train.checkpoint import WEIGHTS, load_weights, read_weights, save_weights
from train.finder.network import FaceFinder

SPEC = "finder.json"
SHIPPED = CHECKPOINTS / "finder"


def save(folder: Path, network: FaceFinder, spec: FinderSpec) -> None:
    """Write a checkpoint into an existing folder."""
    save_weights(network, folder / WEIGHTS)
    spec.save(folder / SPEC)


def load(folder: str | Path) -> tuple[FaceFinder, FinderSpec]:
    """The network in evaluation mode, with its weights, and its FinderSpec.

    Raises:
        InputRejected: a file is missing or damaged, or the weights do not fit the network.
    """
    folder = Path(folder)
    spec = FinderSpec.load(folder / SPEC)
    try:
        network = FaceFinder(**spec.options)
    except (TypeError, ValueError) as error:
        raise InputRejected(f"{folder / SPEC}: options do not fit the network ({error})") from None
    load_weights(network, folder)
    return network.eval(), spec


def begin(network: FaceFinder, folder: Path) -> int:
    """Put another finder's weights into a network as far as their names agree; returns how many tensors were.

    Where a tensor has grown, the old one lies in its first rows and columns and the old rows do not hear the new columns,
    so that what was found before is still found.
    """
    state, old = network.state_dict(), read_weights(folder)
    fitting = [name for name, value in old.items() if name in state and _holds(state[name].shape, value.shape)]
    for name in fitting:
        if state[name].ndim > 1:
            state[name][: len(old[name])] = 0
        state[name][tuple(map(slice, old[name].shape))] = old[name]
    return len(fitting)


def _holds(new: torch.Size, old: torch.Size) -> bool:
    return len(new) == len(old) and all(n >= o for n, o in zip(new, old, strict=True))
