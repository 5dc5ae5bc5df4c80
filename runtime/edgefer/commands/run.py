"""``edgefer run``: find the faces of a source and say what each expresses."""

import argparse
import contextlib
import re

from edgefer import bundle, detectors, engines
from edgefer.commands import note
from edgefer.errors import PASS, InputRejected, UsageError
from edgefer.loop import DETECT_EVERY_LIVE, SMOOTHING


def add(commands) -> None:
    help_ = "find the faces in a camera's picture, a stream, a video or images; write one JSON object a frame"
    command = commands.add_parser("run", help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    command.set_defaults(work=work)
    _add_options(command)


def parsed(words: list[str]) -> argparse.Namespace:
    """Flags of this command, checked; wrong ones end the program with what is wrong."""
    parser = argparse.ArgumentParser(prog="edgefer run")
    _add_options(parser)
    args = parser.parse_args(words)
    _check_numbers(args)
    return args


def _add_options(command: argparse.ArgumentParser) -> None:
    _add_models(command.add_argument)
    _add_source(command.add_argument_group("source").add_argument)
    _add_outputs(command.add_argument_group("outputs").add_argument)


def _add_models(add) -> None:
    real = [name for name, row in engines.ENGINES.items() if row.packages]
    add("--bundle", required=True, metavar="DIR", help="the bundle to run")
    add("--engine", help=f"{', '.join(real)} (default: the bundle's, or the first installed)")
    add("--precision", help=f"{' or '.join(bundle.PRECISIONS)} (default: the bundle's)")
    add("--threads", type=int, metavar="N", help="threads of the engine (default: the bundle's)")
    told = "; ".join(f"{name}: {what}" for name, what in detectors.NAMES.items())
    default = "--yunet's, own if the bundle has it, yunet if its file is known, haar"
    add("--detector", help=f"{told} (default: {default})")
    add("--yunet", metavar="FILE", help=f"YuNet's ONNX file (default: the environment variable {detectors.VARIABLE})")
    every = f"look for faces in every N-th frame and follow them in between (default: 1, live {DETECT_EVERY_LIVE})"
    add("--detect-every", type=int, metavar="N", help=every)
    smooth = "time constant of the smoothing of probabilities over time, 0 for none (default %(default)s)"
    add("--smooth", type=float, default=SMOOTHING, metavar="SECONDS", help=smooth)


def _add_source(add) -> None:
    from edgefer.sources.pixels import FORMATS

    what = (
        "a video, an image, a folder of independent images; a camera's number or path, a stream (rtsp://, http://); "
        "- for raw frames on standard input"
    )
    add("--source", required=True, metavar="S", help=what)
    add("--size", metavar="WxH", help="width and height: asked of a camera; of raw frames, what they have")
    add("--rate", type=float, metavar="FPS", help="frames a second: asked of a camera; of raw frames, taken at")
    pixels = f"form of raw frames: {', '.join(FORMATS)} (default: what a YUV4MPEG2 header says)"
    add("--pixels", metavar="FORM", help=pixels)
    add("--live", action="store_true", help="raw frames come from a camera: drop those that come too fast")
    add("--wait", action="store_true", help="wait for a camera or stream that is not there yet, however long")


def _add_outputs(add) -> None:
    jsonl = "write the lines to FILE: whole or not at all, of a live source as they come (default: standard output)"
    add("--jsonl", metavar="FILE", help=jsonl)
    add("--video", metavar="FILE", help="write an annotated video (.mp4, .avi, .mkv)")
    add("--window", action="store_true", help="show annotated frames; q ends")
    add("--http", type=int, metavar="PORT", help="show annotated frames at http://127.0.0.1:PORT/ (0: any port)")
    add("--health", metavar="FILE", help="keep a JSON file with the state of the run, renewed every second")


def work(args: argparse.Namespace) -> int:
    from edgefer.signals import Terminated, terminable

    _check_numbers(args)
    try:
        with terminable():
            counts = _run(args)
    except Terminated:
        note("stopped before the first frame")
        return PASS
    note(counts.told())
    if counts.stopped:
        raise KeyboardInterrupt
    if counts.full:
        raise counts.full
    if not counts.frames and not counts.terminated:
        raise InputRejected(f"no frame came from {args.source}; see that what writes or sends it does")
    if counts.frames == counts.unusable and not counts.terminated:
        raise InputRejected(f"none of the {counts.frames} frames of {args.source} could be used")
    return PASS


def _run(args: argparse.Namespace):
    from edgefer import api
    from edgefer.service.heartbeat import Heartbeat
    from edgefer.sources import Options, open_source
    from edgefer.working import work

    _check_places(args)
    choices = (args.engine, args.precision, args.threads, args.detector, args.yunet)
    recogniser = api.Recogniser(args.bundle, *choices, note)
    beating: list[Heartbeat] = []
    told = {"size": _size(args.size), "rate": args.rate, "pixels": args.pixels, "live": args.live, "wait": args.wait}
    options = Options(**told, waiting=lambda: [heart.waiting() for heart in beating], note=note)
    with contextlib.ExitStack() as stack:
        source = open_source(args.source, options)
        stack.callback(source.close)
        loop = recogniser.loop(source, args.smooth, args.detect_every)
        note(_told(recogniser))
        outputs = _outputs(args, source, stack)
        heart = Heartbeat(source.name, args.health, note)
        beating.append(heart)
        heart.ready()
        return work(source, loop, outputs, heart, note)


def _check_places(args: argparse.Namespace) -> None:
    """Nothing that is read may be written, and nothing be written twice."""
    from pathlib import Path

    named = {"--source": args.source, "--jsonl": args.jsonl, "--video": args.video, "--health": args.health}
    places = {flag: Path(name).resolve() for flag, name in named.items() if name and not Path(name).is_char_device()}
    for flag in [each for each in places if each != "--source"]:
        same = [other for other in places if other != flag and places[other] == places[flag]]
        if same:
            raise UsageError(f"{flag} {named[flag]} is named by {same[0]} as well; name another file")
        if places[flag].is_relative_to(Path(args.bundle).resolve()):
            raise UsageError(f"{flag} {named[flag]} lies in the bundle; name a file outside it")


def _told(recogniser) -> str:
    engine, precision, threads = recogniser.choice
    return f"{recogniser.bundle.name}: {engine} {precision}, {threads} threads; faces by {recogniser.detector.name}"


def _outputs(args: argparse.Namespace, source, stack: contextlib.ExitStack) -> list:
    """What was asked for, open; each is closed when the run is over, whatever ends it."""
    from edgefer.outputs import lines

    found = []
    if args.video:
        from edgefer.outputs.video import VideoFile

        video = VideoFile(args.video, source.rate, source.live)
        stack.push(lambda kind, *_: video.close(whole=kind is None))
        found.append(video)
    if args.http is not None:
        from edgefer.outputs.http import HttpStream

        found.append(HttpStream(args.http))
        stack.callback(found[-1].close)
        note(f"annotated frames are at {found[-1].address}")
    if args.window:
        from edgefer.outputs.window import Window

        found.append(Window())
        stack.callback(found[-1].close)
    # The lines are closed first: what goes wrong with a picture does not touch them.
    return [stack.enter_context(lines.opened(args.jsonl, source.live, note)), *found]


def _size(text: str | None) -> tuple[int, int] | None:
    """``640x480`` → (640, 480)."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if not found:
        raise UsageError(f"--size must be like 640x480, not {text}")
    return int(found[1]), int(found[2])


def _check_numbers(args: argparse.Namespace) -> None:
    _size(args.size)
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {args.threads}")
    if args.detect_every is not None and args.detect_every < 1:
        raise UsageError(f"--detect-every must be at least 1, not {args.detect_every}")
    if not 0 <= args.smooth < float("inf"):
        raise UsageError(f"--smooth must be a number of seconds, 0 or more, not {args.smooth}")
    if args.rate is not None and not 0 < args.rate <= 1000:
        raise UsageError(f"--rate must be a number of frames a second, above 0 and at most 1000, not {args.rate}")
    if args.http is not None and not 0 <= args.http < 65536:
        raise UsageError(f"--http must be a port from 0 to 65535, not {args.http}")
