"""Live sources: frames that come when they come. The newest wins, others are dropped and counted; a lost source is tried again.

A thread reads and keeps one frame, so nothing queues up: memory and the age of a result are bounded however slow the rest is.
Times are the monotonic clock's, which no correction of the time of day moves.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from edgefer.errors import EdgeferError, Unreachable
from edgefer.sources import Frame, Options

TRIES = 5
"""So many reads without a frame, one after the other, mean that the camera is gone; fewer are a hiccup."""
HICCUP_S = 0.02
"""Pause after a read without a frame, so that a driver that fails at once is not asked in a circle."""
BACK_OFF_S = (0.5, 30.0)
"""The first pause before a lost source is tried again, and the longest: each is twice the one before."""
TICK_S = 0.5
STUCK_S = 60.0
"""A reader that has not come back for this long hangs in a driver. No thread can be ended from outside: the process has to."""
PATIENCE_S = 2.0
"""Longest wait for a reader that is to end: it may be inside a driver that does not return."""


class Capture(Protocol):
    """An open camera, stream or pipe. Used by one thread."""

    ends: bool
    """True: when nothing comes any more, it is over. False: it is lost, and may come back."""

    def read(self) -> np.ndarray | None:
        """Wait for the next frame, as the source has it; None where none came."""

    def picture(self, raw: np.ndarray) -> np.ndarray:
        """What ``read`` gave → uint8 (H, W, 3) RGB or (H, W). Called for the frames that are used, by their user's thread."""

    def close(self) -> None: ...


class Live:
    """Frames of a live source.

    Args:
        name: for the frames.
        opener: opens it; an EdgeferError says that it is not there now.
        options: ``wait``, ``waiting`` and ``note`` count here.
        clock: seconds that only go forward.

    Raises:
        EdgeferError: what ``opener`` raises, unless it is to be waited for.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], Capture],
        options: Options,
        clock: Callable[[], float] = time.monotonic,
        back_off: tuple[float, float] = BACK_OFF_S,
    ):
        self._name, self._opener, self._options, self._clock, self._back_off = name, opener, options, clock, back_off
        self._changed, self._stop = threading.Condition(), threading.Event()
        self._slot: tuple[int, float, np.ndarray, Capture] | None = None
        self._over, self._error, self._ends = False, None, False
        self._lost, self._attempts, self._turn = False, 0, clock()
        capture = self._first()
        self._thread = threading.Thread(target=self._read_all, args=(capture,), daemon=True, name=f"source {name}")

    def frames(self) -> Iterator[Frame]:
        """The newest frame each time one is asked for; ends when the source is over or closed. Reading begins with the first.

        A frame that cannot be made a picture of has its error; what goes wrong in the reader is raised here.

        Raises:
            Unreachable: the driver hangs.
        """
        self._turn = self._clock()
        self._thread.start()
        last, start = -1, None
        while True:
            taken = self._take()
            if taken is None:
                if self._over:
                    if self._error:
                        raise self._error
                    return
                self._check_stuck()
                self._options.waiting()
                continue
            index, came, raw, capture = taken
            start = came if start is None else start
            yield self._frame(index, came - start, raw, capture, index - last - 1)
            last = index

    def close(self) -> None:
        """Stop reading and let go. A reader that a driver holds is left behind; it keeps nothing alive."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)

    def _frame(self, index: int, at: float, raw: np.ndarray, capture: Capture, dropped: int) -> Frame:
        try:
            return Frame(index, self._name, at, capture.picture(raw), dropped=dropped)
        except EdgeferError as error:
            return Frame(index, self._name, at, None, str(error), dropped)

    def _check_stuck(self) -> None:
        if not self._ends and self._clock() - self._turn > STUCK_S:
            raise Unreachable(
                f"source {self._name} hangs: its driver has not answered for {STUCK_S:.0f} s; start again, or reconnect it"
            )

    def _take(self):
        with self._changed:
            if self._slot is None and not self._over:
                self._changed.wait(TICK_S)
            taken, self._slot = self._slot, None
        return taken

    def _first(self) -> Capture | None:
        try:
            return self._opener()
        except EdgeferError as error:
            if not self._options.wait:
                raise
            self._options.note(f"waiting for source {self._name}: {error}")
            return None

    def _read_all(self, capture: Capture | None) -> None:
        try:
            self._read_until_stopped(capture)
        except BaseException as error:  # raised where the frames are asked for: a thread has nobody to tell
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify()

    def _read_until_stopped(self, capture: Capture | None) -> None:
        self._lost, index, failures = capture is None, 0, 0
        try:
            while not self._stop.is_set():
                self._turn = self._clock()
                capture = capture or self._again()
                self._ends = capture is not None and capture.ends
                raw = capture.read() if capture else None
                if raw is not None:
                    self._put(index, raw, capture)
                    index, failures = index + 1, 0
                elif capture and capture.ends:
                    return
                elif capture:
                    failures += 1
                    self._stop.wait(HICCUP_S)
                if failures >= TRIES:
                    self._lose(capture)
                    capture, failures = None, 0
        finally:
            if capture:
                capture.close()

    def _put(self, index: int, raw: np.ndarray, capture: Capture) -> None:
        if self._lost:
            self._options.note(f"source {self._name} gives frames" + (" again" if index else ""))
        self._lost, self._attempts = False, 0
        with self._changed:
            self._slot = index, self._clock(), raw, capture
            self._changed.notify()

    def _lose(self, capture: Capture) -> None:
        capture.close()
        if not self._lost:
            self._options.note(f"source {self._name} is lost: it gives no frames; it is tried again until it does")
        self._lost = True

    def _again(self) -> Capture | None:
        """Pause, longer each time until a frame has come, then try to open."""
        first, longest = self._back_off
        pause = min(longest, first * 2 ** min(self._attempts, 30))
        self._attempts += 1
        if self._stop.wait(pause):
            return None
        try:
            return self._opener()
        except EdgeferError:
            return None
