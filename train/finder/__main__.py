"""``python -m train.finder``: train the face finder by a recipe; resumable, with a progress bar, TensorBoard and CSV logs."""

import argparse
import json
import sys
from pathlib import Path

import lightning as L
import torch

from edgefer.errors import InputRejected, exit_with
from edgefer.files import new_folder, read_json, sha256, write_json, write_text
from train import trainer
from train.checkpoint import WEIGHTS
from train.data import synthetic
from train.finder import checkpoint, recipe
from train.finder.data import FinderData
from train.finder.learner import FinderLearner, spec_of

LICENCE = (
    "Apache-2.0 for the weights; learned from photographs whose boxes and landmarks YuNet gave (MIT): "
    "check that your use of what was learned from them is allowed"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.finder", description=__doc__)
    parser.add_argument("--recipe", default="finder", help="a recipe in train/finder/recipes/, or a YAML file")
    parser.add_argument("--data", help="folder with the photographs (default: the environment variable EDGEFER_DATA)")
    parser.add_argument("--seed", type=trainer.seed, default=0, help="of weights and frames (default 0)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: build/runs/RECIPE-SEED)")
    parser.add_argument(
        "--start", type=Path, metavar="DIR", help="a finder's checkpoint to begin from, as far as its weights fit"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the recipe")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    chosen = recipe.load(args.recipe, args.set)
    out = args.out or Path("build/runs") / f"{Path(args.recipe).stem}-{args.seed}"
    start = sha256(args.start / WEIGHTS) if args.start else None
    _claim(out, {"recipe": chosen.to_json(), "seed": args.seed, "start": start})
    L.seed_everything(args.seed, verbose=False)
    data, learner = FinderData(chosen, args.data, args.seed), FinderLearner(chosen)
    if args.start:
        begun = checkpoint.begin(learner.network, args.start)
        print(f"{begun} of {len(learner.network.state_dict())} tensors begin from {args.start}")
    trainer.fit(
        out, learner, data, chosen, "1", reload_dataloaders_every_n_epochs=1
    )  # every epoch composes other frames
    _finish(out, learner, data, chosen, {"seed": args.seed, "start": start})
    return 0


def _claim(out: Path, run: dict) -> None:
    """A run folder belongs to one recipe and seed, but for its length; resuming with another would be neither."""
    file, run = out / "run.json", json.loads(json.dumps(run))
    there = read_json(file) if file.exists() else run
    lengths = {name: run["recipe"][name] for name in ("epochs", "last_epochs")}
    if {**there, "recipe": {**there["recipe"], **lengths}} != run:
        raise InputRejected(f"{out} holds a run with another recipe or seed; give another --out, or delete it")
    write_json(file, run)


def _finish(out: Path, learner: FinderLearner, data: FinderData, chosen: recipe.Recipe, begun: dict) -> None:
    last = learner.curve[-1]
    training = {
        "data": f"{data.counts['photographs']} photographs, boxes and landmarks by YuNet (without {data.counts['duplicates']} "
        f"that are like ones judged on), {data.counts['scenes']} scenes without faces, "
        f"{data.counts['synthetic']} synthetic faces (version {synthetic.VERSION})",
        "frames": chosen.frames * chosen.epochs,
        "recipe": chosen.to_json(),
        **begun,
        "torch": torch.__version__,
    }
    metrics = {name: value for name, value in last.items() if name.startswith("tune_")}
    spec = spec_of(chosen, training=training, licence=LICENCE, metrics=metrics)
    with new_folder(out / "checkpoint") as folder:
        checkpoint.save(folder, learner.network, spec)
        lines = [",".join(last), *(",".join(str(row[c]) for c in last) for row in learner.curve)]
        write_text(folder / "curve.csv", "\n".join(lines) + "\n")
    print(f"{out / 'checkpoint'}: of the faces in composed frames {last['tune_found']:.1%} found")


if __name__ == "__main__":
    sys.exit(exit_with(main))
