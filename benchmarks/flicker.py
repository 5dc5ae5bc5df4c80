"""Flicker: how often the label of a face changes in a video, by the time constant of the smoothing.

    python -m benchmarks.flicker --bundle build/bundles/i7 --video clip.mp4 [--json FILE]

Nobody changes expression several times a second, so a rate far above one is noise. The other side of smoothing is delay: a
change shows its time constant later. Tracks tell whether one person keeps one number.
"""

import argparse
import itertools
import os
import sys
from collections import defaultdict
from pathlib import Path

from edgefer.errors import PASS, InputRejected, exit_with
from edgefer.files import write_json

CONSTANTS_S = (0.0, 0.1, 0.3, 1.0)
VIDEO = "one-face.mp4"


def measured(lines: list[dict]) -> dict:
    """Of one video's lines: ``{faces, tracks, seconds, changes, changes_per_s}``; seconds are those a face was followed."""
    seen = defaultdict(list)
    for line in lines:
        for face in line["faces"]:
            seen[face["track"]].append((line["time_s"], face["label"]))
    pairs = [pair for track in seen.values() for pair in itertools.pairwise(track)]
    seconds = sum(b[0] - a[0] for a, b in pairs)
    changes = sum(a[1] != b[1] for a, b in pairs)
    return {
        "faces": sum(map(len, seen.values())),
        "tracks": len(seen),
        "seconds": round(seconds, 3),
        "changes": changes,
        "changes_per_s": changes / seconds if seconds else None,
    }


def run(bundle: str, video: str, detect_every: int, **choices) -> dict:
    """``{video, detector, detect_every, by_constant: [{smooth_s, …}]}``; see ``measured``."""
    from edgefer import api
    from edgefer.sources import open_source

    recogniser, rows = api.Recogniser(bundle, **choices), []
    for constant in CONSTANTS_S:
        source = open_source(video)
        loop = recogniser.loop(source, constant, detect_every)
        rows.append({"smooth_s": constant, **measured([loop.step(frame) for frame in source.frames])})
    if not rows[0]["faces"]:
        raise InputRejected(f"no face was found in {video}; give a video of a face, or another --detector")
    engine, precision, _ = recogniser.choice
    return {
        "video": Path(video).name,
        "detector": recogniser.detector.name,
        "detect_every": detect_every,
        "artifact": f"{engine} {precision}",
        "by_constant": rows,
    }


def told(value: dict) -> str:
    """A table for a person."""
    head = f"{value['video']}: {value['artifact']}, faces by {value['detector']} every {value['detect_every']} frames"
    rows = [f"{'constant s':>10} {'changes/s':>10} {'changes':>8} {'faces':>6} {'tracks':>7}"]
    for row in value["by_constant"]:
        rate = "–" if row["changes_per_s"] is None else f"{row['changes_per_s']:.2f}"
        rows.append(f"{row['smooth_s']:>10} {rate:>10} {row['changes']:>8} {row['faces']:>6} {row['tracks']:>7}")
    return "\n".join([head, *rows])


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flicker", description="How often labels change.")
    parser.add_argument("--bundle", required=True, metavar="DIR")
    parser.add_argument("--video", metavar="FILE", help=f"default: {VIDEO} in EDGEFER_DATA")
    parser.add_argument("--detector", help="as of edgefer run")
    parser.add_argument("--precision", help="as of edgefer run")
    parser.add_argument("--detect-every", type=int, default=1, metavar="N")
    parser.add_argument("--json", metavar="FILE", help="write what was measured to FILE")
    args = parser.parse_args()
    video = args.video or str(Path(os.environ.get("EDGEFER_DATA", ".")) / VIDEO)
    value = run(args.bundle, video, args.detect_every, detector=args.detector, precision=args.precision)
    print(told(value))
    if args.json:
        write_json(Path(args.json), value)
    return PASS


if __name__ == "__main__":
    sys.exit(exit_with(_main))
