"""``python -m compress.qat``: NNCF's quantisation-aware training; the trained weights come out as an ordinary checkpoint.

The network learns with its weights and activations rounded as int8 will round them. What is written are weights that already
lie on the int8 grid they were trained to, so every format, LiteRT included, quantises them again from the same crops and loses
little. Two things do not travel: the activation ranges that were learned, which each format takes anew from the crops, and
NNCF's operations themselves, which neither the ONNX nor the LiteRT converter takes. What that costs is measured.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from compress import calibration, finetune
from compress.accuracy_aware import answers, quantized
from compress.convert import openvino_model
from compress.quantize import Plan, nncf_settings, remedies
from compress.report import against, told
from compress.toollog import Say, tool_output
from edgefer import targets
from edgefer.errors import BROKEN, PASS, UsageError, exit_with
from edgefer.files import new_folder, write_json
from edgefer.spec import ModelSpec
from train import checkpoint, graph

FILE = "qat.json"
"""Beside the trained weights: what each step did to accuracy."""
EPOCHS, LEARNING_RATE = 3, 1e-4
STEPS = {
    "fp32_before": "fp32, before",
    "ptq_before": "int8 in OpenVINO, quantised after training, before",
    "qat_torch": "trained aware of int8, as PyTorch imitates it",
    "qat_openvino": "the same with its learned ranges, int8 in OpenVINO",
    "fp32_after": "its weights in fp32",
    "ptq_after": "its weights quantised again from the crops, int8 in OpenVINO: what a bundle holds",
}


def fake_quantized(traced: finetune.Traced, spec: ModelSpec, crops: np.ndarray, plan: Plan) -> finetune.Traced:
    """A copy of the network that rounds weights and activations as int8 does, ready to be trained.

    Args:
        traced: in evaluation mode.
        crops: uint8 (N, S, S, C), which set the ranges that training begins from.
        plan: how NNCF quantises; its accurate bias correction is not to be had in PyTorch.

    Raises:
        UsageError: NNCF cannot follow this network.
    """
    import nncf

    images = [x[None] for x in graph.network_input(spec, crops)]
    with finetune.nncf_follows(traced):
        return nncf.quantize(traced, nncf.Dataset(images), **nncf_settings(crops, plan))


def stripped(aware: finetune.Traced, spec: ModelSpec, crops: np.ndarray) -> finetune.Traced:
    """A copy of the trained network with PyTorch's own fake quantisation, which OpenVINO converts."""
    import nncf

    with finetune.nncf_follows(aware):
        return nncf.strip(aware.eval(), example_input=graph.network_input(spec, crops[:1]))


def rounded_state(aware: finetune.Traced, spec: ModelSpec, crops: np.ndarray) -> dict[str, Tensor]:
    """The weights of the network inside as its quantisers round them, by their own names, for a network without quantisers."""
    places = {p.data_ptr(): name for name, p in aware.network.named_parameters()}
    rounded: dict[str, Tensor] = {}

    def note(_quantiser: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if inputs[0].data_ptr() in places:
            rounded[places[inputs[0].data_ptr()]] = output

    quantisers = [module for name, module in aware.named_modules() if finetune.HOOKS in name]
    handles = [module.register_forward_hook(note) for module in quantisers]
    with torch.inference_mode():
        aware.eval()(graph.network_input(spec, crops[:1]))
    for handle in handles:
        handle.remove()
    return finetune.plain_state(aware) | {name: tensor.clone() for name, tensor in rounded.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compress.qat", description=__doc__)
    finetune.add_arguments(parser, EPOCHS, LEARNING_RATE)
    parser.add_argument(
        "--target", required=True, help="entry of devices.yaml: its margin, and whether it has VNNI, count"
    )
    parser.add_argument("--devices", type=Path, help="another devices.yaml")
    parser.add_argument("--out", type=Path, help="folder of the run (default: build/qat/CHECKPOINT-TARGET)")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    target = targets.get(args.target, args.devices)
    if args.epochs < 1:
        raise UsageError(f"--epochs must be at least 1, not {args.epochs}; without training it is python -m compress")
    before, spec = checkpoint.load(args.checkpoint)
    faces = calibration.collect(spec, args.data)
    out = args.out or Path("build/qat") / f"{args.checkpoint.name}-{target.name}"
    chosen = finetune.recipe_for(spec, args, faces.tuning_labels is None)
    plan = remedies(target.vnni)[0]
    origin = finetune.begin(args, out, chosen, {"qat": plan.to_json()})
    learned = finetune.gather(spec, chosen, args)
    network, _ = checkpoint.load(args.checkpoint)
    with tool_output(out / "tools.log") as say:
        say("ranges to begin from")
        aware = fake_quantized(finetune.Traced(network), spec, faces.crops, plan)
    tuner = finetune.Tuner(aware, chosen, learned, args.seed, finetune.teacher(args, spec, chosen))
    finetune.run(tuner, learned, out)
    with tool_output(out / "tools.log") as say:
        after = finetune.with_weights(args.checkpoint, rounded_state(aware, spec, faces.crops))
        steps = evidence(
            before, stripped(aware, spec, faces.crops), after, spec, faces, plan, target.margin_points, say
        )
    result = {"schema": 1, "target": target.name, "plan": plan.to_json(), "data": faces.source, "steps": steps}
    with new_folder(out / "checkpoint") as folder:
        checkpoint.save(folder, after, replace(spec, training={**spec.training, "qat": origin}, metrics={}))
        write_json(folder / FILE, result)
    for name, title in STEPS.items():
        print(f"{title}: {told(steps[name])}")
    print(f"wrote {out / 'checkpoint'}; export it as any other: python -m export --checkpoint {out / 'checkpoint'}")
    if args.json:
        write_json(args.json, result)
    return BROKEN if steps["ptq_after"]["problems"] else PASS


def evidence(
    before: nn.Module, native: finetune.Traced, after: nn.Module, spec: ModelSpec, faces: calibration.Calibration,
    plan: Plan, margin_points: float, say: Say,
) -> dict:  # fmt: skip
    """Name in ``STEPS`` → its comparison with fp32 before, on the tuning crops."""

    def torch_answers(network: nn.Module) -> np.ndarray:
        return graph.probabilities(network, spec, faces.tuning).argmax(1)

    def openvino_answers(network: nn.Module, fold: bool, quantise: bool) -> np.ndarray:
        model = openvino_model(graph.DeployedGraph(network, spec, fold=fold).eval(), spec.crop_shape)
        return answers(quantized(model, faces, plan, "crop") if quantise else model, faces.tuning, "crop")

    steps = {
        "fp32_before": lambda: torch_answers(before),
        "ptq_before": lambda: openvino_answers(before, True, True),
        "qat_torch": lambda: torch_answers(native),
        "qat_openvino": lambda: openvino_answers(native, False, False),
        "fp32_after": lambda: torch_answers(after),
        "ptq_after": lambda: openvino_answers(after, True, True),
    }
    reference, found = torch_answers(before), {}
    for name, answer in steps.items():
        say(STEPS[name])
        found[name] = against(reference, answer(), faces, spec, margin_points)
    return found


if __name__ == "__main__":
    sys.exit(exit_with(main))
