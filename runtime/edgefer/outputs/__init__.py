"""Where results go, one module each: lines, an annotated video, a window, HTTP. They do not know how results come."""

from functools import cached_property
from typing import Protocol

import numpy as np

from edgefer.errors import EnvironmentInvalid


class Result:
    """One frame's line and the frame itself."""

    def __init__(self, line: dict, image: np.ndarray | None):
        self.line = line
        """As ``edgefer.loop.FrameLoop.step`` gives it."""
        self.image = image
        """uint8 (H, W, 3) RGB or (H, W); None where it could not be read. Not to be written to."""

    @cached_property
    def drawn(self) -> np.ndarray | None:
        """uint8 (H, W, 3) BGR with boxes and labels; None without an image. Needs OpenCV."""
        from edgefer.outputs import drawing

        return None if self.image is None else drawing.draw(self.image, self.line["faces"])


class Output(Protocol):
    """Takes results, one after the other."""

    def write(self, result: Result) -> None:
        """
        Raises:
            Full: there is no room for it; what was written before is good, and no more can be.
            Closed: the person wants to end.
        """

    def close(self) -> None:
        """What was written becomes a file, the window goes, the port is free."""


class Full(EnvironmentInvalid):
    """A disk is full, or a limit on files is reached."""


class Closed(Exception):
    """A person ended the run, as by closing its window."""
