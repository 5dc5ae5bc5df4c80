"""``python -m compress.sparsify``: NNCF's sparsity. Weights become zero, shapes stay: it saves storage, not time.

A dense kernel multiplies by zero as slowly as by any number, so no engine here runs a sparse network faster. What shrinks is a
file that is compressed for a download or a flash image, because zeros compress well; how much is measured and printed.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from compress import calibration, finetune, storage
from compress.report import against, told
from compress.toollog import tool_output
from edgefer.errors import BROKEN, PASS, UsageError, exit_with
from edgefer.files import new_folder, write_json
from edgefer.spec import ModelSpec
from train import checkpoint, graph

FILE = "sparsity.json"
"""Beside the sparse weights: how they came about and what they cost."""
METHODS = {
    "global": "the smallest weights of the whole network, each layer's scaled to norm 1, become zero",
    "local": "the same share of each layer's weights becomes zero, the smallest ones",
    "regularised": "which weights become zero is learned, by masks with a loss of their own; needs fine-tuning",
}
EPOCHS, LEARNING_RATE = 5, 5e-4
MASK_LOGIT = 4.6
"""Of the mask on the largest weight, which is then on with a probability of 0.99, as NNCF begins with all; off is below 0."""
MASK_TRAVEL = 10.0
"""How far the peak learning rate, kept all through a run, would move a mask's logit."""


def prunable(network: nn.Module, method: str, ratio: float, example: Tensor) -> nn.Module:
    """The network, in place, with NNCF's masks on the weights of its convolutions and linear layers.

    Args:
        network: (1, C, S, S) → (1, classes); its own class, not ``nn.Sequential``.
        method: a key of ``METHODS``.
        ratio: share of those weights that becomes zero, above 0 and below 1; "regularised" learns it.
        example: float32 (1, C, S, S).

    Raises:
        UsageError: NNCF cannot follow this network.
    """
    import nncf

    modes = {
        "global": nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_GLOBAL,
        "local": nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_LOCAL,
        "regularised": nncf.PruneMode.UNSTRUCTURED_REGULARIZATION_BASED,
    }
    share = None if method == "regularised" else ratio
    with finetune.nncf_follows(network):
        masked = nncf.prune(network, modes[method], ratio=share, examples_inputs=example)
    if method == "regularised":
        _order_masks(masked)
    return masked


@torch.no_grad()
def _order_masks(masked: nn.Module) -> None:
    """Let each mask begin by the rank of its weight's size, each layer's scaled to norm 1: the smallest go first.

    NNCF begins with all masks alike. The loss that asks for zeros pushes all of them alike too, so in a run of few epochs they
    would go off together and come back together (seen: from 0 to 99.9 % in three steps, and back).
    """
    from nncf.torch.function_hook.pruning.rb.algo import get_pruned_modules
    from nncf.torch.model_graph_manager import get_const_data_by_name

    masks = get_pruned_modules(masked)
    sizes = [get_const_data_by_name(name, masked) for name in masks]
    sizes = [(weight.abs() / weight.norm()).flatten() for weight in sizes]
    ranks = torch.cat(sizes).argsort().argsort() + 1
    logits = MASK_LOGIT * ranks / len(ranks)
    for hook, part in zip(masks.values(), logits.split([len(size) for size in sizes]), strict=True):
        hook.mask.copy_(part.view_as(hook.mask))


class MagnitudeTuner(finetune.Tuner):
    """Fine-tunes while the share of zeros rises from half of ``ratio`` to ``ratio`` in the middle of the run."""

    method, ratio = "global", 0.5

    def on_train_epoch_start(self) -> None:
        import nncf
        from nncf.torch.function_hook.pruning.magnitude.algo import update_pruning_ratio

        super().on_train_epoch_start()
        mode = getattr(nncf.PruneMode, f"UNSTRUCTURED_MAGNITUDE_{self.method.upper()}")
        update_pruning_ratio(self.network, mode, scheduled(self.current_epoch, self.recipe.epochs, self.ratio))


class RegularisedTuner(finetune.Tuner):
    """Fine-tunes masks and weights together; the masks' loss asks for ``ratio`` from the start."""

    ratio = 0.5

    def on_fit_start(self) -> None:
        from nncf.torch.function_hook.pruning.rb.losses import RBLoss

        self._wanted = [
            RBLoss(self.network, self.ratio)
        ]  # in a list: it holds the network, which must not be saved twice

    def training_step(self, batch, index: int) -> Tensor:
        loss = super().training_step(batch, index)
        return loss + self._wanted[0]().to(loss.device)

    def parameter_groups(self) -> list[dict]:
        *groups, masks = super().parameter_groups()
        return [*groups, masks | {"lr": MASK_TRAVEL / int(self.trainer.estimated_stepping_batches)}]


def scheduled(epoch: int, epochs: int, ratio: float) -> float:
    """The share of zeros in an epoch: from half of ``ratio`` at first to all of it from the middle of the run on."""
    middle = epochs // 2
    return ratio if epoch >= middle else ratio * (0.5 + 0.5 * epoch / middle)


def stripped(masked: nn.Module, example: Tensor) -> nn.Module:
    """The network with its zeros written into the weights and without masks, in place."""
    import nncf

    return nncf.strip(masked.eval(), strip_format=nncf.StripFormat.IN_PLACE, example_input=example)


def adapt_batch_norms(network: nn.Module, x: Tensor, batch: int = 50) -> None:
    """Batch norms take the statistics of what the sparse layers now give for float32 (N, C, S, S), in place."""
    import nncf

    nncf.batch_norm_adaptation(network, nncf.Dataset(list(x.split(batch))))


def zeros(network: nn.Module) -> dict:
    """Sparsity of a network: ``{all, prunable, layers: {name: {weights, sparsity}}}``; shares of zeros, 0 to 1."""
    layers = {
        name: {"weights": p.numel(), "sparsity": float((p == 0).float().mean())}
        for name, p in network.named_parameters()
        if p.ndim > 1
    }
    count = sum(layer["weights"] * layer["sparsity"] for layer in layers.values())
    return {
        "all": count / sum(p.numel() for p in network.parameters()),
        "prunable": count / sum(layer["weights"] for layer in layers.values()),
        "layers": layers,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compress.sparsify", description=__doc__)
    finetune.add_arguments(parser, EPOCHS, LEARNING_RATE)
    parser.add_argument(
        "--method", choices=METHODS, default="global", help="; ".join(f"{k}: {v}" for k, v in METHODS.items())
    )
    parser.add_argument("--ratio", type=float, default=0.6, help="share of zeros, above 0 and below 1 (default 0.6)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: build/sparse/CHECKPOINT-METHOD-RATIO)")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if not 0 < args.ratio < 1:
        raise UsageError(f"--ratio is a share above 0 and below 1, not {args.ratio:g}")
    if args.epochs < 0 or (args.epochs == 0 and args.method == "regularised"):
        raise UsageError("--epochs must be at least 0, and 1 for --method regularised, which learns what becomes zero")
    dense, spec = checkpoint.load(args.checkpoint)
    faces = calibration.collect(spec, args.data)
    out = args.out or Path("build/sparse") / f"{args.checkpoint.name}-{args.method}-{args.ratio:g}"
    method = {"name": args.method, "ratio": args.ratio, "epochs": args.epochs}
    sparse, origin = _sparse(args, spec, faces, out, method)
    with tool_output(out / "tools.log") as say:
        result = evidence(dense, sparse, spec, faces, method, say)
    changed = replace(spec, training={**spec.training, "sparsified": origin}, metrics={})
    with new_folder(out / "checkpoint") as folder:
        checkpoint.save(folder, sparse, changed)
        write_json(folder / FILE, result)
    _print(result, out)
    if args.json:
        write_json(args.json, result)
    return BROKEN if any(result[precision]["problems"] for precision in ("fp32", "int8")) else PASS


def _sparse(args: argparse.Namespace, spec: ModelSpec, faces: calibration.Calibration, out: Path, method: dict):
    """The network with zeros, fine-tuned unless that takes 0 epochs, and what is told of its origin."""
    network, _ = checkpoint.load(args.checkpoint)
    x = graph.network_input(spec, faces.crops)
    masked = prunable(finetune.Traced(network), args.method, args.ratio, x[:1])
    if args.epochs:
        chosen = finetune.recipe_for(spec, args, faces.tuning_labels is None)
        origin = finetune.begin(args, out, chosen, {"sparsity": method})
        learned = finetune.gather(spec, chosen, args)
        kind = RegularisedTuner if args.method == "regularised" else MagnitudeTuner
        tuner = kind(masked, chosen, learned, args.seed, finetune.teacher(args, spec, chosen))
        tuner.method, tuner.ratio = args.method, args.ratio
        finetune.run(tuner, learned, out)
    else:
        origin = {"sparsity": method, "start": finetune.trainer.rests_on(args.checkpoint)}
    plain = stripped(masked, x[:1])
    if not args.epochs:
        adapt_batch_norms(plain, x)
    return finetune.with_weights(args.checkpoint, finetune.plain_state(plain)), origin


def evidence(
    dense: nn.Module, sparse: nn.Module, spec: ModelSpec, faces: calibration.Calibration, method: dict, say
) -> dict:
    """What the zeros cost in accuracy and save in storage, against the dense network: see docs/compression.md."""
    reference = graph.probabilities(dense, spec, faces.tuning).argmax(1)
    result = {"schema": 1, "method": method, "data": faces.source, "sparsity": zeros(sparse)}
    result["fp32"] = against(reference, graph.probabilities(sparse, spec, faces.tuning).argmax(1), faces, spec)
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, network in (("dense", dense), ("sparse", sparse)):
            say(f"int8 LiteRT file of the {name} network")
            weights, file = Path(folder) / f"{name}.safetensors", Path(folder) / f"{name}.tflite"
            checkpoint.save_weights(network, weights)
            storage.write_litert_int8(network, spec, faces.crops, file)
            sizes[name] = {"fp32_weights": storage.sizes(weights), "int8_litert": storage.sizes(file)}
        said = storage.litert_answers(file, faces.tuning)
    result["int8"] = against(reference, said, faces, spec)
    return result | {"bytes": sizes}


def _print(result: dict, out: Path) -> None:
    found = result["sparsity"]
    for name, layer in found["layers"].items():
        print(f"{name:<40} {layer['weights']:>8} weights, {layer['sparsity']:6.1%} zero")
    print(f"zero: {found['prunable']:.1%} of these weights, {found['all']:.1%} of all parameters")
    for file, title in (("fp32_weights", "fp32 weights"), ("int8_litert", "int8 LiteRT file")):
        dense, sparse = (result["bytes"][name][file] for name in ("dense", "sparse"))
        pairs = ", ".join(f"{form} {dense[form]} → {sparse[form]}" for form in dense)
        print(f"{title}, bytes, dense → sparse: {pairs}")
    for precision in ("fp32", "int8"):
        print(f"sparse {precision} against dense fp32: {told(result[precision])}")
    print(f"wrote {out / 'checkpoint'}; zeros save storage where files are compressed, no engine runs them faster")


if __name__ == "__main__":
    sys.exit(exit_with(main))
