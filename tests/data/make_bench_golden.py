"""Makes bench-golden/: two small records of the simulated machine and what comparing them says. Run from the root:

python tests/data/make_bench_golden.py

The second night is 15 % slower, has lost a point of accuracy and another numpy. Only ``comparison.json`` is made again where
the rules of comparing change; the records stay as they are.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.compare import compare
from benchmarks.simulate import FULL, record
from edgefer.files import read_json, write_text

FOLDER = Path(__file__).with_name("bench-golden")
PLAN = replace(FULL.plan, rounds=4, blocks=3, warm_s=0.01)
NIGHTS = {"baseline": {"night": 0}, "record": {"night": 1, "slowdown": 1.15, "loss_points": 1.0}}


def main() -> None:
    for seed, (name, truth) in enumerate(NIGHTS.items()):
        if not (FOLDER / f"{name}.json").exists():
            made = record(1000 * seed, plan=PLAN, n_faces=400, **truth)
            made["environment"]["packages"]["numpy"] = f"{seed + 1}.0"
            write(name, made)
    write("comparison", compared())


def compared() -> dict:
    """What the present code says of the two records."""
    baseline, now = (read_json(FOLDER / f"{name}.json") for name in NIGHTS)
    return compare(now, baseline, [baseline], "the first night").to_json()


def write(name: str, value: dict) -> None:
    write_text(FOLDER / f"{name}.json", json.dumps(value, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
