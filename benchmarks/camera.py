"""A camera's pace: frames come whether or not the one before is done, the newest wins, the others are dropped and counted."""

import time
from collections.abc import Callable

FPS = 30
FRAMES = 60
"""Two seconds."""


def paced(
    step: Callable[[int], object],
    frames: int = FRAMES,
    period_s: float = 1 / FPS,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict:
    """Call ``step(number)`` on the newest frame as soon as the one before is done.

    Frame k comes k periods after the start. Between two calls at most one frame waits: a newer one replaces it.

    Returns:
        ``{period_s, age_s, dropped}``: seconds from a frame's coming to its result, one for each that was processed, and how
        many were not.
    """
    start, last, ages = clock(), -1, []
    while last < frames - 1:
        newest = min(frames - 1, int((clock() - start) / period_s + 1e-9))
        if newest == last:
            sleep(max(0.0, start + (last + 1) * period_s - clock()))
            continue
        step(newest)
        ages.append(clock() - start - newest * period_s)
        last = newest
    return {"period_s": period_s, "age_s": ages, "dropped": frames - len(ages)}
