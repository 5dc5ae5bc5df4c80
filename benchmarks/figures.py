"""From raw samples to figures. Pure: what was measured in, estimates by metric name out; None where there is nothing."""

import numpy as np

from benchmarks import contenders, stats
from benchmarks.stats import Estimate

RATIOS = {
    "speedup_vs_eager_fp32": contenders.EAGER,
    "speedup_vs_onnxruntime_fp32": contenders.ORT,
    "speedup_vs_same_engine_fp32": contenders.SAME,
}


def speed(blocks: dict[str, np.ndarray]) -> dict[str, Estimate | None]:
    """Figures of an interleaved run: ``blocks`` maps roles to nanoseconds (rounds, blocks, n)."""
    target = blocks[contenders.TARGET]
    latency = stats.median(target / 1e6)
    figures = {"latency_ms": latency}
    figures |= {f"latency_p{p}_ms": Estimate(value) for p, value in stats.percentiles(target / 1e6).items()}
    figures["fps"] = latency.map(lambda ms: 1000 / ms)
    for name, role in RATIOS.items():
        figures[name] = stats.ratio(blocks[role], target) if role in blocks else None
    if contenders.SAME not in blocks:  # the target is fp32 itself, or onnxruntime's fp32 is that reference already
        del figures["speedup_vs_same_engine_fp32"]
    return figures


def cold(starts: list[dict[str, float]]) -> dict[str, Estimate]:
    """Median over process starts."""
    return {"cold_start_ms": stats.repeats([start["total"] for start in starts])}


def memory(runs: list[dict[str, dict[str, int]]]) -> dict[str, Estimate]:
    """Largest high-water mark of all runs: a budget of memory is a ceiling, not a typical value."""
    return {"peak_rss_mb": Estimate(max(run["steady"]["vm_hwm"] for run in runs) / 1e6)}


def pipeline(runs: list[dict]) -> dict[str, Estimate | None]:
    """Frames a second over the frames' own times; age and losses at a camera's pace. From ``benchmarks.whole.run``.

    None where no face was found in any frame: nothing then came to a label. The repeats are processes.
    """
    if not any(any(run["faces"]) for run in runs):
        return dict.fromkeys(("pipeline_fps", "result_age_ms", "dropped_frames"))
    cameras = [run["camera"] for run in runs]
    dropped = [camera["dropped"] / (camera["dropped"] + len(camera["age_s"])) for camera in cameras]
    return {
        "pipeline_fps": stats.repeats([1e9 * len(run["ns"]) / sum(run["ns"]) for run in runs]),
        "result_age_ms": stats.repeats([1000 * float(np.median(camera["age_s"])) for camera in cameras]),
        "dropped_frames": _share(stats.repeats(dropped)),
    }


def _share(estimate: Estimate) -> Estimate:
    """The estimate of a fraction: its interval ends at 1."""
    return Estimate(estimate.value, estimate.ci95 and tuple(min(1.0, end) for end in estimate.ci95))
