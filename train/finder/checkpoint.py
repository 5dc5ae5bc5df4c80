"""A finder's checkpoint: ``weights.safetensors`` and ``finder.json`` (the FinderSpec) in one folder. No pickles."""

from pathlib import Path

from edgefer.errors import InputRejected
from edgefer.finder_spec import FinderSpec
from train.checkpoint import SHIPPED as CHECKPOINTS
from train.checkpoint import WEIGHTS, load_weights, save_weights
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
