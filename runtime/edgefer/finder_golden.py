"""Golden vectors of a bundle's face finder: frame → square → faces, to prove on a device that it finds what was found.

``golden/finder.npz`` holds (N frames, S the finder's input size):
    frames                      uint8 (N, H, W, 3) RGB
    squares                     uint8 (N, S, S): bit for bit what every machine must make of the frames
    faces_<engine>_<precision>  float32 (M, 16): number of the frame, score, edges of the box, five landmarks, in the square's
                                pixels, as that artifact found them when it was exported
"""

from pathlib import Path

import numpy as np

from edgefer import detectors, finder, golden
from edgefer.bundle import Bundle
from edgefer.detectors.own import Own
from edgefer.detectors.shrink import to_square
from edgefer.finder import Found, decode

ARRAYS = "golden/finder.npz"
PIXELS = {"fp32": 0.1, "int8": 1.0}
"""Largest difference of an edge or a landmark, in pixels of the square."""
SCORES = {"fp32": 1e-3, "int8": 0.05}
"""Largest difference of a score."""


def write(folder: Path, frames: np.ndarray, squares: np.ndarray, faces: dict[tuple[str, str], np.ndarray]) -> None:
    """Write a finder's golden vectors: frames (N, H, W, 3), squares (N, S, S), (engine, precision) → faces (M, 16)."""
    arrays = {f"faces_{engine}_{precision}": found for (engine, precision), found in faces.items()}
    path = Path(folder) / ARRAYS
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, frames=frames, squares=squares, **arrays)


def rows(found: list[Found]) -> np.ndarray:
    """What was found on each square as one table, float32 (M, 16)."""
    table = [
        np.concatenate([[frame, score], box, points.ravel()])
        for frame, faces in enumerate(found)
        for score, box, points in zip(*faces, strict=True)
    ]
    return np.array(table, np.float32).reshape(-1, 16)


def check(bundle: Bundle, engine: str, precision: str, threads: int) -> list[str]:
    """Replay the finder's golden vectors here; a list of problems, empty when it finds what it found.

    Raises:
        InputRejected: the bundle has no finder, or the vectors or the artifact are missing or damaged.
        EnvironmentInvalid: the engine is not installed.
    """
    own: Own = detectors.load("own", own=bundle.finder_model(engine, precision, threads))
    names = {"frames": "frames", "squares": "squares", "faces": f"faces_{engine}_{precision}"}
    arrays = golden.read_arrays(bundle.folder / ARRAYS, names, f"{engine}/{precision}")
    expected = arrays["faces"].reshape(-1, 16)
    squares = np.stack([to_square(frame, own.spec.input_size)[0] for frame in arrays["frames"]])
    if not np.array_equal(squares, arrays["squares"]):
        return ["golden: the frames shrink to other squares than where the bundle was made"]
    return problems(rows([decode(own.outputs(square), own.spec) for square in squares]), expected, precision)


def problems(found: np.ndarray, expected: np.ndarray, precision: str) -> list[str]:
    """Tables of faces (M, 16) that differ by more than the precision allows, in words."""
    told = []
    for frame in np.unique(np.concatenate([found[:, 0], expected[:, 0]])):
        is_, was = (table[table[:, 0] == frame] for table in (found, expected))
        pairs = finder.pairs(is_[:, 2:6], was[:, 2:6])
        if len(is_) != len(was) or (pairs < 0).any():
            told.append(f"golden {frame:.0f}: {len(is_)} faces are found, {len(was)} were, or elsewhere")
            continue
        away = np.abs(is_ - was[pairs])
        if not (away[:, 2:] <= PIXELS[precision]).all():
            told.append(
                f"golden {frame:.0f}: a face lies {away[:, 2:].max():.2g} pixels off ({PIXELS[precision]} allowed)"
            )
        if not (away[:, 1] <= SCORES[precision]).all():
            told.append(f"golden {frame:.0f}: a score differs by {away[:, 1].max():.2g} ({SCORES[precision]} allowed)")
    return told
