"""What tests of the page share: LiteRT's web runtime, a browser with a camera of ours, a bundle."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "runtime" / "web"
CAMERA_SEED, CAMERA_FRAME, CAMERA_LABEL = 5, 11, "happiness"
"""A synthetic frame that the network is sure of."""


PHONE = {"viewport": {"width": 412, "height": 915}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LITERT_SAYS = re.compile(r"^(INFO|WARNING): (\[\w+\.(cc|h):\d+\]|Created TensorFlow Lite XNNPACK)")
"""LiteRT's own log, which it writes by console.error."""
READY = "body[data-ready=yes]"


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
    from benchmarks import browsers

    found = browsers.chromium()
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


@pytest.fixture(scope="module")
def launch(chromium, camera_clip):
    """``launch(*flags)``: a browser; its camera films the clip."""
    playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser: install edgefer[dev]")
    from benchmarks import browsers

    clip = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera_clip}")
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(playwright.sync_playwright())

        def started(*flags: str):
            browser = program.chromium.launch(executable_path=chromium, args=[*browsers.flags(), *clip, *flags])
            stack.callback(browser.close)
            return browser

        yield started


@pytest.fixture(scope="module")
def browser(launch):
    return launch("--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def page_files(web_bundle, litert_web) -> dict[str, Path]:
    """Address → file of the page with the bundle."""
    from edgefer.browser import site

    return site.files(web_bundle, litert_web)


@pytest.fixture(scope="module")
def page_server(page_files):
    """A server of it."""
    from edgefer.browser import server

    found = server.Server(page_files)
    yield found
    found.close()


@contextlib.contextmanager
def opened(browser, address: str, wait: str = READY, expected: str = "", **options):
    """A page on a phone, in a profile of its own. What goes wrong in it fails the test, unless it says what is expected."""
    context = browser.new_context(**{**PHONE, **options})
    page, wrong = context.new_page(), []
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if ours(said) else None)
    page.requests = []
    context.on("request", lambda request: page.requests.append((request.method, request.url)))
    page.goto(address)
    page.wait_for_selector(wait)
    yield page
    context.close()
    assert not [text for text in wrong if not (expected and expected in text)]


def ours(said) -> bool:
    return said.type == "error" and not LITERT_SAYS.match(said.text)


@pytest.fixture(scope="module")
def shared_page(browser, page_server):
    """One page for the tests that only compute."""
    with opened(browser, page_server.address) as page:
        yield page
