"""``python -m compress``: make a trained network small for a target.

With ``--checkpoint``: find the way of quantising it that holds the parity rule; write it beside the weights. With ``--system``:
search network, input size, pruning and precision for what the target's budgets ask.
"""

import argparse
import shutil
import sys
from pathlib import Path

from compress import calibration, plan, report
from compress.toollog import tool_output
from edgefer import targets
from edgefer.errors import BROKEN, PASS, UsageError, exit_with
from edgefer.files import check_ours, check_writable, new_folder, write_json
from train import checkpoint


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compress", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="folder of a trained checkpoint")
    parser.add_argument(
        "--target", required=True, help="entry of devices.yaml: its margin, and whether it has VNNI, count"
    )
    parser.add_argument(
        "--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic faces)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder to write (default: build/compressed/TARGET; build/search/SYSTEM-TARGET)"
    )
    parser.add_argument("--devices", type=Path, help="another devices.yaml")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the trials to FILE as well")
    search = parser.add_argument_group("search")
    add = search.add_argument
    add(
        "--system",
        metavar="NAME",
        help="search configurations of this system's checkpoint (the shipped one, or --checkpoint)",
    )
    add("--minutes", type=float, default=30, help="begin no trial later than this (default 30)")
    add("--trials", type=int, metavar="N", help="measure no more than N configurations in this sitting")
    add(
        "--epochs",
        type=int,
        default=2,
        help="of training a changed network on, before it is judged (default 2; 0: none)",
    )
    add("--rows", type=int, default=8000, help="training rows of that, 0 for all (default 8000)")
    add(
        "--storage",
        metavar="URL",
        help="a data base for Optuna, to share a search among machines (default: a file in --out)",
    )
    return parser.parse_args()


def main() -> int:
    args = arguments()
    target = targets.get(args.target, args.devices)
    check_writable(args.json)
    if args.system:
        return searched(args, target)
    if not args.checkpoint:
        raise UsageError("name a --checkpoint to quantise, or a --system to search")
    return quantized(args, target)


def searched(args: argparse.Namespace, target: targets.Target) -> int:
    """Search, then show and write the front; the exit code says whether a configuration holds the budgets."""
    from rich.console import Console

    from compress import front, search

    base = args.checkpoint or checkpoint.SHIPPED / args.system
    _, spec = checkpoint.load(base)
    if spec.system != args.system:
        raise UsageError(f"{base} is a checkpoint of {spec.system}, not of {args.system}")
    out = args.out or Path("build/search") / f"{args.system}-{target.name}"
    asked = search.Asked(
        base, target, out, args.minutes, args.epochs, args.rows, args.data, args.trials, args.storage, args.devices
    )
    trials = search.run(asked)
    result = front.to_json(trials, target, out)
    front.draw(trials, target, out / "front.png")
    for file in (out / "front.json", *([args.json] if args.json else [])):
        write_json(file, result)
    Console().print(front.table(trials, target))
    print(*front.broken(trials, target), front.told(trials, asked), sep="\n")
    return PASS if result["satisfied"] else BROKEN


def quantized(args: argparse.Namespace, target: targets.Target) -> int:
    """Choose how to quantise, and write it beside the weights."""
    out = (args.out or Path("build/compressed") / target.name).absolute()
    check_ours(out, plan.FILE)
    network, spec = checkpoint.load(args.checkpoint)
    faces = calibration.collect(spec, args.data)
    print(f"calibration: {faces.source}")
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
    drop = "" if p.drop_points is None else f"{report.drop(p.drop_points, p.drop_ci95)}, "
    verdict = "; ".join(trial.problems) or "holds"
    return f"{drop}{p.flip_rate:.2%} of {p.n} labels flip: {verdict}"


if __name__ == "__main__":
    sys.exit(exit_with(main))
