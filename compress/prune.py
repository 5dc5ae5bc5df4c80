"""Structured pruning: whole blocks and channels leave, so that a plain dense network remains, smaller and faster everywhere.

EfficientFace and ShuffleNetV2 are pruned by the lines below, because channel shuffles tie all channels of a stage together:
what can leave are branches of units of stride 1 (such a unit then only shuffles, which costs nothing once shuffles are folded),
the local features, the channels inside a branch, and those of conv5. Other networks go through Torch-Pruning, which follows
the ties between layers by itself. What remains has to learn again: ``python -m compress.prune`` fine-tunes it.
"""

import argparse
import copy
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compress import calibration, report, retrain
from edgefer import parity
from edgefer.errors import PASS, UsageError, exit_with
from edgefer.files import check_ours, new_folder
from edgefer.spec import ModelSpec
from train import checkpoint, graph, models, recipe
from train.models import resized
from train.models.baselines import ShuffleNetV2
from train.models.efficientface import EfficientFace

MULTIPLE = 16
"""Widths are rounded up to a multiple of this: engines compute channels in such groups."""
LOCAL = "local"
Block = tuple[str, int]
"""(stage, unit), or (LOCAL, 0) for the local features."""


def pruned(
    network: nn.Module, spec: ModelSpec, crops: np.ndarray, blocks: int = 0, width: float = 1.0
) -> tuple[nn.Module, ModelSpec]:
    """A smaller network with the trained weights that were kept; it has not been trained since.

    Args:
        network: trained, in evaluation mode; not changed.
        spec: its ModelSpec.
        crops: uint8 (N, S, S, C), on which the damage of leaving something out is measured.
        blocks: how many blocks leave, those that change the answers least; EfficientFace only.
        width: share of the channels that stay where channels can leave, above 0, up to 1.

    Returns:
        The network in evaluation mode and its ModelSpec, whose options build it again.

    Raises:
        UsageError: numbers out of range, or blocks of a network that has none to give.
    """
    if not 0 < width <= 1:
        raise UsageError(f"the width that stays must be above 0 and at most 1, not {width:g}")
    if blocks and not isinstance(network, EfficientFace):
        raise UsageError(f"blocks can be taken from efficientface, not from {spec.system}; prune its width")
    small = copy.deepcopy(network)
    left_out = _drop_blocks(small, spec, crops, blocks) if blocks else []
    if width < 1 and isinstance(small, EfficientFace | ShuffleNetV2):
        _narrow(small, graph.network_input(spec, crops), width)
    elif width < 1:
        small = _by_torch_pruning(network, spec, width)
    return small.eval(), replace(spec, options=_options(small, spec, left_out), metrics={})


def _options(small: nn.Module, spec: ModelSpec, left_out: list[Block]) -> dict:
    """Options that build a network of this form."""
    options = {name: value for name, value in spec.options.items() if name != resized.OPTION}
    bypassed = {stage: list(units) for stage, units in (options.get("bypassed") or {}).items()}
    for stage, unit in left_out:
        if stage == LOCAL:
            options["local"] = False
        else:
            bypassed[stage] = sorted([*bypassed.get(stage, []), unit])
    if bypassed:
        options["bypassed"] = dict(sorted(bypassed.items()))
    built = models.build(spec.system, len(spec.labels), spec.channels, options)
    other = resized.differing(small, built)
    return options | ({resized.OPTION: other} if other else {})


def _drop_blocks(network: EfficientFace, spec: ModelSpec, crops: np.ndarray, count: int) -> list[Block]:
    """Take blocks away one after another, each time the one that changes the answers least."""
    expected = graph.probabilities(network, spec, crops)
    gone: list[Block] = []
    for _ in range(count):
        damage = {}
        for block in _droppable(network):
            candidate = copy.deepcopy(network)
            _drop(candidate, block)
            damage[block] = report.divergence(expected, graph.probabilities(candidate, spec, crops))
        if not damage:
            raise UsageError(f"only {len(gone)} blocks can be taken from this network, not {count}")
        gone.append(min(damage, key=damage.get))
        _drop(network, gone[-1])
    return gone


def _droppable(network: EfficientFace) -> Iterator[Block]:
    if network.local is not None:
        yield LOCAL, 0
    for stage in ("stage2", "stage3", "stage4") if network.local is None else ("stage3", "stage4"):
        for unit, layers in enumerate(getattr(network, stage)):
            if unit and not isinstance(layers.branch2, nn.Identity):
                yield stage, unit


def _drop(network: EfficientFace, block: Block) -> None:
    if block[0] == LOCAL:
        network.local = None
    else:
        network.bypass(*block)


def _narrow(network: EfficientFace | ShuffleNetV2, x: Tensor, width: float) -> None:
    """Keep the channels that add most to what comes after: mean size of the activation × norm of the weights that read it."""
    body = network.network if isinstance(network, ShuffleNetV2) else network
    for unit in (*body.stage2, *body.stage3, *body.stage4):
        if not isinstance(unit.branch2, nn.Identity):
            expand, norm1, _, depthwise, norm2, project = unit.branch2[:6]
            kept = _strongest(network, x, norm2, project, width)
            _keep(expand, norm1, kept)
            _keep(depthwise, norm2, kept)
            depthwise.in_channels = depthwise.groups = len(kept)
            project.weight.data = project.weight.data[:, kept]
            project.in_channels = len(kept)
    last = body.fc if isinstance(body.fc, nn.Linear) else body.fc[-1]
    kept = _strongest(network, x, body.conv5, last, width)
    _keep(*body.conv5[:2], kept)
    last.weight.data = last.weight.data[:, kept]
    last.in_features = len(kept)


def _strongest(network: nn.Module, x: Tensor, layer: nn.Module, reader: nn.Conv2d | nn.Linear, width: float) -> Tensor:
    """Indices, in order, of the channels of ``layer``'s output that stay; ``reader`` is the layer that reads them."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.abs().mean([0, 2, 3])))
    with torch.inference_mode():
        network.eval()(x)
    hook.remove()
    strength = seen[0] * reader.weight.detach().flatten(1).norm(dim=0)
    stay = min(len(strength), MULTIPLE * math.ceil(width * len(strength) / MULTIPLE))
    return strength.topk(stay).indices.sort().values.clone()


def _keep(convolution: nn.Conv2d, norm: nn.BatchNorm2d, kept: Tensor) -> None:
    """Keep these output channels of a convolution and its batch norm."""
    convolution.weight.data = convolution.weight.data[kept]
    convolution.out_channels = norm.num_features = len(kept)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.data = tensor.data[kept]


def _by_torch_pruning(network: nn.Module, spec: ModelSpec, width: float) -> nn.Module:
    """Narrow all layers but the last ones by the norm of the weights that leave together."""
    import torch_pruning  # slow to import

    small = copy.deepcopy(network)
    last = [m for m in small.modules() if isinstance(m, nn.Linear) and m.out_features == len(spec.labels)]
    example = torch.zeros(1, spec.channels, spec.input_size, spec.input_size)
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    ratio = {"pruning_ratio": 1 - width, "ignored_layers": last, "round_to": MULTIPLE}
    try:
        torch_pruning.pruner.MetaPruner(small, example, importance, **ratio).step()
        built = models.build(spec.system, len(spec.labels), spec.channels, _options(small, spec, []))
        built.load_state_dict(small.state_dict())
        with torch.inference_mode():
            same = torch.equal(built.eval()(example), small.eval()(example))
    except (RuntimeError, ValueError, ZeroDivisionError, IndexError, KeyError):
        same = False
    if not same or not resized.differing(small, network):
        raise UsageError(f"Torch-Pruning cannot narrow {spec.system}; take a smaller input size or another precision")
    return small


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compress.prune", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, metavar="DIR", help="a trained checkpoint")
    add("--blocks", type=int, default=0, metavar="N", help="blocks that leave, the least missed first (efficientface)")
    add("--width", type=float, default=1.0, metavar="SHARE", help="of the channels that stay, 0 to 1 (default 1)")
    add("--recipe", help=f"fine-tune by this recipe afterwards: one of {', '.join(recipe.names())}")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of that recipe")
    add("--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic faces)")
    add("--out", required=True, type=Path, metavar="DIR", help="folder of the pruned checkpoint, and of its training")
    args = parser.parse_args()
    start = args.out / "pruned" if args.recipe else args.out
    check_ours(start, checkpoint.SPEC)
    network, spec = checkpoint.load(args.checkpoint)
    faces = calibration.collect(spec, args.data)
    small, smaller = pruned(network, spec, faces.crops, args.blocks, args.width)
    with new_folder(start) as folder:
        checkpoint.save(folder, small, smaller)
    before, after = (sum(p.numel() for p in each.parameters()) for each in (network, small))
    print(f"{start}: {after:,} of {before:,} parameters")
    told(start, network, spec, faces)
    if args.recipe:
        teachers = [retrain.TEACHER, args.checkpoint]  # the unpruned network teaches as well
        trained = retrain.run(start, args.out, args.recipe, args.data, overrides=args.set, teachers=teachers)
        told(trained, network, spec, faces)
    return PASS


def told(folder: Path, network: nn.Module, spec: ModelSpec, faces: calibration.Calibration) -> None:
    """Print what a smaller checkpoint does on the tuning crops beside the network it comes from."""
    small, smaller = checkpoint.load(folder)
    before, after = (graph.probabilities(n, s, faces.tuning).argmax(1) for n, s in ((network, spec), (small, smaller)))
    result = parity.paired(before, after, faces.tuning_labels, spec.labels)
    accuracy = ""
    if result.drop_points is not None:
        accuracy = f"accuracy {result.accuracy_candidate:.2%}, {report.drop(result.drop_points, result.drop_ci95)}, "
    print(f"{folder}: {accuracy}{result.flip_rate:.2%} of {result.n} labels differ ({faces.source})")


if __name__ == "__main__":
    sys.exit(exit_with(main))
