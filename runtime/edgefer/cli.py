"""The ``edgefer`` command. Each subcommand is one function that declares its options and one that does its work."""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

from edgefer import __version__, bundle, detectors, engines
from edgefer.classifier import Classifier
from edgefer.errors import PASS, EnvironmentInvalid, InputRejected, UsageError, exit_with
from edgefer.files import new_text
from edgefer.loop import SMOOTHING, FrameLoop
from edgefer.sources import Source, open_source


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (``edgefer.errors``)."""
    return exit_with(lambda: _command(argv))


def _command(argv: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="edgefer", description="Recognise facial expressions on a device.")
    parser.add_argument("--version", action="version", version=f"edgefer {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    args = parser.parse_args(argv)
    return args.work(args)


def _add_run(commands) -> None:
    help_ = "find the faces in a video, an image or a folder of images; write one JSON object a frame"
    command = commands.add_parser("run", help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    command.set_defaults(work=_run)
    add = command.add_argument
    real = [name for name, row in engines.ENGINES.items() if row.packages]
    add("--bundle", required=True, metavar="DIR", help="the bundle to run")
    add("--source", required=True, metavar="FILE|DIR", help="a video, an image, or a folder of independent images")
    add("--engine", help=f"{', '.join(real)} (default: the bundle's, or the first installed)")
    add("--precision", help=f"{' or '.join(bundle.PRECISIONS)} (default: the bundle's)")
    add("--threads", type=int, metavar="N", help="threads of the engine (default: the bundle's)")
    told = "; ".join(f"{name}: {what}" for name, what in detectors.NAMES.items())
    add(
        "--detector",
        help=f"{told} (default: --yunet's, own if the bundle has it, yunet if its file is known, haar)",
    )
    add("--yunet", metavar="FILE", help=f"YuNet's ONNX file (default: the environment variable {detectors.VARIABLE})")
    add("--jsonl", metavar="FILE", help="write the lines to FILE, whole or not at all (default: standard output)")
    every = "in a video, look for faces in every N-th frame only (default %(default)s)"
    add("--detect-every", type=int, default=1, metavar="N", help=every)
    smooth = "in a video, time constant of the smoothing of probabilities, 0 for none (default %(default)s)"
    add("--smooth", type=float, default=SMOOTHING, metavar="SECONDS", help=smooth)


def _run(args: argparse.Namespace) -> int:
    _check_numbers(args)
    opened = bundle.load(args.bundle)
    choice = _choice(args, opened)
    source = open_source(args.source)
    detector = _detector(args, opened, choice)
    classifier = Classifier(opened, choice.engine, choice.precision, choice.threads)
    note(f"{opened.name}: {choice.engine} {choice.precision}, {choice.threads} threads; faces by {detector.name}")
    loop = FrameLoop(detector, classifier, source.moving, args.smooth, args.detect_every)
    with _output(args.jsonl) as file:
        counts = _work(source, loop, file)
    note(counts.told())
    if counts.stopped:
        raise KeyboardInterrupt
    if counts.frames == counts.unusable:
        raise InputRejected(f"none of the {counts.frames} frames of {args.source} could be used")
    return PASS


def note(text: str) -> None:
    """Say something to the person, away from the lines that machines read."""
    print(text, file=sys.stderr, flush=True)


def _check_numbers(args: argparse.Namespace) -> None:
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {args.threads}")
    if args.detect_every < 1:
        raise UsageError(f"--detect-every must be at least 1, not {args.detect_every}")
    if not 0 <= args.smooth < float("inf"):
        raise UsageError(f"--smooth must be a number of seconds, 0 or more, not {args.smooth}")


class _Choice(NamedTuple):
    engine: str
    precision: str
    threads: int


def _choice(args: argparse.Namespace, opened: bundle.Bundle) -> _Choice:
    """What the user names, else the bundle's defaults; an engine nobody named may be replaced by one that is installed."""
    precision = args.precision or opened.defaults.get("precision", bundle.PRECISIONS[0])
    engine = args.engine or _default_engine(opened, precision)
    engines.row_of(engine)
    return _Choice(engine, precision, args.threads or opened.defaults.get("threads", 1))


def _default_engine(opened: bundle.Bundle, precision: str) -> str:
    there, preferred = engines.installed(), opened.defaults.get("engine")
    if preferred in there:
        return preferred
    has = {artifact.engine for artifact in opened.artifacts if artifact.precision == precision}
    usable = [name for name in there if name in has]
    if not usable:
        wanted = preferred or next((name for name in engines.ENGINES if name in has), "litert")
        raise EnvironmentInvalid(f"no engine for this bundle is installed here; run: pip install 'edgefer[{wanted}]'")
    if preferred:
        note(f"engine '{preferred}' of the bundle is not installed here, using '{usable[0]}'")
    return usable[0]


def _detector(args: argparse.Namespace, opened: bundle.Bundle, choice: _Choice) -> detectors.Detector:
    if args.yunet and args.detector not in (None, "yunet"):
        raise UsageError(f"--yunet names YuNet's file but --detector is '{args.detector}'; leave one out")
    yunet = args.yunet or os.environ.get(detectors.VARIABLE)
    name = args.detector or _default_detector(opened, args.yunet, yunet)
    if name == "haar" and not args.detector:
        note(f"finding faces by Haar cascade: no YuNet file is configured (--yunet or {detectors.VARIABLE})")
    detector = detectors.load(name, yunet, opened.finder_model(choice.engine, choice.precision, choice.threads))
    framings = opened.spec.alignment.boxes
    if name == "haar" and name not in framings:
        raise InputRejected(
            f"the model of bundle {opened.folder} has no framing for Haar's boxes "
            f"(it has {', '.join(sorted(framings)) or 'none'}); use --detector yunet"
        )
    return detector


def _default_detector(opened: bundle.Bundle, named: str | None, known: str | None) -> str:
    """The bundle's own, unless YuNet's file is named on the command line; a variable that is set is no wish of this run."""
    if opened.finder and not named:
        return "own"
    return "yunet" if known else "haar"


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with new_text(Path(path)) as file:
        yield file


@dataclass
class _Counts:
    """What a run did, for its last line."""

    frames: int = 0
    faces: int = 0
    dropped: int = 0
    unusable: int = 0
    seconds: float = 0.0
    stopped: bool = False

    def add(self, line: dict) -> None:
        self.frames += 1
        self.faces += len(line["faces"])
        self.dropped += line["dropped"]
        self.unusable += "error" in line

    def told(self) -> str:
        rate = self.frames / self.seconds if self.seconds else 0.0
        text = f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s, {self.dropped} dropped"
        return text + (f", {self.unusable} that could not be used" if self.unusable else "")


def _work(source: Source, loop: FrameLoop, file: TextIO) -> _Counts:
    """Write one line a frame. Ctrl-C ends it between two lines, so what was written stays good."""
    counts, begin = _Counts(), time.perf_counter()
    try:
        for frame in source.frames:
            line = loop.step(frame)
            print(json.dumps(line, ensure_ascii=False, allow_nan=False), file=file, flush=file is sys.stdout)
            counts.add(line)
    except KeyboardInterrupt:
        counts.stopped = True
    counts.seconds = time.perf_counter() - begin
    return counts
