"""``python -m compress``: find the way of quantising a checkpoint that holds the parity rule; write it beside the weights."""

import argparse
import shutil
import sys
from pathlib import Path

from compress import calibration, plan
from compress.toollog import tool_output
from edgefer import targets
from edgefer.errors import BROKEN, PASS, exit_with
from edgefer.files import new_folder, write_json
from train import checkpoint


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compress", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="folder of a trained checkpoint")
    parser.add_argument(
        "--target", required=True, help="entry of devices.yaml: its margin, and whether it has VNNI, count"
    )
    parser.add_argument(
        "--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic faces)"
    )
    parser.add_argument("--out", type=Path, help="folder to write (default: build/compressed/TARGET)")
    parser.add_argument("--devices", type=Path, help="another devices.yaml")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the trials to FILE as well")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    target = targets.get(args.target, args.devices)
    network, spec = checkpoint.load(args.checkpoint)
    faces = calibration.collect(spec, args.data)
    print(f"calibration: {faces.source}")
    out = args.out or Path("build/compressed") / target.name
    with tool_output(out.with_name(f"{out.name}.log")) as say:
        trials = plan.choose(network, spec, faces, target.vnni, target.margin_points, say)
    for trial in trials:
        print(f"{trial.plan.name}: {describe(trial)}")
    result = record(trials, faces, target.name)
    with new_folder(out) as folder:
        shutil.copytree(args.checkpoint, folder, dirs_exist_ok=True)
        write_json(folder / plan.FILE, result)
    print(f"wrote {out}")
    if args.json:
        write_json(args.json, result)
    return BROKEN if trials[-1].problems else PASS


def record(trials: list[plan.Trial], faces: calibration.Calibration, target: str) -> dict:
    """What ``export`` reads: the trials, the last of which is to be used, and what they were judged on."""
    return {
        "schema": 1,
        "target": target,
        "calibration": {"source": faces.source, "crops": len(faces.crops), "sha256": faces.sha256},
        "trials": [trial.to_json() for trial in trials],
    }


def describe(trial: plan.Trial) -> str:
    """One phrase: drop with its interval where there are labels, flips, and what is broken."""
    p = trial.paired
    drop = (
        ""
        if p.drop_points is None
        else f"drop {p.drop_points:+.2f} points [{p.drop_ci95[0]:+.2f}, {p.drop_ci95[1]:+.2f}], "
    )
    verdict = "; ".join(trial.problems) or "holds"
    return f"{drop}{p.flip_rate:.2%} of {p.n} labels flip: {verdict}"


if __name__ == "__main__":
    sys.exit(exit_with(main))
