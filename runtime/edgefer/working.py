"""Working through a source: each frame's line to all outputs, until the source ends or somebody ends it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.loop import FrameLoop
from edgefer.outputs import Closed, Full, Output, Result
from edgefer.service.heartbeat import Heartbeat
from edgefer.signals import Terminated
from edgefer.sources import Source


@dataclass
class Counts:
    """What a run did."""

    frames: int = 0
    faces: int = 0
    dropped: int = 0
    """Frames of a live source that were left out because newer ones had come."""
    unusable: int = 0
    """Frames that gave an error."""
    seconds: float = 0.0
    stopped: bool = False
    """Ctrl-C ended it."""
    terminated: bool = False
    """SIGTERM ended it."""
    full: Full | None = None
    """What an output said that had no more room, where that ended the run."""

    def add(self, line: dict) -> None:
        self.frames += 1
        self.faces += len(line["faces"])
        self.dropped += line["dropped"]
        self.unusable += "error" in line

    def to_json(self) -> dict:
        return {name: getattr(self, name) for name in ("frames", "faces", "dropped", "unusable")}

    def told(self) -> str:
        rate = self.frames / self.seconds if self.seconds else 0.0
        text = f"{self.frames} frames, {self.faces} faces, {rate:.1f} frames/s, {self.dropped} dropped"
        return text + (f", {self.unusable} that could not be used" if self.unusable else "")


def work(source: Source, loop: FrameLoop, outputs: Sequence[Output], heart: Heartbeat, note) -> Counts:
    """Work until the source ends, a person closes an output, or a signal comes; which comes between two lines.

    An output without room ends a run over files; a live one goes on without it.
    """
    counts, begin, outputs = Counts(), time.monotonic(), list(outputs)
    try:
        for frame in source.frames:
            result = Result(loop.step(frame), frame.image)
            counts.add(result.line)
            for output in tuple(outputs):
                _write(output, result, outputs, source.live, note)
            heart.frame(counts.to_json())
    except Terminated:
        counts.terminated = True
    except KeyboardInterrupt:
        counts.stopped = True
    except Full as error:
        counts.full = error
    except Closed:
        pass
    counts.seconds = time.monotonic() - begin
    heart.stopped()
    return counts


def _write(output: Output, result: Result, outputs: list[Output], live: bool, note) -> None:
    try:
        output.write(result)
    except Full as error:
        if not live:
            raise
        note(f"{error}; the run goes on without it")
        outputs.remove(output)
