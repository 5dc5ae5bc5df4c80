"""A sustained run: the artifact at work without a pause, second by second, with the device's temperature and frequency."""

import numpy as np

from benchmarks.stats import Estimate

SLICE_S = 1.0
PART = 3
"""The slowdown compares the last third of the run with its first."""
LEAST_SLICES = 4 * PART


def run(worker, seconds: float) -> list[dict]:
    """Slices of a started worker's uninterrupted work.

    Args:
        worker: answers ``run`` and ``climate``, see ``benchmarks.worker``.
        seconds: how long; the inferences decide, so it takes about so long on any device.

    Returns:
        One ``{t_s, n, latency_ms, temperature_c, mhz}`` a slice: when it began, how many inferences, their median, and the
        warmest zone and mean frequency right after it; None where the device does not tell.
    """
    slices, elapsed = [], 0.0
    while elapsed < seconds:
        ns = worker.ask("run", seconds=SLICE_S)["ns"]
        climate = worker.ask("climate")
        slices.append(
            {"t_s": round(elapsed, 3), "n": len(ns), "latency_ms": float(np.median(ns)) / 1e6, **_told(climate)}
        )
        elapsed += sum(ns) / 1e9
    return slices


def _told(climate: dict) -> dict:
    temperatures = climate["temperature_c"].values()
    return {"temperature_c": max(temperatures, default=None), "mhz": climate["mhz"]}


def figures(slices: list[dict]) -> dict[str, Estimate | None]:
    """``sustained_slowdown``: latency of the last third over that of the first; None where there are too few slices.

    Without an interval: seconds that follow each other are no independent repeats.
    """
    if len(slices) < LEAST_SLICES:
        return {"sustained_slowdown": None}
    latencies, part = np.array([piece["latency_ms"] for piece in slices]), len(slices) // PART
    return {"sustained_slowdown": Estimate(float(np.median(latencies[-part:]) / np.median(latencies[:part])))}


def note(slices: list[dict]) -> str:
    """What the figure covers."""
    temperatures = [piece["temperature_c"] for piece in slices if piece["temperature_c"] is not None]
    frequencies = [piece["mhz"] for piece in slices if piece["mhz"] is not None]
    heat = f"{min(temperatures):.0f} to {max(temperatures):.0f} °C" if temperatures else "no temperature told"
    pace = f"{min(frequencies):.0f} to {max(frequencies):.0f} MHz" if frequencies else "no frequency told"
    return f"last third over first third of {sum(piece['n'] for piece in slices)} inferences on end; {heat}, {pace}"
