"""Run on a device with a version's own runtime: does its bundle compute there what was exported? One JSON line says.

    python -m edgefer.flash.selftest --bundle DIR --engine NAME --precision fp32|int8 --threads N [--seconds S]

With ``--seconds`` the golden vectors are replayed again and again for so long, which stands in for a first minute of work.
"""

import argparse
import json
import sys
import time

from edgefer import bundle as bundles
from edgefer import engines, golden
from edgefer.errors import BROKEN, PASS, exit_with

PAUSE_S = 0.2
"""Between two rounds, so that what else runs there gets its turn."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edgefer.flash.selftest")
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    args = parser.parse_args(argv)
    opened = bundles.load(args.bundle)
    problems = golden.check(opened, args.engine, args.precision, args.threads)
    vectors, rounds = len(golden.expected(opened, args.engine, args.precision)[0]), 1
    if args.seconds and not problems:
        rounds, problems = _replay(opened, args)
    print(json.dumps({"vectors": vectors, "rounds": rounds, "problems": problems}))
    return BROKEN if problems else PASS


def _replay(opened: bundles.Bundle, args: argparse.Namespace) -> tuple[int, list[str]]:
    """One loaded engine, many rounds: how many, and the problems of the first that had some."""
    import numpy as np

    crops, expected = golden.expected(opened, args.engine, args.precision)
    running = engines.load(args.engine, opened.model_path(args.engine, args.precision), args.threads)
    end, rounds, problems = time.monotonic() + args.seconds, 1, []
    while time.monotonic() < end and not problems:
        found = np.concatenate([running.infer(crop[None]) for crop in crops])
        problems = golden.output_problems(found, expected, args.precision)
        rounds += 1
        time.sleep(min(PAUSE_S, max(0.0, end - time.monotonic())))
    return rounds, problems


if __name__ == "__main__":
    sys.exit(exit_with(main))
