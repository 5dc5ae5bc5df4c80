"""``python -m compress.calibration_study``: how many calibration crops int8 needs, and which; judged on FER+'s hold-out.

Sets of 32 to 1,000 crops: random training faces, as many of each class, synthetic ones. Each quantises the network by the first
way that is tried (OpenVINO). The overflow fix, which halves the weights' range, is compared with going without it on this CPU.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from compress import calibration
from compress.convert import compiled, openvino_model
from compress.quantize import Plan, nncf_quantize, remedies
from compress.report import divergence
from compress.toollog import tool_output
from edgefer import parity
from edgefer.errors import PASS, EnvironmentInvalid, exit_with
from edgefer.files import write_json
from edgefer.spec import ModelSpec
from train import checkpoint, graph
from train.data import crops_of, ferplus, synthetic
from train.evaluate import for_labels, use_ferplus

SIZES = (32, 100, 300, 1000)
SEED = 0


def sets(spec: ModelSpec, data: str | None) -> dict[str, np.ndarray]:
    """Kind → uint8 (1000, S, S, C), of which a smaller set is the beginning."""
    train = for_labels(ferplus.load("train", data).evaluated, spec.labels)
    learned = train[~ferplus.holdout(train.names)]
    rng, most = np.random.default_rng(SEED), max(SIZES)
    random = rng.choice(len(learned), most, replace=False)
    by_class = [rng.permutation(np.flatnonzero(learned.labels == k)) for k in range(len(spec.labels))]
    balanced = [rows[i % len(rows)] for i in range(-(-most // len(by_class))) for rows in by_class][:most]
    drawn = synthetic.faces(most, SEED, ferplus.SIDE, synthetic.FERPLUS_SHARES)
    faces = {"random": learned[random], "balanced": learned[np.array(balanced)], "synthetic": drawn}
    return {kind: crops_of(each, spec.input_size, spec.channels) for kind, each in faces.items()}


def probabilities(model, crops: np.ndarray) -> np.ndarray:
    """What an OpenVINO model says of uint8 crops (N, S, S, C): float32 (N, classes)."""
    ready = compiled(model)
    return np.concatenate([ready([crop[None]])[0] for crop in crops])


def judged(true: np.ndarray, said: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> dict:
    """Drop in points, share of labels flipped, mean Kullback–Leibler divergence, largest loss of a class's recall in points."""
    paired = parity.paired(true.argmax(1), said.argmax(1), labels, names)
    lost = [100 * (before - after) for before, after, n in paired.recalls.values() if n >= parity.CLASS_GATE_IMAGES]
    return {
        "drop_points": paired.drop_points,
        "flip_rate": paired.flip_rate,
        "divergence": divergence(true, said),
        "worst_class_points": max(lost, default=None),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compress.calibration_study", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="a trained checkpoint")
    parser.add_argument("--data", help="folder or zip with FER+ (default: EDGEFER_DATA)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    args = parser.parse_args()
    if not use_ferplus(args.data):
        raise EnvironmentInvalid("this study needs FER+: give --data, or set EDGEFER_DATA")
    network, spec = checkpoint.load(args.checkpoint)
    tuning = calibration.collect(spec, args.data)
    true = graph.probabilities(network, spec, tuning.tuning)
    model = openvino_model(graph.DeployedGraph(network, spec).eval(), spec.crop_shape)
    crops, rows = sets(spec, args.data), []
    plain = remedies(vnni=True)[0]
    asked: list[tuple[str, int, Plan]] = [(kind, size, plain) for kind in crops for size in SIZES]
    asked.append(("random", 300, replace(plain, name="overflow fix", overflow_fix=True)))
    with tool_output(Path("build/calibration-study.log")) as say:
        for kind, size, plan in asked:
            quantized = nncf_quantize(model.clone(), crops[kind][:size], plan, model.inputs[0].any_name)
            figures = judged(true, probabilities(quantized, tuning.tuning), tuning.tuning_labels, spec.labels)
            rows.append({"kind": kind, "crops": size, "plan": plan.name, **figures})
            say(line(rows[-1]))
    print(
        "\n".join(
            ["| crops | kind | drop, points | labels flipped | KL | worst class, points |", "|---|---|---|---|---|---|"]
        )
    )
    print("\n".join(line(row) for row in rows))
    if args.json:
        write_json(args.json, {"schema": 1, "data": tuning.source, "rows": rows})
    return PASS


def line(row: dict) -> str:
    """One line of the table."""
    kind = row["kind"] + ("" if row["plan"] == "plain" else f", {row['plan']}")
    worst = "–" if row["worst_class_points"] is None else f"{row['worst_class_points']:+.1f}"
    flips, kl = f"{row['flip_rate']:.2%}", f"{row['divergence']:.4f}"
    return f"| {row['crops']} | {kind} | {row['drop_points']:+.2f} | {flips} | {kl} | {worst} |"


if __name__ == "__main__":
    sys.exit(exit_with(main))
