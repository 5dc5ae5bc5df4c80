"""What tests of the page share: LiteRT's web runtime, a browser with a camera of ours, a bundle."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import browsers

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "runtime" / "web"
CAMERA_SEED, CAMERA_FRAME, CAMERA_LABEL = 5, 11, "happiness"
"""A synthetic frame that the network is sure of."""


@pytest.fixture(scope="session")
def litert_web() -> Path:
    """node_modules with LiteRT's web runtime: what `make web` installed, else one of the tests' own, by the same lock file."""
    from edgefer.browser import site
    from edgefer.errors import EnvironmentInvalid

    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()[:16]
    own = ROOT / "build" / "litert-web" / lock
    for folder in (None, own / "node_modules"):
        try:
            return site.litert_folder(folder)
        except EnvironmentInvalid:
            continue
    if not shutil.which("npm"):
        pytest.skip("LiteRT's web runtime is not here and npm, which fetches it, is not installed: make web")
    own.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(WEB / name, own)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=own, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"npm ci cannot fetch LiteRT's web runtime here: {done.stderr.strip()[-200:]}")
    return site.litert_folder(own / "node_modules")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    found = next(filter(None, map(shutil.which, browsers.CHROMIUM)), None)
    if not found:
        pytest.skip("needs a Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def web_bundle(request):
    """The session's bundle, or the one that EDGEFER_WEB_BUNDLE names."""
    from edgefer import bundle

    return bundle.load(os.environ.get("EDGEFER_WEB_BUNDLE") or request.getfixturevalue("bundle_folder"))


@pytest.fixture(scope="session")
def camera_clip(tmp_path_factory) -> Path:
    """What the fake camera films: a synthetic face that sways a little, 640×480, Motion JPEG."""
    from train.data import synthetic

    frame = synthetic.frames(CAMERA_FRAME + 1, CAMERA_SEED)[0][CAMERA_FRAME]
    path = tmp_path_factory.mktemp("camera") / "clip.mjpeg"
    shifts = np.round(4 * np.sin(np.arange(30) * 2 * np.pi / 30)).astype(int)
    encoded = (cv2.imencode(".jpg", np.roll(frame, shift, 1)[..., ::-1]) for shift in shifts)
    path.write_bytes(b"".join(data.tobytes() for _, data in encoded))
    return path
