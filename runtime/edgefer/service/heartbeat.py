"""Signs of life of a running loop: to the service manager, and a health file that anybody can read."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from edgefer.errors import EdgeferError
from edgefer.files import write_json
from edgefer.service.notify import Notifier

PERIOD_S = 1.0
"""The health file is not written more often."""


class Heartbeat:
    """Told of every frame, and of every half second in which none comes.

    Args:
        source: name of it.
        health: file for ``{state, source, frames, faces, dropped, unusable, last_frame_s, pid, uptime_s, time}``, or None.
        note: told, once, when that file cannot be written.
        notifier: for tests.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        source: str,
        health: str | None,
        note: Callable[[str], None],
        notifier: Notifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._source, self._health, self._note, self._clock = source, health and Path(health), note, clock
        self._notifier = notifier or Notifier(clock=clock)
        self._begin, self._frame_at, self._written = clock(), None, -float("inf")
        self._state, self._counts, self._failed = "starting", {}, False

    def ready(self) -> None:
        """Everything is loaded; the first frame is waited for."""
        self._change("waiting")
        self._notifier.ready(self._told())

    def frame(self, counts: dict) -> None:
        """A frame is done; ``counts`` of all so far: frames, faces, dropped, unusable."""
        self._counts, self._frame_at = counts, self._clock()
        self._beat("running")

    def waiting(self) -> None:
        """The source gives nothing at the moment."""
        self._beat("waiting")

    def stopped(self) -> None:
        """The loop is at its end."""
        self._notifier.stopping()
        self._change("stopped")

    def _beat(self, state: str) -> None:
        self._notifier.alive()
        if state != self._state or self._clock() - self._written >= PERIOD_S:
            self._change(state)
            self._notifier.status(self._told())

    def _change(self, state: str) -> None:
        self._state, self._written = state, self._clock()
        if not self._health:
            return
        try:
            write_json(self._health, self._value())
            self._failed = False
        except (OSError, EdgeferError) as error:
            if not self._failed:
                self._note(f"the health file {self._health} cannot be written ({error}); the run goes on without it")
            self._failed = True

    def _value(self) -> dict:
        now = self._clock()
        return {
            "state": self._state,
            "source": self._source,
            **{name: self._counts.get(name, 0) for name in ("frames", "faces", "dropped", "unusable")},
            "last_frame_s": None if self._frame_at is None else round(now - self._frame_at, 3),
            "uptime_s": round(now - self._begin, 3),
            "pid": os.getpid(),
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _told(self) -> str:
        counts = {name: self._counts.get(name, 0) for name in ("frames", "faces", "dropped")}
        return f"{self._state}: {', '.join(f'{count} {name}' for name, count in counts.items())} from {self._source}"
