"""Cameras, videos and pictures in the page: the last one asked for is shown, whole, and nothing of the others."""

import cv2
import numpy as np
import pytest
from web_fixtures import READY, opened

from edgefer import detectors
from edgefer.browser import server
from edgefer.classifier import Classifier

SLOW_CAMERA = """() => {
window.lent = [];
window.asked = [];
const lend = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (asked) => {
    await new Promise((allow) => window.asked.push(allow));
    const stream = await lend(asked);
    window.lent.push(stream);
    return stream;
}; }"""
"""A person who takes their time to allow it."""
ALLOW = "() => window.asked.forEach((allow) => allow())"
LIVE = "() => window.lent.filter((stream) => stream.getTracks().some((track) => track.readyState === 'live')).length"
SAID = "() => document.getElementById('now').textContent !== '–'"
PIXEL = """([x, y]) => {
    const canvas = document.getElementById("picture");
    return [...canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3)]; }"""


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A synthetic frame, BGR, in which the network finds a face."""
    from train.data import synthetic

    return synthetic.frames(8, 5)[0][7][..., ::-1]


def stored(folder, name: str, image: np.ndarray):
    assert cv2.imwrite(str(folder / name), image)
    return folder / name


def test_a_camera_that_is_asked_for_twice_is_opened_once(browser, page_server):
    with opened(browser, page_server.address) as page:
        page.evaluate(SLOW_CAMERA)
        page.tap("#camera")
        page.tap("#camera")
        page.evaluate(ALLOW)
        page.wait_for_function("() => document.getElementById('fps').textContent !== '–'")
        assert page.inner_text("#problem") == "" and page.inner_text("#camera") == "Stop camera"
        assert page.evaluate("window.lent.length") == 2 and page.evaluate(LIVE) == 1
        page.tap("#camera")
        assert page.evaluate(LIVE) == 0


def test_a_picture_that_is_opened_while_the_camera_is_asked_for_stays(browser, page_server, face, tmp_path):
    with opened(browser, page_server.address) as page:
        page.evaluate(SLOW_CAMERA)
        page.tap("#camera")
        page.set_input_files("#file", stored(tmp_path, "face.png", face))
        page.wait_for_function(SAID)
        page.evaluate(ALLOW)
        page.wait_for_function("() => window.lent.length === 1")
        page.wait_for_timeout(200)
        assert page.evaluate(LIVE) == 0 and page.inner_text("#camera") == "Start camera"
        assert page.inner_text("#fps") == "–" and page.inner_text("#problem") == ""


def test_nothing_of_the_last_picture_shines_through(browser, page_server, tmp_path):
    white, clear = np.full((480, 640, 3), 255, np.uint8), np.zeros((480, 640, 4), np.uint8)
    with opened(browser, page_server.address) as page:
        page.set_input_files("#file", stored(tmp_path, "white.png", white))
        page.wait_for_function(f"() => ({PIXEL})([0.5, 0.5])[0] === 255")
        page.set_input_files("#file", stored(tmp_path, "clear.png", clear))
        page.wait_for_function(f"() => ({PIXEL})([0.5, 0.5])[0] === 0")


def test_a_large_picture_is_read_at_its_own_size(browser, page_server, web_bundle, face, tmp_path):
    """As by Python: a small face in it still has all its pixels."""
    large = np.full((1500, 2000, 3), 90, np.uint8)
    large[300:780, 500:1140] = face
    precision = web_bundle.defaults.get("precision", "int8")
    classifier = Classifier(web_bundle, "litert", precision)
    own = detectors.load("own", own=web_bundle.finder_model("litert", precision))
    frame = np.ascontiguousarray(large[..., ::-1])
    probabilities = classifier.classify(classifier.crop(frame, own.detect(frame)[0]))
    with opened(browser, page_server.address) as page:
        page.set_input_files("#file", stored(tmp_path, "large.png", large))
        page.wait_for_function(SAID)
        assert page.inner_text("#now") == web_bundle.spec.labels[int(probabilities.argmax())]
        shown = page.eval_on_selector_all("#bars .part", "(all) => all.map((each) => parseInt(each.textContent))")
        np.testing.assert_allclose(shown, 100 * probabilities, atol=1.1)


def test_a_file_that_is_dropped_beside_the_picture_does_not_end_the_page(browser, page_server):
    drop = """(name) => {
        const event = new DragEvent(name, {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()});
        document.querySelector("footer").dispatchEvent(event);
        return event.defaultPrevented; }"""
    with opened(browser, page_server.address) as page:
        assert page.evaluate(drop, "dragover") and page.evaluate(drop, "drop")


def test_after_a_model_that_is_refused_another_can_be_chosen(browser, web_bundle, page_files, tmp_path):
    """Its golden vectors are damaged, then whole again."""
    vectors, whole = tmp_path / "golden.npz", (web_bundle.folder / "golden/golden.npz").read_bytes()
    vectors.write_bytes(whole)
    running = server.Server({**page_files, "bundle/golden/golden.npz": vectors})
    with opened(browser, running.address) as page:
        page.click("summary")
        for _ in range(3):
            vectors.write_bytes(b"damaged")
            page.select_option("#precision", "fp32")
            page.wait_for_function("() => document.getElementById('problem').textContent.includes('does not match')")
            vectors.write_bytes(whole)
            page.select_option("#precision", "int8")
            page.wait_for_function("() => document.getElementById('state').textContent.startsWith('int8')")
            assert page.inner_text("#problem") == ""
    running.close()


KEPT = "async () => (await (await caches.open('edgefer-page')).keys()).map((request) => new URL(request.url).pathname)"


def test_of_another_bundle_nothing_is_kept(browser, page_files, web_bundle, tmp_path):
    sums = tmp_path / "sums"
    sums.write_bytes((web_bundle.folder / "SHA256SUMS").read_bytes())
    running = server.Server({**page_files, "bundle/SHA256SUMS": sums})
    with opened(browser, running.address) as page:
        page.click("summary")
        page.select_option("#precision", "fp32")
        page.wait_for_function("() => document.getElementById('state').textContent.startsWith('fp32')")
        while "/bundle/fp32.tflite" not in page.evaluate(KEPT):
            page.wait_for_timeout(50)
        sums.write_text(sums.read_text() + "\n")
        page.reload()
        page.wait_for_selector(READY)
        kept = page.evaluate(KEPT)
        assert "/bundle/int8.tflite" in kept and "/app.js" in kept and "/bundle/fp32.tflite" not in kept
    running.close()
