"""A window, by OpenCV with a display."""

import os
import sys

from edgefer.detectors import opencv
from edgefer.errors import EnvironmentInvalid
from edgefer.outputs import Closed, Result

NAME = "edgefer (q ends)"
ENDING_KEYS = {ord("q"), 27}


class Window:
    """See ``edgefer.outputs.Output``.

    Raises:
        EnvironmentInvalid: no display, or OpenCV is the headless one.
    """

    def __init__(self):
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise EnvironmentInvalid("there is no display for --window (DISPLAY is not set); use --http or --video")
        self._cv2 = opencv()
        try:
            self._cv2.namedWindow(NAME, self._cv2.WINDOW_NORMAL)
        except self._cv2.error:
            raise EnvironmentInvalid(
                "this OpenCV is the headless one, without windows; run: pip uninstall opencv-python-headless; "
                "pip install 'edgefer[window]', or use --http"
            ) from None

    def write(self, result: Result) -> None:
        if result.drawn is not None:
            self._cv2.imshow(NAME, result.drawn)
        closed = self._cv2.getWindowProperty(NAME, self._cv2.WND_PROP_VISIBLE) < 1
        if self._cv2.waitKey(1) & 0xFF in ENDING_KEYS or closed:
            raise Closed

    def close(self) -> None:
        self._cv2.destroyAllWindows()
