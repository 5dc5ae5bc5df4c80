"""``python -m benchmarks.picture RECORD.json PICTURE.png``: the table of a record as a picture, for pages that show it."""

import argparse
import io
import re
import sys
from pathlib import Path

from benchmarks import table
from benchmarks.session import SCHEMA
from edgefer.errors import InputRejected, exit_with
from edgefer.files import new_binary, read_json

COLOURS = {
    "pass": "#1a7f37",
    "fail": "#cf222e",
    "invalid": "#9a6700",
    "inconclusive": "#9a6700",
    "not measured": "#9a6700",
}
LINE_INCHES, POINTS = 0.2, 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.picture", description=__doc__)
    parser.add_argument("record", type=Path, help="what benchmarks/run.py wrote")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    args = parser.parse_args()
    record = read_json(args.record)
    if record.get("schema") != SCHEMA or not {"environment", "metrics", "verdict"} <= record.keys():
        raise InputRejected(f"{args.record} is no record of benchmarks/run.py of this version; measure again")
    draw(text(record, str(args.record)), args.picture)
    return 0


def text(record: dict, where: str) -> list[str]:
    """The report's lines, as they are printed into a pipe."""
    out = io.StringIO()
    table.show(record, where, table.console(out))
    return out.getvalue().splitlines()


def draw(lines: list[str], picture: Path) -> None:
    """Write lines in a fixed-width face, verdicts coloured."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(table.WIDTH * 0.0845, LINE_INCHES * (len(lines) + 2)), facecolor="white")
    face = {"family": "DejaVu Sans Mono", "size": POINTS, "va": "top"}
    for number, line in enumerate(lines):
        y = 1 - (number + 1) / (len(lines) + 2)
        words = re.search(rf"(?<= )({'|'.join(COLOURS)})(?=\s|$)", line)
        plain = line if not words else line[: words.start()] + " " * len(words[0]) + line[words.end() :]
        figure.text(0.01, y, plain, color="#1f2328", **face)
        if words:
            figure.text(0.01, y, " " * words.start() + words[0], color=COLOURS[words[0]], weight="bold", **face)
    with new_binary(picture) as file:
        figure.savefig(file, format="png", dpi=110)


if __name__ == "__main__":
    sys.exit(exit_with(main))
