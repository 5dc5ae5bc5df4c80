"""The page in a real browser: it computes what Python computes, shows faces, works offline, and says what is wrong."""

import base64
import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from web_fixtures import CAMERA_LABEL

from benchmarks import browsers, figures, table, verdict
from edgefer import detectors, engines
from edgefer.align import align_crop
from edgefer.browser import lan, server, site
from edgefer.classifier import Classifier
from edgefer.detectors.shrink import to_square
from edgefer.faces import Face
from edgefer.finder import pairs
from edgefer.track import Tracker

playwright = pytest.importorskip("playwright.sync_api", reason="drives a browser: install edgefer[dev]")

PHONE = {"viewport": {"width": 412, "height": 915}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LITERT_SAYS = re.compile(r"^(INFO|WARNING): (\[\w+\.cc:\d+\]|Created TensorFlow Lite XNNPACK)")
"""LiteRT's own log, which it writes by console.error."""
READY = "body[data-ready=yes]"
TRANSFER_MB = 4.0
CROPS = 400


@pytest.fixture(scope="module")
def launch(chromium, camera_clip):
    """``launch(*flags)``: a browser; its camera films the clip."""
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
def files(web_bundle, litert_web) -> dict[str, Path]:
    return site.files(web_bundle, litert_web)


@pytest.fixture(scope="module")
def served(files):
    found = server.Server(files)
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
def shared_page(browser, served):
    """One page for the tests that only compute."""
    with opened(browser, served.address) as page:
        yield page


def packed(array: np.ndarray) -> dict:
    """An array on its way into the page."""
    return {"bytes": base64.b64encode(np.ascontiguousarray(array)).decode(), "shape": list(array.shape)}


UNPACK = """
const unpack = ({bytes, shape}) => ({data: Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)), shape});
const frameOf = (packed) => {
  const {data, shape: [height, width, channels = 1]} = unpack(packed);
  return {data, height, width, channels};
};
"""


def frames(count: int = 6) -> list[np.ndarray]:
    """Pictures of many shapes: synthetic ones, whole, enlarged, cut and gray; photographs where they are here."""
    from train.data import synthetic

    made = list(synthetic.frames(count, 11)[0])
    made += [cv2.resize(made[0], (1531, 1103)), cv2.resize(made[1], (350, 263)), made[2][:, :, 1], made[3][40:, 30:457]]
    made.append(cv2.resize(made[4], (160, 120)))
    photographs = Path(os.environ.get("EDGEFER_DATA", "nowhere")) / "faces-in-the-wild" / "images"
    found = sorted(path for path in photographs.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))[:12]
    return made + [cv2.imread(str(path))[..., ::-1] for path in found]


# --- what it computes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_vectors_are_those_of_the_export(shared_page, precision):
    found = shared_page.evaluate(
        """async (precision) => {
        const [{load}, {Recogniser}, {check}] = await Promise.all(
            ["bundle", "recogniser", "golden"].map((name) => import(`/${name}.js`)));
        const recogniser = await Recogniser.open(await load("bundle/"), {precision, threads: 1});
        const found = await check(recogniser);
        recogniser.delete();
        return found; }""",
        precision,
    )
    assert found["problems"] == []
    assert found["worst"]["square_levels"] == 0 and found["worst"]["crop_levels"] <= 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_network_says_what_python_says(shared_page, web_bundle, precision):
    from train.data import synthetic

    size = web_bundle.spec.input_size
    crops = synthetic.faces(CROPS, seed=21, size=size).images[..., None]
    crops = np.repeat(crops, web_bundle.spec.channels, 3)
    engine = engines.load("litert", web_bundle.model_path("litert", precision), 1)
    expected = np.concatenate([engine.infer(crop[None]) for crop in crops])
    found = shared_page.evaluate(
        f"""async ([packed, precision]) => {{ {UNPACK}
        const [{{load}}, {{Recogniser}}] = await Promise.all(["bundle", "recogniser"].map((name) => import(`/${{name}}.js`)));
        const bundle = await load("bundle/"), {{data, shape}} = unpack(packed), length = data.length / shape[0];
        const model = await Recogniser.model(bundle, bundle.manifest, precision, 1);
        const rows = [];
        for (let i = 0; i < shape[0]; i++) {{
            const crop = data.slice(i * length, (i + 1) * length);
            rows.push(Array.from((await model.run(crop, [1, ...shape.slice(1)]))[0].data));
        }}
        model.delete();
        return rows; }}""",
        [packed(crops), precision],
    )
    found = np.array(found, np.float32)
    assert np.abs(found - expected).max() <= (1e-4 if precision == "fp32" else 2 / 256)
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.995
    assert len(set(found.argmax(1))) >= 5  # so that agreeing means something


def test_frames_shrink_to_the_same_squares_bit_for_bit(shared_page, web_bundle):
    size = web_bundle.finder.spec.input_size
    for frame in [*frames(), np.zeros((1, 700, 3), np.uint8), np.full((3, 2), 255, np.uint8)]:
        expected, scale = to_square(frame, size)
        found = shared_page.evaluate(
            f"""async ([frame, size]) => {{ {UNPACK}
            const {{square, scale}} = (await import("/shrink.js")).toSquare(frameOf(frame), size);
            return [Array.from(square), scale]; }}""",
            [packed(frame), size],
        )
        assert np.array_equal(np.array(found[0], np.uint8), expected.ravel()), frame.shape
        assert found[1] == list(scale)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_faces_are_found_where_python_finds_them_and_cut_alike(shared_page, web_bundle, precision):
    own = detectors.load("own", own=web_bundle.finder_model("litert", precision))
    classifier = Classifier(web_bundle, "litert", precision)
    shared_page.evaluate(
        """async (precision) => {
        const [{load}, {Recogniser}] = await Promise.all(["bundle", "recogniser"].map((name) => import(`/${name}.js`)));
        window.own = await Recogniser.open(await load("bundle/"), {precision, threads: 1}); }""",
        precision,
    )
    seen, levels = 0, []
    for frame in frames():
        expected = own.detect(frame)
        found = shared_page.evaluate(
            f"""async (frame) => {{ {UNPACK}
            return (await window.own.look(frameOf(frame))).map((face) => ({{...face, crop: Array.from(face.crop),
                probabilities: Array.from(face.probabilities)}})); }}""",
            packed(frame),
        )
        assert len(found) == len(expected)
        edges = [[x, y, x + w, y + h] for x, y, w, h in (face["box"] for face in found)]
        wanted = [[x, y, x + w, y + h] for x, y, w, h in (face.box for face in expected)]
        for face, i in zip(found, pairs(np.array(edges).reshape(-1, 4), np.array(wanted).reshape(-1, 4)), strict=True):
            np.testing.assert_allclose(face["landmarks"], expected[i].landmarks, atol=0.02)
            np.testing.assert_allclose(face["box"], expected[i].box, atol=0.02)
            assert face["score"] == pytest.approx(expected[i].score, abs=1e-5)
            crop = classifier.crop(frame, Face((0, 0, 1, 1), 1, "own", np.array(face["landmarks"])))
            levels.append(np.abs(crop.ravel().astype(int) - face["crop"]))
            np.testing.assert_allclose(face["probabilities"], classifier.classify(crop), atol=2 / 256 + 0.01)
            seen += 1
    shared_page.evaluate("window.own.delete()")
    assert seen >= 8
    assert max(level.max() for level in levels) <= 1  # a sum in another order: seen in none to a few of 100 000 pixels
    assert np.mean([(level > 0).mean() for level in levels]) < 0.001


def test_crops_of_turned_large_and_cut_faces_are_the_same_within_a_grey_level(shared_page, web_bundle):
    rng = np.random.default_rng(0)
    frame, spec = frames()[6], web_bundle.spec
    shape = np.array(spec.alignment.landmarks) - 0.5
    for size in (20, 48, 90, 130, 400, 1500):
        angle = rng.uniform(-1, 1)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = (shape @ turn * size + rng.uniform(0, 1100, 2)).astype(np.float32)
        expected = align_crop(frame, Face((0, 0, 1, 1), 1, "own", points), spec)
        found = shared_page.evaluate(
            f"""async ([frame, points, spec]) => {{ {UNPACK}
            return Array.from((await import("/align.js")).alignCrop(frameOf(frame), points, spec)); }}""",
            [packed(frame), points.tolist(), spec.to_json()],
        )
        assert np.abs(expected.ravel().astype(int) - found).max() <= 1


def test_tracks_and_smoothing_are_those_of_python(shared_page):
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.choice([0.04, 0.1, 0.7, 2.5], 60)).tolist()
    scenes = [
        [
            [*(base + rng.normal(0, 3, 2)), 50, 60]
            for base in np.array([[0, 0], [40, 10], [200, 50]])[rng.random(3) < 0.8]
        ]
        for _ in times
    ]
    said = rng.dirichlet(np.ones(4), (60, 3)).astype(np.float32)
    tracker, expected = Tracker(), []
    for boxes, now, rows in zip(scenes, times, said, strict=True):
        tracks = tracker.assign([Face(tuple(box), 1, "own") for box in boxes], now)
        smoothed = [track.smooth(row, now, 0.3).tolist() for track, row in zip(tracks, rows, strict=False)]
        expected.append([[track.id for track in tracks], smoothed])
    found = shared_page.evaluate(
        """async ([scenes, times, said]) => {
        const {Tracker, smooth} = await import("/track.js");
        const tracker = new Tracker();
        return scenes.map((boxes, i) => {
            const tracks = tracker.assign(boxes.map((box) => ({box})), times[i]);
            return [tracks.map((track) => track.id),
                    tracks.map((track, k) => Array.from(smooth(track, said[i][k], times[i])))];
        }); }""",
        [scenes, times, said.tolist()],
    )
    for (ids, smoothed), (wanted_ids, wanted) in zip(found, expected, strict=True):
        assert ids == wanted_ids
        np.testing.assert_allclose(np.array(smoothed).reshape(-1), np.array(wanted).reshape(-1), atol=1e-6)


def test_a_measurement_is_a_record_that_benchmarks_reads(shared_page, capsys):
    record = shared_page.evaluate(
        """async () => {
        const [{load}, {measure, QUICK}] = await Promise.all(["bundle", "measure"].map((name) => import(`/${name}.js`)));
        return measure(await load("bundle/"), {precision: "int8", threads: 1, plan: QUICK, live: [3, 4]}); }"""
    )
    record = json.loads(json.dumps(record))
    assert record["schema"] == 1 and record["verdict"] == "pass", record["environment"]["run"]["problems"]
    assert record["metrics"].keys() <= verdict.KINDS.keys()
    assert all(row["unit"] == verdict.KINDS[name].unit for name, row in record["metrics"].items())
    blocks = {role: np.array(ns, np.int64) for role, ns in record["samples"]["interleaved"]["blocks"].items()}
    assert blocks["target"].shape[:2] == (3, 3) and (blocks["target"] >= 0).all()
    again = figures.speed(blocks)
    assert record["metrics"]["latency_ms"]["value"] == pytest.approx(again["latency_ms"].value)
    assert record["metrics"]["fps"]["value"] == pytest.approx(again["fps"].value)
    low, high = again["latency_ms"].ci95
    own = record["metrics"]["latency_ms"]["ci95"]
    assert (
        low <= own[0] * 1.001 and own[1] <= high * 1.001
    )  # Python's is never narrower: it looks at a bootstrap as well
    assert record["metrics"]["latency_p90_ms"]["value"] == pytest.approx(again["latency_p90_ms"].value)
    table.show(record, "record.json", table.console())
    shown = capsys.readouterr().out
    assert "target browser" in shown and "latency_ms" in shown and "quick" in shown


# --- what it shows -----------------------------------------------------------------------------------------------------------


def start_camera(page) -> None:
    page.tap("#camera")
    page.wait_for_function("() => document.getElementById('fps').textContent !== '–'")


SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifted += entry.value)))
    .observe({type: "layout-shift", buffered: true});
"""


def test_the_camera_shows_the_expected_label_and_nothing_leaves_the_origin(browser, served):
    with opened(browser, served.address) as page:
        page.evaluate(SHIFTS)
        start_camera(page)
        page.wait_for_function(f"() => document.getElementById('now').textContent === '{CAMERA_LABEL}'")
        top = page.inner_text("#bars li.top")
        assert CAMERA_LABEL in top and int(re.search(r"(\d+) %", top)[1]) > 60
        assert float(page.inner_text("#fps")) > 5
        assert all(re.fullmatch(r"[\d.]+ ms", page.inner_text(f"#{name}")) for name in ("p50", "p90", "p95"))
        painted = "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)"
        assert page.eval_on_selector("#timeline", painted) and page.eval_on_selector("#picture", painted)
        page.tap("#camera")
        assert page.inner_text("#camera") == "Start camera"
        assert page.evaluate("window.shifted") < 0.02
        requests = page.requests
    assert requests and all(url.startswith((served.address, "blob:")) for _, url in requests)
    assert {method for method, _ in requests} == {"GET"}


def test_nothing_of_the_camera_is_stored(browser, served):
    with opened(browser, served.address) as page:
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
        and {url.removeprefix(served.address) or "index.html" for url in kept["urls"]} <= served.files.keys()
    )
    assert (kept["local"], kept["databases"], kept["cookies"]) == (0, 0, "")


def test_the_policy_lets_no_request_leave(browser, served, files):
    other = server.Server(files)
    with opened(browser, served.address, expected="Content Security Policy") as page:
        blocked = page.evaluate("(url) => fetch(url).then(() => 'let through', () => 'blocked')", other.address)
    other.close()
    assert blocked == "blocked"


def test_a_picture_is_read_without_smoothing(browser, served, web_bundle, tmp_path):
    from train.data import synthetic

    picture = tmp_path / "face.png"
    frame = synthetic.frames(8, 5)[0][7]
    cv2.imwrite(str(picture), frame[..., ::-1])
    own = detectors.load("own", own=web_bundle.finder_model("litert", web_bundle.defaults.get("precision", "int8")))
    classifier = Classifier(web_bundle, "litert", web_bundle.defaults.get("precision", "int8"))
    probabilities = classifier.classify(classifier.crop(frame, own.detect(frame)[0]))
    label = web_bundle.spec.labels[int(probabilities.argmax())]
    with opened(browser, served.address) as page:
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


def test_a_video_is_followed(browser, served):
    video = Path(os.environ.get("EDGEFER_DATA", "nowhere")) / "one-face.mp4"
    if not video.is_file():
        pytest.skip("EDGEFER_DATA has no one-face.mp4")
    with opened(browser, served.address) as page:
        page.set_input_files("#file", video)
        page.wait_for_function(
            "() => document.querySelector('#bars li.top') && document.getElementById('fps').textContent !== '–'"
        )
        assert page.inner_text("#now") in page.inner_text("#bars li.top")


def test_the_page_fits_a_small_phone_and_can_be_read(browser, served):
    for scheme in ("light", "dark"):
        small = {"viewport": {"width": 340, "height": 640}, "color_scheme": scheme}
        with opened(browser, served.address, **small) as page:
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


def test_the_first_load_is_small(browser, files, monkeypatch):
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
    running = server.Server(files)
    with opened(browser, running.address):
        pass
    running.close()
    apart = sum(size for address, size in sent.items() if not address.startswith("bundle/"))
    assert 2.5e6 < apart < TRANSFER_MB * 1e6  # the lower bound: the runtime was counted


def test_it_works_without_the_server(browser, files):
    running = server.Server(files)
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
        assert not page.evaluate("crossOriginIsolated") and "1 thread" in page.inner_text("#state")
        page.reload()
        page.wait_for_selector(READY)
        assert page.evaluate("crossOriginIsolated")
    plain.shutdown()
    plain.server_close()


@pytest.mark.parametrize("name", ["int8.tflite", "finder/finder.json", "model.json"])
def test_a_corrupted_file_is_refused_with_a_sentence(browser, web_bundle, files, tmp_path, name):
    bad = tmp_path / "bad"
    shutil.copyfile(web_bundle.folder / name, bad)
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    running = server.Server({**files, f"bundle/{name}": bad})
    with opened(browser, running.address, "body[data-ready=no]") as page:
        said = page.inner_text("#problem")
        assert page.is_disabled("#camera")
    running.close()
    assert said == f"{name} does not match its SHA-256 in SHA256SUMS and is not used; copy or export the bundle again."


def test_a_refused_camera_says_what_to_do(launch, served):
    refusing = launch("--deny-permission-prompts")
    with opened(refusing, served.address) as page:
        page.tap("#camera")
        page.wait_for_function("() => document.getElementById('problem').textContent")
        assert "camera was refused. Allow it for this page" in page.inner_text("#problem")
        assert page.inner_text("#camera") == "Start camera" and page.is_enabled("#camera")
    refusing.close()


WITHOUT_RELAXED_SIMD = """
const {instantiate} = WebAssembly;
WebAssembly.instantiate = (source, ...more) =>
    source.byteLength < 100 ? Promise.reject(new Error("not here")) : instantiate(source, ...more);
"""
"""LiteRT finds out what a browser can by compiling a few bytes."""


def test_an_older_browser_gets_the_compatible_build(browser, served):
    context = browser.new_context(**PHONE)
    context.add_init_script(WITHOUT_RELAXED_SIMD)
    page = context.new_page()
    page.goto(served.address)
    page.wait_for_selector(READY)  # golden vectors were replayed
    assert page.evaluate("crossOriginIsolated") and "1 thread" in page.inner_text("#state")
    loaded = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [url for url in loaded if url.endswith("litert_wasm_compat_internal.wasm")]
    context.close()


def test_webgpu_is_offered_where_it_computes_what_was_exported_and_not_elsewhere(launch, browser, served):
    with opened(browser, served.address) as page:  # no adapter
        page.click("summary")
        page.wait_for_timeout(500)
        assert page.locator("#engine option").all_inner_texts() == ["WebAssembly"]
    software = launch("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
    with opened(software, served.address) as page:
        if not page.evaluate("navigator.gpu?.requestAdapter().then(Boolean)"):
            pytest.skip("this Chromium has no WebGPU adapter, not even in software")
        page.click("summary")
        page.wait_for_selector("#engine option[value=webgpu]", state="attached")
        page.select_option("#engine", "webgpu")
        page.wait_for_function("() => document.getElementById('state').textContent.endsWith('WebGPU')")
        assert page.inner_text("#problem") == ""
    software.close()


def own_address() -> str:
    from edgefer.errors import EnvironmentInvalid

    try:
        return lan.address()
    except EnvironmentInvalid as error:
        pytest.skip(str(error))


def test_plain_http_in_a_network_gets_no_camera_and_says_so(browser, files):
    host = own_address()
    running = server.Server(files, host, names=(host,))
    with opened(
        browser, running.address, "body[data-ready=no]", "Cross-Origin-Opener-Policy header has been ignored"
    ) as page:
        assert "plain http" in page.inner_text("#origin")
        assert "https://" in page.inner_text("#problem")
    running.close()


def test_a_self_signed_address_gets_the_camera_only_and_says_so(browser, files, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: apt-get install openssl")
    host = own_address()
    running = server.Server(files, host, names=(host,), context=lan.context(*lan.certificate(host, tmp_path)))
    certificate = "An SSL certificate error occurred"
    with opened(browser, running.address, expected=certificate, ignore_https_errors=True) as page:
        assert page.evaluate("document.body.dataset.origin") == "camera"
        assert page.inner_text("#origin").startswith("Camera only:")
        start_camera(page)
        page.wait_for_function(f"() => document.getElementById('now').textContent === '{CAMERA_LABEL}'")
    running.close()
