"""Procedural faces: drawn from Action Units, identity, pose and light, with label and landmarks known by construction.

The default where no FER+ copy is found: crops that calibrate and compare quantised networks, and frames with one face that
exercise detector, alignment and classifier. Deterministic by seed: face i of a seed is the same whatever is asked for with it.
Not a substitute for real faces in accuracy claims. Knows nothing of networks. ``docs/synthetic-faces.md`` shows them.

Face units: half the distance between the eyes is 1; the origin lies between the eyes, x to the image's right, y down, z
towards the camera. A picture is made in five steps: draw flat colours, shade them by a relief of the head, draw what light
hardly shades (eyes, teeth, glasses, hair), place the result on a backdrop, and take the picture (blur, exposure, noise)."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from edgefer.errors import UsageError, unknown
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet
from train.data.synthetic.actions import FACS
from train.data.synthetic.face import OCCLUSIONS, Face
from train.data.synthetic.picture import crop, frame
from train.data.synthetic.sampling import Conditions, Request, sampled

VERSION = 2
"""Raise whenever the same seed gives other pixels: what was calibrated or stored with older faces is then another data set."""

FERPLUS_SHARES = (0.3487, 0.2908, 0.1252, 0.1207, 0.0838, 0.0046, 0.0214, 0.0048)
"""Share of each label among FER+ train's majority rows. Activation ranges depend on it: calibrate with it, not with balance."""

WIDEST = {"yaw": 60.0, "pitch": 35.0}
"""Degrees up to which the drawing still looks like a head."""
CHUNK = 250
"""Faces that a worker draws at a time: about a second's work."""


@dataclass(frozen=True)
class Drawn:
    """Faces with everything exact that they were drawn from."""

    faces: FaceSet
    actions: np.ndarray
    """float32 (n, 18): Action Units in the order of ``FACS``, 0 (rest) to 1.5."""
    pose: np.ndarray
    """float32 (n, 3), degrees: yaw to the image's right, pitch downwards, roll clockwise."""
    occlusion: tuple[str, ...]
    """What covers each face, one of ``OCCLUSIONS``."""


def faces(n: int, seed: int = 0, size: int = 64, shares: Sequence[float] | None = None) -> FaceSet:
    """``n`` face crops framed like FER+'s: ``drawn(n, seed, size, shares).faces``."""
    return drawn(n, seed, size, shares).faces


def drawn(
    n: int,
    seed: int = 0,
    size: int = 64,
    shares: Sequence[float] | None = None,
    yaw: tuple[float, float] | None = None,
    pitch: tuple[float, float] | None = None,
    occlusion: str | None = None,
    workers: int = 1,
) -> Drawn:
    """``n`` face crops framed like FER+'s, with their Action Units, pose and occlusion.

    Args:
        n: number of faces.
        seed: of everything random; face i does not depend on ``n`` or ``workers``.
        size: side of the crops in pixels, at least 32.
        shares: probability of each label, summing to 1, for instance ``FERPLUS_SHARES``; None: every eight faces hold each
            label once. A blend counts as its larger part.
        yaw, pitch: ranges of absolute degrees, for instance (30, 60), at most ``WIDEST``; each sign is as likely. None:
            mostly frontal.
        occlusion: one of ``OCCLUSIONS``, or "any" of them but "none"; None: one face in five is covered.
        workers: processes that draw, each on a core of its own.

    Returns:
        Drawn, with images uint8 (n, size, size) gray. The same seed gives the same people with the same expressions under
        all conditions.

    Raises:
        UsageError: negative ``n``, a ``size`` below 32, ``shares`` that do not sum to 1, a range that is none or too wide,
            an unknown ``occlusion``, or less than one worker.
    """
    if n < 0 or size < 32 or workers < 1:
        raise UsageError(f"faces needs n ≥ 0, size ≥ 32 and workers ≥ 1, not n={n}, size={size}, workers={workers}")
    conditions = Conditions(_range("yaw", yaw), _range("pitch", pitch), _occlusion(occlusion))
    request = Request(seed, _shares(shares), conditions)
    images, shown = _all(request, n, size, workers)
    found = FaceSet(
        images,
        np.array([face.distribution for face in shown], np.float32).reshape(n, len(FERPLUS_LABELS)),
        np.array([face.label for face in shown], np.int64),
        _names(n),
        f"synthetic faces, seed {seed}",
    )
    return Drawn(
        found,
        np.array([face.actions.values() for face in shown], np.float32).reshape(n, len(FACS)),
        np.degrees([(f.pose.yaw, f.pose.pitch, f.pose.roll) for f in shown]).astype(np.float32).reshape(n, 3),
        tuple(face.scene.occlusion for face in shown),
    )


def actions(n: int, seed: int = 0) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, Action Units float32 (n, 18) and labels int64 (n,) of the faces that ``faces(n, seed)`` draws, without drawing."""
    shown = [face for face, _ in sampled(Request(seed), range(n))]
    units = np.array([face.actions.values() for face in shown], np.float32).reshape(n, len(FACS))
    return _names(n), units, np.array([face.label for face in shown], np.int64)


def _names(n: int) -> tuple[str, ...]:
    return tuple(f"synthetic-{i:06d}" for i in range(n))


def _all(request: Request, n: int, size: int, workers: int) -> tuple[np.ndarray, list[Face]]:
    """Images uint8 (n, size, size) and their faces."""
    chunks = [range(at, min(at + CHUNK, n)) for at in range(0, n, CHUNK)]
    if workers == 1 or len(chunks) < 2:
        return _some(request, range(n), size)
    workers = min(workers, len(chunks))
    spawning = multiprocessing.get_context("spawn")  # a fork would copy the locks of whatever threads run here
    with ProcessPoolExecutor(workers, spawning, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        parts = list(pool.map(_some, [request] * len(chunks), chunks, [size] * len(chunks)))
    return np.concatenate([images for images, _ in parts]), [face for _, shown in parts for face in shown]


def _some(request: Request, rows: range, size: int) -> tuple[np.ndarray, list[Face]]:
    images, shown = np.empty((len(rows), size, size), np.uint8), []
    for image, (face, rng) in zip(images, sampled(request, rows), strict=True):
        image[:] = crop(face, rng, size)
        shown.append(face)
    return images, shown


def _range(name: str, asked: tuple[float, float] | None) -> tuple[float, float] | None:
    if asked is None:
        return None
    low, high = asked
    if not 0 <= low <= high <= WIDEST[name]:
        raise UsageError(f"{name}={asked} must be two absolute degrees, the smaller first, within 0 … {WIDEST[name]:g}")
    return float(low), float(high)


def _occlusion(asked: str | None) -> str | None:
    if asked not in (None, "any", *OCCLUSIONS):
        raise unknown("occlusion", asked, (*OCCLUSIONS, "any"))
    return asked


def _shares(asked: Sequence[float] | None) -> tuple[float, ...] | None:
    if asked is None:
        return None
    if len(asked) != len(FERPLUS_LABELS) or min(asked) < 0 or abs(sum(asked) - 1) > 1e-6:
        raise UsageError(f"shares must be {len(FERPLUS_LABELS)} probabilities that sum to 1, not {tuple(asked)}")
    return tuple(share / sum(asked) for share in asked)


def frames(n: int, seed: int = 0, width: int = 640, height: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """``n`` pictures with one face each on a cluttered backdrop.

    Returns:
        uint8 (n, height, width, 3) RGB, and float32 (n, 5, 2): right eye, left eye, nose tip, right and left mouth corner in
        pixels, pixel centres at half-integers. Frame i does not depend on ``n``.

    Raises:
        UsageError: negative ``n``, or a side below 96 pixels.
    """
    if n < 0 or min(width, height) < 96:
        raise UsageError(f"frames needs n ≥ 0 and sides ≥ 96, not n={n}, {width}×{height}")
    pictures, landmarks = np.empty((n, height, width, 3), np.uint8), np.empty((n, 5, 2), np.float32)
    for i, (face, rng) in enumerate(sampled(Request(seed), range(n))):
        pictures[i], landmarks[i] = frame(face, rng, width, height)
    return pictures, landmarks
