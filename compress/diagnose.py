"""``python -m compress.diagnose``: when int8 hurts – which layers do it, which classes lose, and what each remedy changes."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress import calibration, plan
from compress.convert import compiled, openvino_model
from compress.quantize import Plan, remedies
from compress.toollog import tool_output
from edgefer import parity, targets
from edgefer.errors import PASS, exit_with
from edgefer.files import write_json
from train import checkpoint, graph

MULTIPLYING = ("Convolution", "GroupConvolution", "MatMul")
CROPS = 64
"""Of the tuning crops, on which signal and noise are measured."""


@dataclass(frozen=True)
class Layer:
    """Signal to noise of one layer's output, in decibels: power of fp32's values over that of int8's differences."""

    name: str
    kind: str
    channels: int
    arriving_db: float
    """Of the layer before that feeds it: noise it inherits. Infinite for the first."""
    snr_db: float

    @property
    def lost_db(self) -> float:
        """What the layer itself, its weights and the ranges of its input, adds; the first layer's is counted from 60 dB."""
        return min(self.arriving_db, 60.0) - self.snr_db


def layers(model, quantized, crops: np.ndarray) -> list[Layer]:
    """Signal to noise of every layer that multiplies, in the order of the graph.

    Args:
        model: ``openvino.Model`` in fp32.
        quantized: the same model quantised by NNCF, which keeps the layers' names.
        crops: uint8 (N, S, S, C).
    """
    names = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() in MULTIPLYING]
    there = {op.get_friendly_name() for op in quantized.get_ops()}
    names = [name for name in names if name in there]
    true, found = _tapped(model, names), _tapped(quantized, names)
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    for crop in crops:
        for i, (x, q) in enumerate(zip(true(crop), found(crop), strict=True)):
            signal[i] += np.square(x).sum(dtype=np.float64)
            noise[i] += np.square(x - q).sum(dtype=np.float64)
    snr = dict(zip(names, 10 * np.log10(signal / np.maximum(noise, 1e-30)), strict=True))
    operations = {op.get_friendly_name(): op for op in model.get_ops()}
    return [
        Layer(
            called(operations[name]),
            operations[name].get_type_name(),
            int(operations[name].get_output_partial_shape(0)[1].get_length()),
            min((snr[before] for before in _feeding(operations[name], snr)), default=float("inf")),
            float(snr[name]),
        )
        for name in names
    ]


def called(operation) -> str:
    """A layer's name in PyTorch; OpenVINO renames a convolution that took in its batch norm, which keeps the name beside it."""
    name = operation.get_friendly_name()
    if name.startswith("__module"):
        return name
    readers = [port.get_node().get_friendly_name() for port in operation.output(0).get_target_inputs()]
    return next((reader for reader in readers if reader.startswith("__module")), name)


def _feeding(operation, known) -> set[str]:
    """Names of the nearest layers, among the known ones, whose values reach an operation."""
    found, waiting, seen = set(), [operation.input_value(0).get_node()], set()
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if name in known:
            found.add(name)
        else:
            waiting += [value.get_node() for value in node.input_values()]
    return found


def _tapped(model, names: list[str]):
    """A function crop (S, S, C) → the outputs of the named layers."""
    copy = model.clone()
    operations = {op.get_friendly_name(): op for op in copy.get_ops()}
    copy.add_outputs([operations[name].output(0) for name in names])
    ready = compiled(copy)
    first = len(model.outputs)

    def outputs(crop: np.ndarray) -> list[np.ndarray]:
        said = ready([crop[None]])
        return [said[i].copy() for i in range(first, first + len(names))]

    return outputs


def classes(paired: parity.Paired) -> list[tuple[str, float, int]]:
    """Class, points of recall lost, faces; most lost first. Empty where there are no labels."""
    rows = [(name, 100 * (before - after), n) for name, (before, after, n) in (paired.recalls or {}).items()]
    return sorted(rows, key=lambda row: -row[1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compress.diagnose", description=__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, type=Path, metavar="DIR", help="a trained checkpoint")
    add("--target", required=True, help="entry of devices.yaml: its margin, and whether it has VNNI, count")
    add("--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic faces)")
    add("--devices", type=Path, metavar="FILE", help="another devices.yaml")
    add("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    args = parser.parse_args()
    target = targets.get(args.target, args.devices)
    network, spec = checkpoint.load(args.checkpoint)
    faces = calibration.collect(spec, args.data)
    model = openvino_model(graph.DeployedGraph(network, spec).eval(), spec.crop_shape)
    reference = graph.probabilities(network, spec, faces.tuning).argmax(1)
    trials, found = [], []
    with tool_output(Path("build/diagnose.log")) as say:
        for chosen in remedies(target.vnni):
            if chosen.accuracy_margin is not None:
                continue  # it follows from what this program shows
            say(f"quantising: {chosen.name}")
            trial, quantized = plan.tried(model, chosen, faces, reference, spec.labels, target.margin_points)
            trials.append(trial)
            found.append(layers(model, quantized, faces.tuning[:CROPS]))
    show(trials, found, faces.source)
    if args.json:
        write_json(args.json, to_json(trials, found, faces.source))
    return PASS


def to_json(trials: list[plan.Trial], found: list[list[Layer]], source: str) -> dict:
    """``{schema, data, remedies: [{plan, tuning, problems, layers: [...]}]}``."""
    told = [
        trial.to_json() | {"layers": [vars(layer) | {"lost_db": layer.lost_db} for layer in rows]}
        for trial, rows in zip(trials, found, strict=True)
    ]
    for remedy in told:
        for layer in remedy["layers"]:
            layer["arriving_db"] = layer["arriving_db"] if np.isfinite(layer["arriving_db"]) else None
    return {"schema": 1, "data": source, "remedies": told}


def show(trials: list[plan.Trial], found: list[list[Layer]], source: str) -> None:
    """Tables: the remedies, the layers that lose most by the first, the classes that lose most."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"judged on {source}")
    shown = Table(
        "remedy", "drop, points [95 %]", "labels that flip", "worst class", "last layer, dB", title="Remedies"
    )
    for trial, rows in zip(trials, found, strict=True):
        p, worst = trial.paired, classes(trial.paired)
        drop = "–" if p.drop_points is None else f"{p.drop_points:+.2f} [{p.drop_ci95[0]:+.2f}, {p.drop_ci95[1]:+.2f}]"
        lost = f"{worst[0][0]} −{worst[0][1]:.1f} points of {worst[0][2]}" if worst else "–"
        shown.add_row(_named(trial.plan), drop, f"{p.flip_rate:.2%}", lost, f"{rows[-1].snr_db:.1f}")
    console.print(shown)
    table = Table(
        "layer", "kind", "channels", "arriving dB", "leaving dB", "lost dB", title="Layers that add most noise"
    )
    for layer in sorted(found[0], key=lambda row: -row.lost_db)[:12]:
        numbers = (layer.arriving_db, layer.snr_db, layer.lost_db)
        table.add_row(_short(layer.name), layer.kind, str(layer.channels), *(f"{n:.1f}" for n in numbers))
    console.print(table)


def _named(chosen: Plan) -> str:
    return f"{chosen.name} ({chosen.preset}{', overflow fix' if chosen.overflow_fix else ''})"


def _short(name: str) -> str:
    """``__module.network.stage3.branches.2.5/aten::_convolution/Convolution`` → ``stage3.branches.2.5``."""
    return name.split("/")[0].removeprefix("__module.").removeprefix("network.")


if __name__ == "__main__":
    sys.exit(exit_with(main))
