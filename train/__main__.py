"""``python -m train``: train a network by a recipe; resumable, with a progress bar, TensorBoard and CSV logs."""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from edgefer.errors import InputRejected, UsageError, exit_with
from edgefer.files import new_folder, read_json, sha256, write_json, write_text
from edgefer.spec import ModelSpec
from train import checkpoint, ldg, recipe, views
from train.data import datasets, ferplus, framing, synthetic
from train.faces import Faces, action_unit_graph, gathered
from train.learner import MEAN, SCALE, Learner
from train.resume import SafetensorsCheckpointIO

STATE = "last.safetensors"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    parser.add_argument("--recipe", required=True, help=f"one of {', '.join(recipe.names())}, or a YAML file")
    parser.add_argument("--data", help="folder with the data set (default: the environment variable EDGEFER_DATA)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default 0)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: build/runs/RECIPE-SEED)")
    parser.add_argument(
        "--start", type=Path, metavar="DIR", help="begin from this checkpoint's weights, not from scratch"
    )
    parser.add_argument(
        "--ldg",
        type=Path,
        metavar="DIR",
        nargs="+",
        default=[],
        help="checkpoints that generate label distributions (LDL)",
    )
    parser.add_argument(
        "--au", metavar="PLACE", help="Action Units of the faces: OpenFace's CSV files, or a CSV of numbers"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the recipe")
    parser.add_argument("--limit", type=int, help="use only the first N training rows, to try things")
    parser.add_argument(
        "--devices", default="auto", help="how many GPUs or processes (default: all GPUs; torchrun's number)"
    )
    return parser.parse_args()


def main() -> int:
    args = arguments()
    chosen = recipe.load(args.recipe, args.set)
    out = args.out or Path("build/runs") / f"{Path(args.recipe).stem}-{args.seed}"
    if bool(args.ldg) != (chosen.ldg_share > 0):
        raise UsageError("--ldg and the recipe's ldg_share go together: give both, or neither")
    origin = {"start": _origin(args.start) if args.start else None, "ldg": [_origin(folder) for folder in args.ldg]}
    _claim(out, {"recipe": chosen.to_json(), "seed": args.seed, "limit": args.limit, **origin})
    L.seed_everything(args.seed, verbose=False)
    faces = gathered(chosen, args.data, args.limit, args.seed)
    teacher = ldg.load(args.ldg, faces.classes, chosen.channels, chosen.ldg_bf16) if args.ldg else None
    graph = action_unit_graph(faces, args.au)
    judged = _judged(out, chosen, faces, args.seed, teacher, origin) if teacher and chosen.views else None
    learner = Learner(chosen, len(faces.classes), args.seed, teacher, faces.class_weights, graph, judged)
    if args.start:
        checkpoint.load_weights(learner.network, args.start)
    trainer = _trainer(out, chosen, args.devices)
    state = out / STATE
    if state.exists():
        print(f"resuming from {state}")
    trainer.fit(learner, faces, ckpt_path=str(state) if state.exists() else None)
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


def _origin(folder: Path) -> dict:
    """Another checkpoint that a run rests on: its hash and what it was trained on."""
    _, spec = checkpoint.load(folder)
    return {"weights_sha256": sha256(folder / checkpoint.WEIGHTS), "training": spec.training}


def _claim(out: Path, run: dict) -> None:
    """A run folder belongs to one recipe and seed; resuming with another would be neither."""
    file = out / "run.json"
    run = json.loads(json.dumps(run))
    if file.exists() and read_json(file) != run:
        raise InputRejected(
            f"{out} holds a run with another recipe, seed, limit, start or LDG; give another --out, or delete it"
        )
    write_json(file, run)


def _trainer(out: Path, chosen: recipe.Recipe, devices: str) -> L.Trainer:
    saver = ModelCheckpoint(dirpath=out, filename=Path(STATE).stem, save_top_k=1, enable_version_counter=False)
    saver.FILE_EXTENSION = ".safetensors"
    callbacks = [saver, LearningRateMonitor("epoch"), RichProgressBar() if sys.stdout.isatty() else TQDMProgressBar(50)]
    if chosen.ema:
        callbacks.append(EMAWeightAveraging(decay=chosen.ema))
    warnings.filterwarnings("ignore", ".*does not have many workers.*")  # the data is in memory
    return L.Trainer(
        max_epochs=chosen.epochs,
        **_places(devices),
        precision=chosen.precision,
        callbacks=callbacks,
        logger=[CSVLogger(out, name="", version="csv"), TensorBoardLogger(out, name="", version="tensorboard")],
        plugins=[SafetensorsCheckpointIO()],
        use_distributed_sampler=False,
        gradient_clip_val=5.0,
        log_every_n_steps=20,
        num_sanity_val_steps=0,
    )


def _places(devices: str) -> dict:
    """Devices on each machine, and machines: as torchrun started the processes, otherwise as asked for."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}
    return {"devices": devices if devices == "auto" else int(devices)}


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
