"""``python -m train``: train a network by a recipe; resumable, with a progress bar, TensorBoard and CSV logs."""

import argparse
import sys
from pathlib import Path

import lightning as L
import torch

from edgefer.errors import UsageError, exit_with
from edgefer.files import new_folder, write_text
from edgefer.spec import ModelSpec
from train import checkpoint, ldg, recipe, views
from train.data import datasets, ferplus, framing, synthetic
from train.faces import Faces, action_unit_graph, gathered
from train.learner import MEAN, SCALE, Learner
from train.trainer import add_arguments, claim, described, fit, places, seed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    parser.add_argument("--recipe", required=True, help=f"one of {', '.join(recipe.names())}, or a YAML file")
    parser.add_argument("--data", help="folder with the data set (default: the environment variable EDGEFER_DATA)")
    parser.add_argument("--seed", type=seed, default=0, help="of weights, order and augmentation (default 0)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: build/runs/RECIPE-SEED)")
    parser.add_argument(
        "--start", type=Path, metavar="DIR", help="begin from this checkpoint's weights, not from scratch"
    )
    add_arguments(parser)
    parser.add_argument(
        "--au", metavar="PLACE", help="Action Units of the faces: OpenFace's CSV files, or a CSV of numbers"
    )
    parser.add_argument(
        "--devices",
        type=places,
        default="auto",
        help="how many GPUs or processes (default: all GPUs; torchrun's number)",
    )
    return parser.parse_args()


def main() -> int:
    args = arguments()
    chosen = recipe.load(args.recipe, args.set)
    out = args.out or Path("build/runs") / f"{Path(args.recipe).stem}-{args.seed}"
    if bool(args.ldg) != (chosen.ldg_share > 0):
        raise UsageError("--ldg and the recipe's ldg_share go together: give both, or neither")
    run = described(chosen, args.seed, args.limit, args.start, args.ldg)
    origin = {name: run[name] for name in ("start", "ldg")}
    L.seed_everything(args.seed, verbose=False)
    faces = gathered(chosen, args.data, args.limit, args.seed)
    teacher = ldg.load(args.ldg, faces.classes, chosen.channels, chosen.ldg_bf16) if args.ldg else None
    graph = action_unit_graph(faces, args.au)
    judged = _judged(out, chosen, faces, args.seed, teacher, origin) if teacher and chosen.views else None
    learner = Learner(chosen, len(faces.classes), args.seed, teacher, faces.class_weights, graph, judged)
    if args.start:
        checkpoint.load_weights(learner.network, args.start)
    claim(out, run)
    trainer = fit(out, learner, faces, chosen, args.devices)
    if trainer.is_global_zero:
        _finish(out, learner, faces, chosen, args, origin)
    return 0


def _judged(
    out: Path, chosen: recipe.Recipe, faces: Faces, seed: int, teacher: ldg.LabelDistributionGenerator, origin: dict
) -> views.Judged:
    """Where the LDG's answers are kept: beside the run, for all runs that ask the same of it."""
    # All faces, not only those that are judged: a view draws them in chunks, so the last real crops depend on what follows.
    images, precision = faces.train_faces.images, "bf16" if chosen.ldg_bf16 else "fp32"
    asked = [generator["weights_sha256"] for generator in origin["ldg"]] + [precision]
    key = views.key(images, chosen.augmentation, chosen.input_size, seed, asked)
    return views.Judged(out.parent / views.FOLDER / key, teacher)


def _finish(
    out: Path, learner: Learner, faces: Faces, chosen: recipe.Recipe, args: argparse.Namespace, origin: dict
) -> None:
    last, known = learner.curve[-1], datasets.get(chosen.data)
    split = datasets.validation_split(chosen.data)
    spec = ModelSpec(
        system=chosen.system,
        labels=faces.classes,
        input_size=chosen.input_size,
        channels=chosen.channels,
        alignment=framing.alignment(),
        options=chosen.options,
        mean=MEAN,
        scale=SCALE,
        training={
            "data": f"{known.title} train without its fixed {ferplus.HOLDOUT_PERCENT} % hold-out"
            + (f", {chosen.synthetic} synthetic faces (version {synthetic.VERSION})" if chosen.synthetic else ""),
            "data_licence": known.licence,
            "rows": len(faces.train_faces),
            "recipe": {"name": Path(args.recipe).stem, **chosen.to_json()},
            "seed": args.seed,
            **origin,
            "torch": torch.__version__,
        },
        licence=f"Apache-2.0 for the weights; trained on {known.title} ({known.licence}): check that your use allows it",
        metrics={
            "protocol": f"{known.protocol}, {split}",
            "valid_faces": len(faces.evaluation_faces[1]),
            "valid_accuracy": last["valid_micro_accuracy"],
            "valid_macro_recall": last["valid_macro_accuracy"],
            "holdout_accuracy": last["holdout_micro_accuracy"],
        },
    )
    with new_folder(out / "checkpoint") as folder:
        checkpoint.save(folder, learner.network, spec)
        columns = list(last)
        lines = [",".join(columns), *(",".join(str(row[c]) for c in columns) for row in learner.curve)]
        write_text(folder / "curve.csv", "\n".join(lines) + "\n")
    accuracy, recall = spec.metrics["valid_accuracy"], spec.metrics["valid_macro_recall"]
    print(f"{out / 'checkpoint'}: {spec.metrics['protocol']} accuracy {accuracy:.2%}, macro recall {recall:.2%}")


if __name__ == "__main__":
    sys.exit(exit_with(main))
