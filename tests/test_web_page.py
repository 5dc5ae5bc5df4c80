"""The page in a real browser: it shows faces, works offline, and says what is wrong."""

import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from web_fixtures import CAMERA_LABEL, PHONE, READY, opened

from edgefer import detectors
from edgefer.browser import lan, server, site
from edgefer.classifier import Classifier

TRANSFER_MB = 4.0
REMEDY = "reload the page; if that does not help, copy or export the bundle again"


# --- what it shows -----------------------------------------------------------------------------------------------------------


def start_camera(page) -> None:
    page.tap("#camera")
    page.wait_for_function("() => document.getElementById('fps').textContent !== '–'")


SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifted += entry.value)))
    .observe({type: "layout-shift", buffered: true});
"""


def test_the_camera_shows_the_expected_label_and_nothing_leaves_the_origin(browser, page_server):
    with opened(browser, page_server.address) as page:
        page.evaluate(SHIFTS)
        start_camera(page)
        page.wait_for_function(f"() => document.getElementById('now').textContent === '{CAMERA_LABEL}'")
        top = page.inner_text("#bars li.top")
        assert CAMERA_LABEL in top and int(re.search(r"(\d+) %", top)[1]) > 60
        assert float(page.inner_text("#fps")) > 5
        assert page.inner_text("#p95") == "–", "a percentile of too few frames"
        page.wait_for_function("() => document.getElementById('p95').textContent !== '–'")
        assert all(re.fullmatch(r"[\d.]+ ms", page.inner_text(f"#{name}")) for name in ("p50", "p90", "p95"))
        painted = "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)"
        assert page.eval_on_selector("#timeline", painted) and page.eval_on_selector("#picture", painted)
        page.tap("#camera")
        assert page.inner_text("#camera") == "Start camera"
        assert page.evaluate("window.shifted") < 0.02
        requests = page.requests
    assert requests and all(url.startswith((page_server.address, "blob:")) for _, url in requests)
    assert {method for method, _ in requests} == {"GET"}


def test_nothing_of_the_camera_is_stored(browser, page_server):
    with opened(browser, page_server.address) as page:
        start_camera(page)
        kept = page.evaluate(
            """async () => {
            const names = await caches.keys();
            const lists = names.map(async (name) => (await (await caches.open(name)).keys()).map((each) => each.url));
            const urls = (await Promise.all(lists)).flat();
            return {urls, local: localStorage.length + sessionStorage.length, databases: (await indexedDB.databases()).length,
                    cookies: document.cookie}; }"""
        )
    assert (
        kept["urls"]
        and {url.removeprefix(page_server.address) or "index.html" for url in kept["urls"]} <= page_server.files.keys()
    )
    assert (kept["local"], kept["databases"], kept["cookies"]) == (0, 0, "")


def test_the_policy_lets_no_request_leave(browser, page_server, page_files):
    other = server.Server(page_files)
    with opened(browser, page_server.address, expected="Content Security Policy") as page:
        blocked = page.evaluate("(url) => fetch(url).then(() => 'let through', () => 'blocked')", other.address)
    other.close()
    assert blocked == "blocked"


def test_a_picture_is_read_without_smoothing(browser, page_server, web_bundle, tmp_path):
    from train.data import synthetic

    picture = tmp_path / "face.png"
    frame = synthetic.frames(8, 5)[0][7]
    cv2.imwrite(str(picture), frame[..., ::-1])
    own = detectors.load("own", own=web_bundle.finder_model("litert", web_bundle.defaults.get("precision", "int8")))
    classifier = Classifier(web_bundle, "litert", web_bundle.defaults.get("precision", "int8"))
    probabilities = classifier.classify(classifier.crop(frame, own.detect(frame)[0]))
    label = web_bundle.spec.labels[int(probabilities.argmax())]
    with opened(browser, page_server.address) as page:
        page.set_input_files("#file", picture)
        page.wait_for_function(f"() => document.getElementById('now').textContent === '{label}'")
        shown = int(re.search(r"(\d+) %", page.inner_text("#bars li.top"))[1])
        assert shown == pytest.approx(100 * probabilities.max(), abs=1.1)
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no picture")
        page.set_input_files("#file", broken)
        page.wait_for_function(
            "() => document.getElementById('problem').textContent.includes('broken.png is no picture')"
        )


def test_a_video_is_followed(browser, page_server):
    video = Path(os.environ.get("EDGEFER_DATA", "nowhere")) / "one-face.mp4"
    if not video.is_file():
        pytest.skip("EDGEFER_DATA has no one-face.mp4")
    with opened(browser, page_server.address) as page:
        page.set_input_files("#file", video)
        page.wait_for_function(
            "() => document.querySelector('#bars li.top') && document.getElementById('fps').textContent !== '–'"
        )
        assert page.inner_text("#now") in page.inner_text("#bars li.top")


def test_the_page_fits_a_small_phone_and_can_be_read(browser, page_server):
    for scheme in ("light", "dark"):
        small = {"viewport": {"width": 320, "height": 568}, "color_scheme": scheme}
        with opened(browser, page_server.address, **small) as page:
            page.click("summary")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            small = page.eval_on_selector_all(
                "button:not([hidden]), .button, select",
                "(all) => all.filter((e) => e.getBoundingClientRect().height < 44).length",
            )
            assert small == 0
            unnamed = "(all) => all.filter((e) => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).length"
            assert page.eval_on_selector_all("button, select, input, a, canvas", unnamed) == 0
            for selector, ground in {
                "#now": ".read",
                "#bars li": ".read",
                ".note": "body",
                "#problem": "#problem",
                "#camera": "#camera",
            }.items():
                assert contrast(page, selector, ground) >= 4.5, (scheme, selector)
            page.set_viewport_size({"width": 568, "height": 320})  # turned: the picture is seen whole
            assert page.eval_on_selector("#stage", "(stage) => stage.clientHeight < innerHeight")


def contrast(page, text: str, ground: str) -> float:
    """WCAG's ratio of a text's colour and its ground's."""
    style = "(e, name) => getComputedStyle(e)[name]"
    colours = page.eval_on_selector(text, style, "color"), page.eval_on_selector(ground, style, "backgroundColor")
    lights = sorted(luminance(np.array(re.findall(r"\d+", colour)[:3], float) / 255) for colour in colours)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# --- where it is served, and what goes wrong ---------------------------------------------------------------------------------


def test_the_first_load_is_small(browser, page_files, monkeypatch):
    """All that the server sends, the copy for offline use included, but the models."""
    sent, send_file, send = {}, server._Handler._send_file, server._Handler._send

    def named(handler, address, body):
        handler.address = address
        send_file(handler, address, body)

    def counted(handler, code, kind, data, body=True, more=None):
        sent[handler.address] = sent.get(handler.address, 0) + (len(data) if body else 0)
        send(handler, code, kind, data, body, more)

    monkeypatch.setattr(server._Handler, "_send_file", named)
    monkeypatch.setattr(server._Handler, "_send", counted)
    running = server.Server(page_files)
    with opened(browser, running.address):
        pass
    running.close()
    apart = sum(size for address, size in sent.items() if not address.startswith("bundle/"))
    assert 2.5e6 < apart < TRANSFER_MB * 1e6  # the lower bound: the runtime was counted


def test_it_works_without_the_server(browser, page_files):
    running = server.Server(page_files)
    with opened(browser, running.address) as page:
        assert "works offline" in page.inner_text("#origin")
        running.close()
        page.reload()
        page.wait_for_selector(READY)
        assert page.evaluate("crossOriginIsolated")
        start_camera(page)
        page.wait_for_function(f"() => document.getElementById('now').textContent === '{CAMERA_LABEL}'")


def test_a_static_host_without_headers_gets_threads_from_the_service_worker(browser, web_bundle, litert_web, tmp_path):
    import functools
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    site.export(web_bundle, litert_web, tmp_path / "page")
    plain = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "page")))
    threading.Thread(target=plain.serve_forever, args=(0.1,), daemon=True).start()
    with opened(browser, f"http://127.0.0.1:{plain.server_address[1]}/") as page:
        assert page.evaluate("crossOriginIsolated")  # on the first visit
        plain.shutdown()
        plain.server_close()
        page.goto(page.url)
        page.wait_for_selector(READY)
        assert page.evaluate("crossOriginIsolated") and page.inner_text("#problem") == ""


@pytest.mark.parametrize("name", ["int8.tflite", "finder/finder.json", "model.json"])
def test_a_corrupted_file_is_refused_with_a_sentence(browser, web_bundle, page_files, tmp_path, name):
    bad = tmp_path / "bad"
    shutil.copyfile(web_bundle.folder / name, bad)
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    running = server.Server({**page_files, f"bundle/{name}": bad})
    with opened(browser, running.address, "body[data-ready=no]") as page:
        said = page.inner_text("#problem")
        assert page.is_disabled("#camera")
    running.close()
    assert said == f"{name} does not match its SHA-256 in SHA256SUMS and is not used; {REMEDY}."


def test_a_refused_camera_says_what_to_do(launch, page_server):
    refusing = launch("--deny-permission-prompts")
    with opened(refusing, page_server.address) as page:
        page.tap("#camera")
        page.wait_for_function("() => document.getElementById('problem').textContent")
        assert "camera was refused. Allow it for this page" in page.inner_text("#problem")
        assert page.inner_text("#camera") == "Start camera" and page.is_enabled("#camera")
    refusing.close()


LENT = """
const lent = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (asked) => (window.stream = await lent(asked));
"""


def test_a_camera_that_goes_away_says_so_and_can_be_started_again(browser, page_server):
    with opened(browser, page_server.address) as page:
        page.evaluate(f"() => {{ {LENT} }}")
        start_camera(page)
        page.evaluate("window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
        assert "camera went away" in page.inner_text("#problem")
        assert page.inner_text("#camera") == "Start camera"
        page.tap("#camera")
        page.wait_for_function("() => document.getElementById('camera').textContent === 'Stop camera'")
        assert page.inner_text("#problem") == ""


def test_choices_in_quick_succession_are_loaded_one_after_the_other(browser, page_server):
    """A model that was forgotten would keep its threads, and the next would wait for ever."""
    changes = """() => {
        const asked = [["precision", "fp32"], ["threads", "1"], ["precision", "int8"], ["threads", "2"]];
        for (const [id, value] of asked) {
            const select = document.getElementById(id);
            select.value = value;
            select.dispatchEvent(new Event("change"));
        }
    }"""
    with opened(browser, page_server.address) as page:
        for _ in range(3):
            page.evaluate(changes)
        page.wait_for_function("() => document.getElementById('state').textContent === 'int8, 2 threads'")
        start_camera(page)
        assert page.inner_text("#problem") == ""


WITHOUT_RELAXED_SIMD = """
const {instantiate} = WebAssembly;
WebAssembly.instantiate = (source, ...more) =>
    source.byteLength < 100 ? Promise.reject(new Error("not here")) : instantiate(source, ...more);
"""
"""LiteRT finds out what a browser can by compiling a few bytes."""


def test_an_older_browser_gets_the_compatible_build(browser, page_server):
    context = browser.new_context(**PHONE)
    context.add_init_script(WITHOUT_RELAXED_SIMD)
    page = context.new_page()
    page.goto(page_server.address)
    page.wait_for_selector(READY)  # golden vectors were replayed
    assert page.evaluate("crossOriginIsolated") and "1 thread" in page.inner_text("#state")
    loaded = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [url for url in loaded if url.endswith("litert_wasm_compat_internal.wasm")]
    context.close()


def test_webgpu_is_offered_where_it_computes_what_was_exported_and_not_elsewhere(launch, browser, page_server):
    with opened(browser, page_server.address) as page:  # no adapter
        page.click("summary")
        page.wait_for_timeout(500)
        assert page.locator("#engine option").all_inner_texts() == ["WebAssembly"]
    software = launch("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
    with opened(software, page_server.address) as page:
        if not page.evaluate("navigator.gpu?.requestAdapter().then(Boolean)"):
            pytest.skip("this Chromium has no WebGPU adapter, not even in software")
        page.click("summary")
        page.wait_for_selector("#engine option[value=webgpu]", state="attached")
        page.select_option("#engine", "webgpu")
        page.wait_for_function("() => document.getElementById('state').textContent === 'fp32, WebGPU'")
        assert page.inner_text("#problem") == ""
    software.close()


def own_address() -> str:
    from edgefer.errors import EnvironmentInvalid

    try:
        return lan.address()
    except EnvironmentInvalid as error:
        pytest.skip(str(error))


def test_plain_http_in_a_network_gets_no_camera_and_says_so(browser, page_files):
    host = own_address()
    running = server.Server(page_files, host, names=(host,))
    with opened(
        browser, running.address, "body[data-ready=no]", "Cross-Origin-Opener-Policy header has been ignored"
    ) as page:
        assert "plain http" in page.inner_text("#origin")
        assert "https://" in page.inner_text("#problem")
    running.close()


def test_a_self_signed_address_gets_the_camera_only_and_says_so(browser, page_files, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: apt-get install openssl")
    host = own_address()
    running = server.Server(page_files, host, names=(host,), context=lan.context(*lan.certificate(host, tmp_path)))
    certificate = "An SSL certificate error occurred"
    with opened(browser, running.address, expected=certificate, ignore_https_errors=True) as page:
        assert page.evaluate("document.body.dataset.origin") == "camera"
        assert page.inner_text("#origin").startswith("Camera only:")
        start_camera(page)
        page.wait_for_function(f"() => document.getElementById('now').textContent === '{CAMERA_LABEL}'")
    running.close()
