"""Checkpoint: ``weights.safetensors`` + ``model.json`` (the ModelSpec) in one folder. No pickles."""

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from edgefer.errors import InputRejected
from edgefer.spec import ModelSpec
from train import models

SHIPPED = Path(__file__).parent / "checkpoints"
WEIGHTS, SPEC = "weights.safetensors", "model.json"


def save(folder: Path, network: nn.Module, spec: ModelSpec) -> None:
    """Write a checkpoint into an existing folder."""
    save_weights(network, folder / WEIGHTS)
    spec.save(folder / SPEC)


def save_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights as they are."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(state, file)
    file.chmod(0o644)


def load(folder: str | Path) -> tuple[nn.Module, ModelSpec]:
    """The network in evaluation mode, with its weights, and its ModelSpec.

    Raises:
        InputRejected: a file is missing or damaged, or the weights do not fit the network.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputRejected(f"checkpoint {folder} is not a folder; shipped ones are {', '.join(shipped()) or 'none'}")
    spec = ModelSpec.load(folder / SPEC)
    try:
        network = models.build(spec.system, len(spec.labels), spec.channels, spec.options)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputRejected(f"{folder / SPEC}: options do not fit system '{spec.system}' ({error})") from None
    load_weights(network, folder)
    return network.eval(), spec


def load_weights(network: nn.Module, folder: Path) -> None:
    """Put a checkpoint's weights into a network built like the one they come from.

    Raises:
        InputRejected: the file is missing or damaged, or the weights do not fit.
    """
    try:
        network.load_state_dict(read_weights(folder))
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise InputRejected(f"{folder / WEIGHTS} does not fit {type(network).__name__}: {first}") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """A checkpoint's weights by name.

    Raises:
        InputRejected: the file is missing or damaged.
    """
    try:
        return safetensors.torch.load_file(folder / WEIGHTS)
    except FileNotFoundError:
        raise InputRejected(f"{folder / WEIGHTS} is missing; copy the checkpoint again") from None
    except (OSError, SafetensorError) as error:
        raise InputRejected(f"{folder / WEIGHTS} is damaged ({error}); copy the checkpoint again") from None


def shipped() -> list[str]:
    """Folders of the checkpoints that come with the project."""
    return sorted(str(path.parent) for path in SHIPPED.glob(f"*/{SPEC}"))
