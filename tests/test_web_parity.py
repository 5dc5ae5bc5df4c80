"""The page computes what Python computes: crops, squares, faces, tracks, probabilities, and the figures of a measurement."""

import base64
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripted import Scripted

from benchmarks import figures, table, verdict
from edgefer import detectors, engines
from edgefer.align import align_crop
from edgefer.classifier import Classifier
from edgefer.detectors.own import Own
from edgefer.detectors.shrink import to_square
from edgefer.faces import Face
from edgefer.finder import pairs
from edgefer.finder_spec import FinderSpec
from edgefer.track import Tracker

CROPS = 400


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
    found = sorted(path for path in photographs.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))[:5]
    return made + [cv2.imread(str(path))[..., ::-1] for path in found]


def far_away(count: int = 8) -> list[np.ndarray]:
    """Synthetic frames in which everything is a quarter as large as it was: faces that are looked at twice."""
    from train.data import synthetic

    made = []
    for i, near in enumerate(synthetic.frames(count, 31)[0]):
        frame = cv2.GaussianBlur(near, (0, 0), 40)
        far = cv2.resize(near, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        top, left = 40 + 23 * i, 30 + 37 * i
        frame[top : top + len(far), left : left + far.shape[1]] = far
        made.append(frame)
    return [*made, made[2][:, :, 1].copy()]


class Counted:
    """An engine that counts its runs."""

    def __init__(self, engine):
        self.engine, self.runs = engine, 0

    def run(self, image):
        self.runs += 1
        return self.engine.run(image)


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
    own.engine = Counted(own.engine)
    classifier = Classifier(web_bundle, "litert", precision)
    shared_page.evaluate(
        """async (precision) => {
        const [{load}, {Recogniser}] = await Promise.all(["bundle", "recogniser"].map((name) => import(`/${name}.js`)));
        window.own = await Recogniser.open(await load("bundle/"), {precision, threads: 1}); }""",
        precision,
    )
    seen, levels = 0, []
    pictures = frames() + far_away()
    for frame in pictures:
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
    assert seen >= 15 and own.engine.runs >= len(pictures) + 3  # some were looked at twice
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


@pytest.mark.parametrize("shape", [(480, 640, 3), (333, 501, 4), (700, 500)])
def test_second_looks_are_taken_and_judged_as_in_python(shared_page, shape):
    """Scripted answers in place of a network: which parts are looked at, which faces remain."""
    spec = FinderSpec("face_finder", 64, (8, 16), (16.0, 64.0), 0.7, 0.3, 0.3, 0.6)
    rng = np.random.default_rng(shape[0])
    frame = rng.integers(0, 256, shape, np.uint8)
    again = confirmed = 0
    for _ in range(40):
        answers = [scripted(rng, spec, low) for low in (0.0, 0.4, 0.4, 0.4)]
        engine = Scripted(spec, *answers)
        expected = Own(engine, spec).detect(frame[..., :3] if len(shape) == 3 else frame)
        faces, squares = shared_page.evaluate(
            f"""async ([frame, spec, answers]) => {{ {UNPACK}
            const {{Finder}} = await import("/finder.js"), squares = [];
            const run = async (square) => {{
                const outputs = answers[squares.length].map(([shape, values]) => ({{shape, data: Float32Array.from(values)}}));
                squares.push(Array.from(square));
                return outputs;
            }};
            return [await new Finder({{run}}, spec).find(frameOf(frame)), squares]; }}""",
            [
                packed(frame),
                spec.to_json(),
                [[[list(v.shape), v.ravel().tolist()] for v in a.values()] for a in answers],
            ],
        )
        assert len(squares) == len(engine.seen)
        assert all(np.array_equal(np.array(a), b.ravel()) for a, b in zip(squares, engine.seen, strict=True))
        np.testing.assert_allclose([f["box"] for f in faces], [f.box for f in expected], atol=0.02)
        assert [f["score"] for f in faces] == [f.score for f in expected]
        again += len(squares) - 1
        confirmed += sum(np.float32(f.score) not in answers[0]["scores"] for f in expected)
    assert again >= 40 and confirmed >= 5


def scripted(rng, spec: FinderSpec, low: float) -> dict[str, np.ndarray]:
    """Outputs of a network that sees a few faces and places in doubt, or that is made surer (``low``) of one in the middle."""
    found = {name: np.zeros(shape, np.float32) for name, shape in spec.output_shapes.items()}
    middle = [27, 28, 35, 36] if low else range(spec.cells)
    for cell in rng.choice(middle, 4 if low else 6, replace=False):
        found["scores"][0, cell] = rng.uniform(low, 0.9)
        found["boxes"][0, cell] = rng.uniform(0.05, 0.6) + rng.uniform(0, 0.05, 4)
        found["landmarks"][0, cell] = rng.uniform(-0.3, 0.3, 10)
    return found
