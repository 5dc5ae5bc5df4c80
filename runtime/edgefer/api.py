"""edgefer from Python: the same frame loop, detectors and engines as ``edgefer run``.

    from edgefer import api

    def show(line, image):                      # one frame's line, and the frame: uint8 (H, W, 3) RGB
        print(line["faces"])

    api.run("bundles/i7", "0", show)            # a camera; also a video, a stream, a folder

    for line, image in api.watch("bundles/i7", "clip.mp4"):
        ...

    step = api.Recogniser("bundles/i7").stepper()   # frames of your own
    line = step(image, time=12.04)              # uint8 (H, W, 3) RGB or (H, W), seconds that do not decrease

Nothing here is safe for use by several threads at once; one Recogniser a thread is.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from edgefer import bundle, choose
from edgefer.classifier import Classifier
from edgefer.loop import DETECT_EVERY_LIVE, SMOOTHING, FrameLoop
from edgefer.outputs import Closed, Result
from edgefer.service.heartbeat import Heartbeat
from edgefer.sources import Frame, Options, Source, open_source
from edgefer.working import Counts, work

Callback = Callable[[dict, np.ndarray | None], bool | None]


class Recogniser:
    """A bundle with what runs it.

    Args:
        folder: of the bundle.
        engine: litert, onnxruntime or openvino; None: the bundle's, or the first installed.
        precision: fp32 or int8; None: the bundle's.
        threads: of the engine; None: the bundle's.
        detector: one of ``edgefer.detectors.NAMES``; None: the bundle's own, else yunet where its file is known, else haar.
        yunet: YuNet's ONNX file; None: the environment variable EDGEFER_YUNET.
        note: told, in sentences, of choices that nobody made.

    Raises:
        InputRejected: the bundle is damaged.
        UsageError: an engine, precision or detector that does not exist.
        EnvironmentInvalid: an engine or OpenCV is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        engine: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        detector: str | None = None,
        yunet: str | Path | None = None,
        note: choose.Note = lambda _text: None,
    ):
        self.bundle = bundle.load(folder)
        self.choice = choose.choice(self.bundle, engine, precision, threads, note)
        self._detector, self._yunet, self._note = detector, yunet, note

    @cached_property
    def detector(self):
        """Loaded when it is first needed."""
        return choose.detector(self.bundle, self._detector, self._yunet, self.choice, self._note)

    @cached_property
    def classifier(self) -> Classifier:
        """Loaded when it is first needed."""
        return Classifier(self.bundle, *self.choice)

    def loop(self, source: Source, smooth: float = SMOOTHING, detect_every: int | None = None) -> FrameLoop:
        """A frame loop for one source; ``detect_every`` None: every frame of a file, every fifth of a live source."""
        every = detect_every or (DETECT_EVERY_LIVE if source.live else 1)
        return FrameLoop(self.detector, self.classifier, source.moving, smooth, every)

    def stepper(self, moving: bool = True, smooth: float = SMOOTHING, detect_every: int = 1) -> Callable[..., dict]:
        """A function ``step(image, time) → line`` for frames of your own.

        ``image`` is uint8 (H, W, 3) RGB or (H, W); what is not gives a line with an ``error``. ``time`` is in seconds, of the
        frame or of ``time.monotonic()``, and does not decrease. With ``moving`` False frames are independent images.
        """
        loop, count = FrameLoop(self.detector, self.classifier, moving, smooth, detect_every), 0

        def step(image: np.ndarray, time: float = 0.0) -> dict:
            nonlocal count
            count += 1
            return loop.step(Frame(count - 1, "api", time, image))

        return step


def run(
    folder: str | Path,
    source: str,
    callback: Callback,
    smooth: float = SMOOTHING,
    detect_every: int | None = None,
    options: Options | None = None,
    **choices,
) -> Counts:
    """Call ``callback(line, image)`` for every frame until the source ends or the callback returns False.

    Args:
        folder: of the bundle.
        source: see ``edgefer.sources.open_source``.
        callback: gets the line (``FrameLoop.step``) and the frame; what it raises ends the run and is raised here.
        smooth: see ``FrameLoop``.
        detect_every: see ``Recogniser.loop``.
        options: of the source.
        choices: arguments of ``Recogniser``.
    """
    recogniser, opened = Recogniser(folder, **choices), open_source(source, options)
    note = choices.get("note", lambda _text: None)
    try:
        loop = recogniser.loop(opened, smooth, detect_every)
        counts = work(opened, loop, [_Called(callback)], Heartbeat(opened.name, None, note), note)
    finally:
        opened.close()
    if counts.stopped:
        raise KeyboardInterrupt
    return counts


def watch(
    folder: str | Path,
    source: str,
    smooth: float = SMOOTHING,
    detect_every: int | None = None,
    options: Options | None = None,
    **choices,
) -> Iterator[tuple[dict, np.ndarray | None]]:
    """The same as ``run`` for a ``for`` loop: pairs of line and frame. A live source drops what comes while the loop works."""
    recogniser, opened = Recogniser(folder, **choices), open_source(source, options)
    try:
        loop = recogniser.loop(opened, smooth, detect_every)
        for frame in opened.frames:
            yield loop.step(frame), frame.image
    finally:
        opened.close()


class _Called:
    """A callback as an output."""

    def __init__(self, callback: Callback):
        self._callback = callback

    def write(self, result: Result) -> None:
        if self._callback(result.line, result.image) is False:
            raise Closed

    def close(self) -> None:
        """Nothing is held."""
