"""``python -m train.data.synthetic --sheet FILE.png``: a contact sheet of the synthetic faces."""

import argparse
import sys
from pathlib import Path

from edgefer.errors import exit_with
from train.data.synthetic import sheet


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.data.synthetic", description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True, help="PNG file to write the contact sheet to")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    sheet.write(args.sheet)
    print(f"{args.sheet}: the same faces for everybody, from seed {sheet.SEED}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
