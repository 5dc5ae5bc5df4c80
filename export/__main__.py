"""``python -m export``: turn a checkpoint into the bundle of a target; every artifact passes its rung of the parity ladder."""

import argparse
import sys
from pathlib import Path

from edgefer import bundle as bundles
from edgefer import targets
from edgefer.errors import UsageError, exit_with
from edgefer.files import check_writable, write_json
from export import build, finish, wheels
from export.build import SHIPPED_FINDER


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="folder of a trained or compressed checkpoint")
    parser.add_argument("--target", required=True, help="entry of devices.yaml")
    parser.add_argument(
        "--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic faces)"
    )
    parser.add_argument("--out", type=Path, help="folder to write (default: build/bundles/TARGET)")
    parser.add_argument(
        "--finder",
        default=SHIPPED_FINDER,
        help="folder of a face finder's checkpoint, or 'none' (default: the shipped one)",
    )
    parser.add_argument("--devices", type=Path, help="another devices.yaml")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the bundle's manifest, with the evidence, to FILE"
    )
    wheels_ = (
        "put into the bundle what a device without a network needs: the runtime, numpy and the engine for its Python"
    )
    parser.add_argument("--wheels", nargs="?", const=wheels.PYTHONS[0], metavar="PYTHON", help=f"{wheels_} (%(const)s)")
    parser.add_argument(
        "--camera", action="store_true", help="with --wheels: OpenCV as well, which `edgefer run` reads with"
    )
    parser.add_argument(
        "--benchmark", type=Path, metavar="FILE", help="put a record of benchmarks/run.py --json on this bundle into it"
    )
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign the bundle with this private ssh key")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    target = targets.get(args.target, args.devices)
    if args.camera and not args.wheels:
        raise UsageError("--camera is about the wheels: give --wheels too")
    check_writable(args.json)
    choice = wheels.wanted(target, args.wheels, args.camera) if args.wheels else None
    finder = None if args.finder == "none" else Path(args.finder)
    out = args.out or Path("build/bundles") / target.name
    build.bundle(args.checkpoint, target, args.data, out, finder=finder)
    finish.finish(out, choice, args.benchmark, args.sign, lambda text: print(text, file=sys.stderr, flush=True))
    made = bundles.load(out)
    for artifact in made.artifacts:
        print(f"{artifact.name:<18} {artifact.bytes / 1e6:6.2f} MB  {artifact.file}")
    for artifact in made.finder.artifacts if made.finder else ():
        print(f"{artifact.name:<18} {artifact.bytes / 1e6:6.2f} MB  {artifact.file}")
    if args.json:
        write_json(args.json, made.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
