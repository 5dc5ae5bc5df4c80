"""Sources of frames: files, cameras, network streams, raw frames on standard input. They know nothing of faces.

A file's frames follow each other as they were recorded and none is left out. A live source's come when they come: the newest
is processed, those that came meanwhile are dropped and counted (``edgefer.sources.live``).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefer.errors import InputRejected, UsageError

STREAM = re.compile(r"(rtsps?|rtmp|https?|udp|tcp|srt)://", re.IGNORECASE)
STDIN = "-"
SECRET = re.compile(
    r"(?<=[?&;])([\w-]*(?:user|username|usr|login|password|passwd|pass|pwd|token|auth|key|secret))=[^&;#]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Frame:
    """One picture of a source."""

    index: int
    """Its number, from 0; dropped frames are counted."""
    source: str
    """The file, camera or stream it comes from; a stream's without user name and password."""
    time: float
    """Seconds: in a file from its beginning, by its own time stamps; live since the first frame, by the monotonic clock when it
    came; 0 for an image."""
    image: np.ndarray | None
    """uint8 (H, W, 3), RGB, or (H, W) grey; None where it could not be read."""
    error: str | None = None
    """Why it could not be read."""
    dropped: int = 0
    """How many frames of a live source came between the one before and this one, and were left out."""


@dataclass(frozen=True)
class Options:
    """What a source may need to be told."""

    size: tuple[int, int] | None = None
    """Width and height: asked of a camera; of raw frames, what they have."""
    rate: float | None = None
    """Frames a second: asked of a camera; of raw frames, what they were taken at."""
    pixels: str | None = None
    """Form of raw frames, one of ``edgefer.sources.pixels.FORMATS``; None where the stream begins with a YUV4MPEG2 header."""
    live: bool = False
    """Raw frames come from a camera: the newest wins. Otherwise the pipe holds its writer back and none is left out."""
    wait: bool = False
    """A camera or stream that is not there yet is waited for; otherwise it is an error."""
    waiting: Callable[[], None] = lambda: None
    """Called about twice a second while a live source gives nothing."""
    note: Callable[[str], None] = lambda _text: None
    """Told, in a sentence, when a live source is lost and when it is back."""


@dataclass(frozen=True)
class Source:
    """Where frames come from."""

    name: str
    frames: Iterator[Frame]
    moving: bool
    """True: frames follow each other in time. False: independent images."""
    live: bool = False
    """True: they come when they come, and some may be dropped."""
    rate: float | None = None
    """Frames a second, where the source says so."""
    close: Callable[[], None] = lambda: None
    """Let go of the camera, stream or file."""


def without_password(name: str) -> str:
    """A stream's address as it may be logged: ``rtsp://me:secret@host/x?pwd=1`` → ``rtsp://host/x?pwd=***``."""
    if not STREAM.match(name):
        return name
    return SECRET.sub(r"\1=***", re.sub(r"^(\w+://)[^/]*@", r"\1", name))


def open_source(name: str | int | Path, options: Options | None = None) -> Source:
    """Open a source.

    Args:
        name: a camera's number or path (``0``, ``/dev/video0``), a stream's address (``rtsp://…``, ``http://…``), ``-`` for raw
            frames on standard input, or a video file, an image, a folder of images (sorted by name, not searched deeper).
        options: see there.

    Raises:
        InputRejected: a file does not exist, a folder has no images, or a file cannot be read as what it is.
        Unreachable: no camera or stream is there, and it is not to be waited for.
        UsageError: raw frames of unknown form.
        EnvironmentInvalid: OpenCV is needed and not installed.
    """
    name, options = str(name), options or Options()
    if name == STDIN:
        from edgefer.sources import raw

        return raw.stdin(options)
    if options.pixels or options.live:
        raise UsageError(f"--pixels and --live are about raw frames on standard input (--source -), not {name}")
    if name.isdecimal() or STREAM.match(name) or Path(name).is_char_device():
        from edgefer.sources import camera

        return camera.open_camera(name, options)
    if options.size or options.rate:
        raise UsageError(f"--size and --rate are about cameras and raw frames; {name} has its own")
    from edgefer.sources import files

    if not Path(name).exists():
        raise InputRejected(
            f"source {name} does not exist; give a video file, an image, a folder of images, "
            "a camera's number or path, a stream's address, or - for raw frames on standard input"
        )
    return files.open_file(name)
