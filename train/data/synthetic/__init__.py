"""Procedural faces: drawn from Action Units, identity, pose and light, with label and landmarks known by construction.

The default where no FER+ copy is found: crops that calibrate and compare quantised networks, and frames with one face that
exercise detector, alignment and classifier. Deterministic by seed: face i of a seed is the same whatever is asked for with it.
Not a substitute for real faces in accuracy claims. Knows nothing of networks.

Face units: half the distance between the eyes is 1; the origin lies between the eyes, x to the image's right, y down, z
towards the camera. A picture is made in five steps: draw flat colours, shade them by a relief of the head, draw what light
hardly shades (eyes, teeth, glasses, hair), place the result on a backdrop, and take the picture (blur, exposure, noise)."""

from collections.abc import Sequence

import numpy as np

from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet
from train.data.synthetic.face import sampled
from train.data.synthetic.picture import crop, frame

VERSION = 1
"""Raise whenever the same seed gives other pixels: what was calibrated or stored with older faces is then another data set."""


FERPLUS_SHARES = (0.3487, 0.2908, 0.1252, 0.1207, 0.0838, 0.0046, 0.0214, 0.0048)
"""Share of each label among FER+ train's majority rows. Activation ranges depend on it: calibrate with it, not with balance."""


def faces(n: int, seed: int = 0, size: int = 64, shares: Sequence[float] | None = None) -> FaceSet:
    """``n`` face crops framed like FER+'s.

    Args:
        n: number of faces.
        seed: of everything random; face i does not depend on ``n``.
        size: side of the crops in pixels, at least 32.
        shares: probability of each label, summing to 1, for instance ``FERPLUS_SHARES``; None: every eight faces hold each
            label once.

    Returns:
        FaceSet with images uint8 (n, size, size) gray.

    Raises:
        ValueError: negative ``n``, a ``size`` below 32, or ``shares`` that do not sum to 1.
    """
    if n < 0 or size < 32:
        raise ValueError(f"faces needs n ≥ 0 and size ≥ 32, not n={n}, size={size}")
    images = np.empty((n, size, size), np.uint8)
    drawn = []
    for i, (face, rng) in enumerate(sampled(n, seed, shares)):
        images[i] = crop(face, rng, size)
        drawn.append(face)
    return FaceSet(
        images,
        np.array([face.distribution for face in drawn], np.float32).reshape(n, len(FERPLUS_LABELS)),
        np.array([face.label for face in drawn], np.int64),
        tuple(f"synthetic-{i:06d}" for i in range(n)),
        f"synthetic faces, seed {seed}",
    )


def frames(n: int, seed: int = 0, width: int = 640, height: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """``n`` pictures with one face each on a cluttered backdrop.

    Returns:
        uint8 (n, height, width, 3) RGB, and float32 (n, 5, 2): right eye, left eye, nose tip, right and left mouth corner in
        pixels, pixel centres at half-integers. Frame i does not depend on ``n``.

    Raises:
        ValueError: negative ``n``, or a side below 96 pixels.
    """
    if n < 0 or min(width, height) < 96:
        raise ValueError(f"frames needs n ≥ 0 and sides ≥ 96, not n={n}, {width}×{height}")
    pictures, landmarks = np.empty((n, height, width, 3), np.uint8), np.empty((n, 5, 2), np.float32)
    for i, (face, rng) in enumerate(sampled(n, seed)):
        pictures[i], landmarks[i] = frame(face, rng, width, height)
    return pictures, landmarks
