"""The state of an interrupted run, without pickle: tensors in safetensors, everything else as JSON in its header."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning.fabric.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open

from edgefer.errors import InputRejected


class SafetensorsCheckpointIO(CheckpointIO):
    """Lightning's checkpoints as one safetensors file, written beside and renamed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path, storage_options: Any = None) -> None:
        tensors: dict[str, torch.Tensor] = {}
        tree = _flatten(checkpoint, tensors)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.part")
        safetensors.torch.save_file(tensors, beside, metadata={"tree": json.dumps(tree)})
        beside.replace(path)

    def load_checkpoint(self, path, map_location=None, weights_only: bool | None = None) -> dict[str, Any]:
        try:
            with safe_open(path, "pt") as file:
                tree = json.loads((file.metadata() or {})["tree"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 – not a dict
        except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
            raise InputRejected(f"{path} is not a run's state ({error}); delete it to start the run again") from None
        return _restore(tree, tensors)

    def remove_checkpoint(self, path) -> None:
        Path(path).unlink(missing_ok=True)


def _flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON form of nested containers; tensors move to ``tensors``, keys that are not text are kept as pairs."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_flatten(k, tensors), _flatten(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {
            type(value).__name__ if type(value) in (list, tuple) else "tuple": [_flatten(v, tensors) for v in value]
        }
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a run's state holds a {type(value).__name__}, which cannot be stored without pickle")


def _restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_restore(k, tensors): _restore(v, tensors) for k, v in content}
    items = [_restore(v, tensors) for v in content]
    return tuple(items) if kind == "tuple" else items
