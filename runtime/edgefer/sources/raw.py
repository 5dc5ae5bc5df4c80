"""Raw frames on standard input: from rpicam-vid, FFmpeg, GStreamer, or any program, without OpenCV.

Their size and form are said by ``--size`` and ``--pixels``, or by the stream itself where it begins with a YUV4MPEG2 header
(``ffmpeg … -f yuv4mpegpipe -``).
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from edgefer.errors import InputRejected, UsageError, unknown
from edgefer.sources import Frame, Options, Source
from edgefer.sources.live import Live
from edgefer.sources.pixels import FORMATS

NAME = "stdin"
RATE = 25.0
"""Frames a second where nobody says."""
MAGIC = b"YUV4MPEG2"
LONGEST_HEADER = 1024
LARGEST_SIDE = 16384
COLOURS = {
    **dict.fromkeys(("420", "420jpeg", "420mpeg2", "420paldv"), "yuv420p"),
    "444": "yuv444p",
    "mono": "gray",
}
"""YUV4MPEG2 colour space → form. Others, such as 420p10, have 16 bits a sample or another plane."""


@dataclass(frozen=True)
class Shape:
    """What a stream holds."""

    width: int
    height: int
    pixels: str
    rate: float
    framed: bool = False
    """Each frame begins with a line of its own, as in YUV4MPEG2."""

    @property
    def bytes(self) -> int:
        """Of one frame."""
        return int(self.width * self.height * FORMATS[self.pixels].bytes_per_pixel)


def stdin(options: Options) -> Source:
    """See ``edgefer.sources.open_source``."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("--source - reads raw frames from standard input, which is a terminal; pipe a program into it")
    return stream(sys.stdin.buffer, options)


def stream(file: BinaryIO, options: Options) -> Source:
    """Frames of an open binary stream.

    Raises:
        UsageError: unknown or impossible form or size.
        InputRejected: neither flags nor a header say what the stream holds.
    """
    shape = _stated(options) if options.pixels else _header(file, options)
    if not options.live:
        return Source(NAME, _frames(file, shape), moving=True, rate=shape.rate)
    live = Live(NAME, lambda: Pipe(file, shape), replace(options, wait=False))
    return Source(NAME, live.frames(), moving=True, live=True, rate=shape.rate, close=live.close)


class Pipe:
    """See ``edgefer.sources.live.Capture``."""

    ends = True

    def __init__(self, file: BinaryIO, shape: Shape):
        self._file, self._shape = file, shape

    def read(self) -> np.ndarray | None:
        data = _next(self._file, self._shape)
        return data if data is not None and len(data) == self._shape.bytes else None

    def picture(self, raw: np.ndarray) -> np.ndarray:
        return FORMATS[self._shape.pixels].picture(raw, self._shape.width, self._shape.height)

    def close(self) -> None:
        """Standard input is not ours to close."""


def _frames(file: BinaryIO, shape: Shape) -> Iterator[Frame]:
    index, picture = 0, FORMATS[shape.pixels].picture
    while (data := _next(file, shape)) is not None:
        at = index / shape.rate
        if len(data) < shape.bytes:
            told = f"the stream ended within frame {index}: {len(data)} of its {shape.bytes} bytes came"
            yield Frame(index, NAME, at, None, f"{told}; check --size and --pixels, or that its writer ended well")
            return
        yield Frame(index, NAME, at, picture(data, shape.width, shape.height))
        index += 1


def _next(file: BinaryIO, shape: Shape) -> np.ndarray | None:
    """The next frame's bytes, fewer where the stream ends within it; None at its end."""
    if shape.framed:
        line = file.readline(LONGEST_HEADER)
        if not line:
            return None
        if not line.startswith(b"FRAME"):
            raise InputRejected(
                f"the stream on standard input is damaged: a frame begins with {line[:20]!r}, not FRAME"
            )
    data = np.empty(shape.bytes, np.uint8)
    view, have = memoryview(data), 0
    while have < shape.bytes and (n := file.readinto(view[have:])):
        have += n
    return data[:have] if have or shape.framed else None


def _stated(options: Options) -> Shape:
    if options.pixels not in FORMATS:
        raise unknown("form of pixels", options.pixels, FORMATS, "edgefer")
    if not options.size:
        raise UsageError(
            f"--pixels {options.pixels} needs --size WIDTHxHEIGHT: raw frames do not say how large they are"
        )
    return _checked(Shape(*options.size, options.pixels, options.rate or RATE))


def _checked(shape: Shape) -> Shape:
    across, down = FORMATS[shape.pixels].even
    if not (0 < shape.width <= LARGEST_SIDE and 0 < shape.height <= LARGEST_SIDE):
        raise UsageError(f"frames of {shape.width}×{shape.height} pixels: each side must be from 1 to {LARGEST_SIDE}")
    if shape.width % across or shape.height % down:
        raise UsageError(f"frames of {shape.pixels} need an even width and height, not {shape.width}×{shape.height}")
    return shape


def _header(file: BinaryIO, options: Options) -> Shape:
    if options.size:
        raise UsageError(f"--size needs --pixels, one of {', '.join(FORMATS)}")
    line = file.readline(LONGEST_HEADER)
    words = line.decode("ascii", "replace").split()
    if not words or words[0].encode() != MAGIC:
        raise InputRejected(
            "standard input does not begin with a YUV4MPEG2 header; say what it holds with --size and --pixels, "
            "or write it with: ffmpeg … -f yuv4mpegpipe -"
        )
    told = {word[0]: word[1:] for word in words[1:] if word[0] in "WHFC"} | _range(words)
    try:
        above, _, below = told.get("F", "25:1").partition(":")
        rate = options.rate or (int(above) / int(below or 1) if int(below or 1) and int(above) else RATE)
        return _checked(Shape(int(told["W"]), int(told["H"]), _colour(told), rate, framed=True))
    except (KeyError, ValueError):
        raise InputRejected(f"the YUV4MPEG2 header {line[:80]!r} cannot be read; write the stream again") from None


def _range(words: list[str]) -> dict[str, str]:
    return {"range": "full"} if "XCOLORRANGE=FULL" in words else {}


def _colour(told: dict[str, str]) -> str:
    space = told.get("C", "420jpeg")
    form, full = COLOURS.get(space), "range" in told
    if form is None or (form == "yuv444p" and full):
        space += " in full range" if full else ""
        raise InputRejected(f"a YUV4MPEG2 stream of colour space {space} is not known; write it with -pix_fmt yuv420p")
    return "yuvj420p" if form == "yuv420p" and full else form
