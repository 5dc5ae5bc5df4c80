"""An annotated video, by OpenCV. It is written beside its place and takes it when it is complete."""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np

from edgefer.detectors import opencv
from edgefer.errors import EnvironmentInvalid, UsageError
from edgefer.files import is_utf8
from edgefer.outputs import Full, Result

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "MJPG"}
"""Suffix → codec that OpenCV's wheels bring along."""
RATE = 25.0
LEAST_FREE = 32_000_000
"""Bytes that stay free on the disk: OpenCV does not tell when it could not write, so it must not come to that."""
CHECK_EVERY = 16
MOST_REPEATS = 250
"""Longest standstill of a live source that the video shows, in frames."""


class VideoFile:
    """See ``edgefer.outputs.Output``.

    Args:
        path: .mp4, .avi or .mkv.
        rate: frames a second of the video; None: 25.
        live: frames come at uneven times and some are dropped: each is shown until the next one's time, or ``MOST_REPEATS``
            times at most.

    Raises:
        UsageError: another suffix, or the folder cannot be written.
        EnvironmentInvalid: OpenCV is not installed.
    """

    def __init__(self, path: str, rate: float | None, live: bool):
        self._path, self._rate, self._live = Path(path), rate or RATE, live
        if self._path.suffix.lower() not in CODECS:
            raise UsageError(f"--video {path}: the name must end in one of {', '.join(CODECS)}")
        if not is_utf8(path):
            raise UsageError(f"--video {path}: its name is not UTF-8; choose another")
        self._cv2, self._writer, self._last = opencv(), None, None
        self._written, self._calls, self._left_out_s = 0, 0, 0.0
        try:
            if self._path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(self._path.suffix, f".{self._path.stem}.part", self._path.parent)
            os.close(handle)
        except OSError as error:
            raise UsageError(f"--video {path} cannot be written ({error.strerror}); choose another place") from None
        self._part = Path(name)

    def write(self, result: Result) -> None:
        image = result.drawn
        if image is None:
            return
        self._check_room()
        if self._writer is None:
            self._open(image)
        if (image.shape[1], image.shape[0]) != self._size:
            image = self._cv2.resize(image, self._size)
        image = np.ascontiguousarray(image)
        if due := self._due(result.line["time_s"]):
            for _ in range(due - 1):
                self._writer.write(image if self._last is None else self._last)
            self._writer.write(image)
            self._written += due
        self._last = image

    def close(self, whole: bool = True) -> None:
        """
        Args:
            whole: the run came to its end; the video of one that an error ended goes.

        Raises:
            EnvironmentInvalid: OpenCV wrote nothing that can be read.
        """
        if self._writer is not None:
            self._writer.release()
        if self._writer is None or not whole:
            self._part.unlink(missing_ok=True)
            return
        self._writer = None
        capture = self._cv2.VideoCapture(str(self._part))
        good = capture.isOpened() and capture.read()[0]
        capture.release()
        if not good:
            self._part.unlink(missing_ok=True)
            raise EnvironmentInvalid(
                f"{self._path}: OpenCV could not write a video that can be read; try another suffix of {', '.join(CODECS)}"
            )
        self._part.chmod(0o644)
        self._part.replace(self._path)

    def _open(self, image: np.ndarray) -> None:
        self._size = image.shape[1], image.shape[0]
        code = self._cv2.VideoWriter_fourcc(*CODECS[self._path.suffix.lower()])
        self._writer = self._cv2.VideoWriter(str(self._part), code, self._rate, self._size)
        if not self._writer.isOpened():
            self._writer = None
            raise EnvironmentInvalid(
                f"OpenCV cannot write {self._path.suffix} here; try another of {', '.join(CODECS)}"
            )

    def _due(self, at: float) -> int:
        """How many frames the video needs to come to this one's time, itself included."""
        if not self._live:
            return 1
        due = round((at - self._left_out_s) * self._rate) + 1 - self._written
        self._left_out_s += max(0, due - MOST_REPEATS) / self._rate
        return max(0, min(MOST_REPEATS, due))

    def _check_room(self) -> None:
        if self._calls % CHECK_EVERY == 0:
            disk = os.statvfs(self._part.parent)
            if disk.f_bavail * disk.f_frsize < LEAST_FREE:
                free = LEAST_FREE // 10**6
                raise Full(f"{self._path}: less than {free} MB are free on its disk; the video ends here; make room")
        self._calls += 1
