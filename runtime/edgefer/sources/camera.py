"""Cameras and network streams through OpenCV."""

import os

import numpy as np

from edgefer.detectors import opencv
from edgefer.errors import InputRejected, Unreachable
from edgefer.sources import STREAM, Options, Source, without_password
from edgefer.sources.live import Live

TIMEOUT_MS = 10_000
"""Longest wait for a stream to open or to give a frame."""
QUIET = "-8"
"""FFmpeg's log level: its and OpenCV's warnings at every attempt to open a camera that is away would fill a journal, and of a
damaged file there is a sentence of our own."""


def open_camera(name: str, options: Options) -> Source:
    """See ``edgefer.sources.open_source``."""
    cv2 = quiet_opencv()
    shown = without_password(name)
    live = Live(shown, lambda: _open(cv2, name, shown, options), options)
    return Source(shown, live.frames(), moving=True, live=True, rate=options.rate, close=live.close)


def quiet_opencv():
    """The cv2 module, which then tells what it could not read by its answers alone."""
    cv2 = opencv()
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", QUIET)
    logging = getattr(cv2.utils, "logging", None)
    if logging:
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    return cv2


class Camera:
    """See ``edgefer.sources.live.Capture``."""

    ends = False

    def __init__(self, cv2, capture):
        self._cv2, self._capture = cv2, capture

    def read(self) -> np.ndarray | None:
        try:
            there, image = self._capture.read()
        except self._cv2.error:
            return None
        return image if there else None

    def picture(self, raw: np.ndarray) -> np.ndarray:
        return picture(self._cv2, raw)

    def close(self) -> None:
        self._capture.release()


def picture(cv2, raw: np.ndarray) -> np.ndarray:
    """What a driver gives → uint8 RGB or grey: 8 or 16 bits, grey, BGR or BGRA.

    Raises:
        InputRejected: it is something else, or has no pixels.
    """
    if not isinstance(raw, np.ndarray) or raw.size == 0:
        shape = getattr(raw, "shape", type(raw).__name__)
        raise InputRejected(f"the camera gave a frame without pixels ({shape}); check its cable and its settings")
    if raw.dtype == np.uint16:
        raw = (raw >> 8).astype(np.uint8)
    channels = raw.shape[2] if raw.ndim == 3 else 1
    if raw.dtype != np.uint8 or raw.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise InputRejected(f"the camera gave a frame of {raw.dtype} {raw.shape}; set it to 8-bit colour or grey")
    if channels == 1:
        return raw.reshape(raw.shape[:2])
    return cv2.cvtColor(raw, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGB)


def _open(cv2, name: str, shown: str, options: Options) -> Camera:
    try:
        capture = _stream(cv2, name) if STREAM.match(name) else _device(cv2, name, options)
    except cv2.error as error:
        raise Unreachable(f"source {shown} cannot be opened ({' '.join(str(error).split())[:150]})") from None
    if not capture.isOpened():
        capture.release()
        raise Unreachable(f"source {shown} cannot be opened: {_remedy(name)}")
    return Camera(cv2, capture)


def _stream(cv2, name: str):
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    return cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits)


def _device(cv2, name: str, options: Options):
    capture = cv2.VideoCapture(int(name) if name.isdecimal() else name, cv2.CAP_ANY)
    wanted = {cv2.CAP_PROP_BUFFERSIZE: 1}  # what waits in a driver is old
    if options.size:
        wanted |= {cv2.CAP_PROP_FRAME_WIDTH: options.size[0], cv2.CAP_PROP_FRAME_HEIGHT: options.size[1]}
    if options.rate:
        wanted[cv2.CAP_PROP_FPS] = options.rate
    for setting, value in wanted.items():
        capture.set(setting, value)
    return capture


def _remedy(name: str) -> str:
    if STREAM.match(name):
        return "nothing answers there with a video; check the address, name and password, and the network"
    return (
        "no camera answers there; connect it, see that no other program uses it and that you may "
        "(group video), or name another: ls /dev/video*"
    )
