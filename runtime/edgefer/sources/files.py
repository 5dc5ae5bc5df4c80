"""Frames of a video file, an image, a folder of images. They know files and OpenCV, and nothing of faces."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgefer.detectors import opencv
from edgefer.errors import InputRejected
from edgefer.files import is_utf8
from edgefer.sources import Frame, Source
from edgefer.sources.camera import quiet_opencv

IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def open_file(name: str) -> Source:
    """Open a video file, an image, or a folder of images that exists; see ``edgefer.sources.open_source``."""
    path = Path(name)
    if path.is_dir():
        return Source(name, _images(_listed(path)), moving=False)
    if path.suffix.lower() in IMAGES:
        return Source(name, iter([_read_whole(path)]), moving=False)
    return _video(path)


def _listed(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith("."))
    found = sorted(path for path in files if path.is_file())
    if not found:
        raise InputRejected(f"folder {folder} has no images ({', '.join(sorted(s[1:] for s in IMAGES))})")
    return found


def _images(paths: list[Path]) -> Iterator[Frame]:
    for index, path in enumerate(paths):
        yield _image(index, path)


def _read_whole(path: Path) -> Frame:
    frame = _image(0, path)
    if frame.error:
        raise InputRejected(frame.error)
    return frame


def _image(index: int, path: Path) -> Frame:
    cv2 = opencv()
    image, reason = None, "it is no picture OpenCV knows, or it is damaged"
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except OSError as error:
        reason = error.strerror
    except cv2.error:
        reason = "the file is empty" if path.stat().st_size == 0 else reason
    if image is None:
        return Frame(index, str(path), 0.0, None, f"image {path} cannot be read: {reason}")
    return Frame(index, str(path), 0.0, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _video(path: Path) -> Source:
    """Reads one frame at once, so that a file without any is refused here and not after the models are loaded."""
    cv2 = quiet_opencv()
    if not is_utf8(path):
        raise InputRejected(f"video {path}: its name is not UTF-8, which OpenCV needs; rename it")
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputRejected(f"video {path} cannot be read ({error.strerror}); see that you may read it") from None
    if path.stat().st_size == 0:
        raise InputRejected(f"video {path} is empty: the file has no bytes")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        capture.release()
        raise InputRejected(f"{path} cannot be read as a video; convert it, for example to mp4, or give an image")
    there, first = capture.read()
    if not there:
        capture.release()
        raise InputRejected(f"video {path} is empty: it has no frame that can be read")
    rate = capture.get(cv2.CAP_PROP_FPS)
    return Source(str(path), _frames(cv2, capture, path, first), moving=True, rate=rate if rate > 0 else None)


def _frames(cv2, capture, path: Path, image: np.ndarray) -> Iterator[Frame]:
    rate, index, last, there = capture.get(cv2.CAP_PROP_FPS), 0, 0.0, True
    try:
        while there:
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index and time <= last:  # some containers carry no times: count frames instead
                time = last + (1 / rate if rate > 0 else 0.04)
            last = max(time, 0.0)
            yield Frame(index, str(path), last, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            there, image = capture.read()
            index += 1
    finally:
        capture.release()
