"""The face finder without its weights: shrinking bit for bit, reading outputs, specs, the bundle's section, parity."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scripted import Scripted

from edgefer import bundle, detectors, finder, finder_golden, finder_parity
from edgefer.detectors.own import Own
from edgefer.detectors.shrink import FILL, to_square
from edgefer.engines import contract
from edgefer.errors import InputRejected
from edgefer.finder import Found, decode
from edgefer.finder_spec import FinderModel, FinderSpec

TINY = Path(__file__).parent / "data" / "tiny"
SPEC = FinderSpec("face_finder", 32, (8, 16), (16.0, 64.0), 0.5, 0.3)
CELLS = SPEC.cells


def slow_square(frame: np.ndarray, size: int) -> np.ndarray:
    """The rule of ``edgefer.detectors.shrink`` word by word, in Python's whole numbers."""
    rgb = np.repeat(frame.reshape(*frame.shape[:2], -1), 3 if frame.ndim == 2 or frame.shape[2] == 1 else 1, 2)
    height, width = rgb.shape[:2]
    f = max(1, max(height, width) // size)
    gray = []
    for y in range(height // f):
        row = []
        for x in range(width // f):
            block = rgb[y * f : y * f + f, x * f : x * f + f].reshape(-1, 3).tolist()
            total = sum(77 * r + 150 * g + 29 * b for r, g, b in block)
            row.append((total + 128 * f * f) // (256 * f * f))
        gray.append(row)

    def lines(old: list, k: int) -> list:
        n, new = len(old), []
        for i in range(k):
            a, t = divmod((2 * i + 1) * n * 128 // k - 128, 256)
            pairs = zip(old[a], old[min(a + 1, n - 1)], strict=True)
            new.append([(one * (256 - t) + two * t + 128) // 256 for one, two in pairs])
        return new

    m = max(len(gray), len(gray[0]))
    if m > size:
        new_w, new_h = (max(1, (n * size + m // 2) // m) for n in (len(gray[0]), len(gray)))
        gray = lines(gray, new_h)
        gray = [
            list(row) for row in zip(*lines([list(column) for column in zip(*gray, strict=True)], new_w), strict=True)
        ]
    square = np.full((size, size), FILL)
    square[: len(gray), : len(gray[0])] = gray
    return square


@pytest.mark.parametrize(
    "shape", [(48, 64, 3), (50, 77, 3), (33, 32, 3), (20, 9, 3), (100, 57), (61, 129, 1), (33, 47, 3)]
)
def test_shrinking_follows_its_rule_bit_for_bit(shape):
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    square, _ = to_square(frame, 32)
    assert square.dtype == np.uint8 and np.array_equal(square, slow_square(frame, 32))


@pytest.mark.parametrize("shape", [(480, 640, 3), (1080, 1920, 3), (2, 2000, 3), (3000, 1, 3), (1, 1), (4320, 7680)])
def test_any_frame_shrinks(shape):
    frame = np.full(shape, 200, np.uint8)
    square, scale = to_square(frame, 160)
    width, height = round(shape[1] / scale[0]), round(shape[0] / scale[1])
    assert (square[: max(1, height) - 1, : max(1, width) - 1] == 200).all() and square[0, 0] == 200
    assert set(np.unique(square)) <= {200, FILL} and max(width, height) <= 161


def test_scale_leads_back_to_the_frame():
    frame = np.zeros((480, 640, 3), np.uint8)
    frame[200:240, 400:480] = 255
    square, scale = to_square(frame, 160)
    rows, columns = np.nonzero(square[:120] > 128)
    assert (columns.min() * scale[0], rows.min() * scale[1]) == (400, 200)
    assert ((columns.max() + 1) * scale[0], (rows.max() + 1) * scale[1]) == (480, 240)


def outputs_of(*faces: tuple[int, float, float]) -> dict[str, np.ndarray]:
    """Outputs with faces at cells: (cell, score, half a side in units)."""
    found = {name: np.zeros(shape, np.float32) for name, shape in SPEC.output_shapes.items()}
    for cell, score, half in faces:
        found["scores"][0, cell] = score
        found["boxes"][0, cell] = half
    return found


def test_decoding_gives_pixels_of_the_square():
    found = decode(
        outputs_of((5, 0.9, 0.5)), SPEC
    )  # the second cell of the second row of stride 8: its centre is (12, 12)
    assert found.boxes.tolist() == [[4, 4, 20, 20]] and found.scores[0] == np.float32(0.9)
    assert found.landmarks.tolist() == [[[12, 12]] * 5]
    coarse = decode(outputs_of((16 + 3, 0.8, 0.25)), SPEC)  # the last cell of stride 16: centre (24, 24), unit 64
    assert coarse.boxes.tolist() == [[8, 8, 40, 40]]


def test_overlapping_faces_become_one_that_blends_them():
    found = decode(outputs_of((5, 0.9, 1.0), (6, 0.6, 1.0)), SPEC)
    assert len(found.scores) == 1 and found.scores[0] == np.float32(0.9)
    assert found.boxes[0, 0] == pytest.approx((0.9 * (12 - 16) + 0.6 * (20 - 16)) / 1.5)
    apart = decode(outputs_of((0, 0.6, 0.25), (15, 0.9, 0.25)), SPEC)
    assert apart.scores.tolist() == [np.float32(0.9), np.float32(0.6)], "best first"


def test_nothing_above_the_threshold_is_nothing():
    found = decode(outputs_of((5, 0.49, 1.0)), SPEC)
    assert [part.shape for part in found] == [(0,), (0, 4), (0, 5, 2)]
    assert len(decode(outputs_of((5, 0.49, 1.0)), SPEC, 0.4).scores) == 1


def test_doubtful_cells_are_given_but_move_no_better_face():
    sure = outputs_of((5, 0.9, 1.0), (6, 0.6, 1.0))
    both = outputs_of((5, 0.9, 1.0), (6, 0.6, 1.0), (9, 0.4, 1.0), (15, 0.4, 0.25))
    found, wanted = decode(both, SPEC, doubt=0.3), decode(sure, SPEC)
    assert found.scores.tolist() == [np.float32(0.9), np.float32(0.4)]
    assert found.boxes[0].tolist() == wanted.boxes[0].tolist() and found.boxes[1].tolist() == [24, 24, 32, 32]


def test_boxes_without_area_do_not_hang():
    found = decode(outputs_of((5, 0.9, 0.0), (6, 0.8, -1.0)), SPEC)
    assert len(found.scores) == 2


def test_spec_goes_through_json(tmp_path):
    SPEC.save(tmp_path / "finder.json")
    assert FinderSpec.load(tmp_path / "finder.json") == SPEC


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": 2}, "schema 2 is not 1"),
        ({"threshold": 1.5}, "'threshold' must be a number from 0 to 1"),
        ({"units": [1]}, "'units' must be as many positive numbers as 'strides'"),
        ({"strides": [0, 16]}, "'strides' must be whole numbers"),
        ({"input_size": 3}, "'input_size' must be a whole number from 16 to 1024"),
        ({"color": 1}, "field 'color' is unknown"),
        ({"doubt": 0.3}, "'doubt' and 'confirm' must both be numbers"),
        ({"doubt": 0.3, "confirm": 2}, "'doubt' and 'confirm' must both be numbers from 0 to 1"),
        ({"doubt": 0.6, "confirm": 0.6}, "'doubt' must not be above 'threshold'"),
    ],
)
def test_a_wrong_spec_is_named(change, told):
    with pytest.raises(InputRejected, match=told):
        FinderSpec.from_json({**SPEC.to_json(), **change}, "finder.json")


class FakeEngine:
    """Finds one face at a cell of stride 8, outputs in an order of its own."""

    input_shape = SPEC.input_shape
    output_shapes = ((1, CELLS, 10), (1, CELLS, 1), (1, CELLS, 4))

    def run(self, image):
        assert image.shape == self.input_shape and image.dtype == np.uint8
        found = outputs_of((5, 0.9, 0.5))
        return [found["landmarks"], found["scores"], found["boxes"]]


def test_own_answers_in_pixels_of_the_original_frame():
    (face,) = Own(FakeEngine(), SPEC).detect(np.zeros((96, 128, 3), np.uint8))
    assert face.box == (16, 16, 64, 64) and face.detector == "own" and face.landmarks.tolist() == [[48, 48]] * 5


LOOKING = dataclasses.replace(SPEC, doubt=0.3, confirm=0.6)


FRAME = np.random.default_rng(0).integers(0, 256, (240, 320), np.uint8)  # ten of its pixels are one of the square's
DOUBTFUL = (11, 0.4, 1 / 16)  # 20 pixels about (280, 200) in the frame
LARGE = (11, 0.4, 0.3)  # 96 pixels there


def test_a_doubtful_place_is_looked_at_again_larger():
    engine = Scripted(SPEC, outputs_of(DOUBTFUL), outputs_of((10, 0.7, 0.2)))
    (face,) = Own(engine, LOOKING).detect(FRAME)
    square, (scale, _) = to_square(FRAME[139:, 219:], 32)  # 101 pixels, moved into the frame
    assert len(engine.seen) == 2 and np.array_equal(engine.seen[1], square)
    assert face.box == pytest.approx((219 + 16.8 * scale, 139 + 16.8 * scale, 6.4 * scale, 6.4 * scale), abs=1e-3)
    assert face.landmarks[0] == pytest.approx([219 + 20 * scale, 139 + 20 * scale], abs=1e-3)
    assert face.score == np.float32(0.7)


def test_a_second_look_sees_no_more_than_two_thirds_of_the_frame():
    engine = Scripted(SPEC, outputs_of((0, 0.9, 1 / 16), LARGE), outputs_of((15, 0.7, 0.45)))
    faces = Own(engine, LOOKING).detect(FRAME)
    assert np.array_equal(engine.seen[1], to_square(FRAME[26:, 106:], 32)[0])  # 214 pixels
    assert [face.score for face in faces] == [np.float32(0.7), np.float32(0.9)], "the larger one first"
    low = Scripted(SPEC, outputs_of(DOUBTFUL), outputs_of())
    Own(low, LOOKING).detect(FRAME[:32])
    assert len(low.seen) == 2, "the longer side counts"


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (outputs_of((10, 0.59, 0.2)), "no face even larger"),
        (outputs_of((0, 0.9, 0.2)), "a face, but elsewhere"),
        (outputs_of((10, 0.9, 0.45)), "a face about there, but five times as large"),
    ],
)
def test_a_second_look_decides(second, why):
    assert Own(Scripted(SPEC, outputs_of(DOUBTFUL), second), LOOKING).detect(FRAME) == [], why


def test_looking_again_costs_nothing_where_nothing_is_in_doubt():
    plain = outputs_of((0, 0.9, 0.25), (11, 0.29, 0.25))
    assert len(Own(Scripted(SPEC, plain), LOOKING).detect(FRAME)) == 1
    assert Own(Scripted(SPEC, outputs_of(DOUBTFUL)), SPEC).detect(FRAME) == [], "a finder that never looks twice"
    for answer, frame in ((DOUBTFUL, FRAME[:32, :32]), ((19, 0.4, 0.12), FRAME)):  # a small frame; 154 of 320 pixels
        assert Own(Scripted(SPEC, outputs_of(answer)), LOOKING).detect(frame) == [], "it cannot be seen any larger"
    for half in (0, np.nan, np.inf):
        assert Own(Scripted(SPEC, outputs_of((11, 0.4, half))), LOOKING).detect(FRAME) == [], "no box"


def test_looks_are_limited_to_the_best_and_find_no_face_twice():
    none, cells = outputs_of(), (3, 11, 8, 0)  # with scores from 0.44 down
    engine = Scripted(
        SPEC, outputs_of(*((cell, 0.44 - i / 100, 1 / 16) for i, cell in enumerate(cells))), none, none, none
    )
    assert Own(engine, LOOKING).detect(FRAME) == [] and engine.answers == []
    for cell, seen in zip(cells[:3], engine.seen[1:], strict=True):
        alone = Scripted(SPEC, outputs_of((cell, 0.4, 1 / 16)), none)
        Own(alone, LOOKING).detect(FRAME)
        assert np.array_equal(alone.seen[1], seen)
    # A place beside a known face; what the second look finds there shares 0.23 of its union with the known one.
    beside, again = outputs_of((10, 0.9, 0.2), (11, 0.4, 0.35)), outputs_of((14, 0.7, 0.6))
    for overlap, faces in ((0.2, 1), (0.3, 2)):
        finder_ = Own(Scripted(SPEC, beside, again), dataclasses.replace(LOOKING, overlap=overlap))
        assert len(finder_.detect(FRAME)) == faces


def test_own_refuses_what_is_no_frame():
    with pytest.raises(InputRejected, match="uint8"):
        Own(FakeEngine(), SPEC).detect(np.zeros((96, 128, 3), np.float32))


def test_a_bundle_without_a_finder_says_so():
    opened = bundle.load(TINY)
    assert opened.finder is None and opened.finder_model("litert", "int8") is None
    with pytest.raises(InputRejected, match="has no face finder of its own"):
        detectors.load("own", own=opened.finder_model("litert", "int8"))


def test_a_classifier_is_no_finder():
    model = FinderModel(TINY / "fp32.tflite", SPEC, "litert")
    with pytest.raises(InputRejected, match=r"a finder's outputs must be float32"):
        detectors.load("own", own=model)
    with pytest.raises(InputRejected, match=r"must be one float32 \(1, classes\)"):
        contract.check_graph(Path("x"), [("uint8", SPEC.input_shape)], [("float32", (1, CELLS, 1))] * 3)


@pytest.fixture
def with_finder(tmp_path) -> Path:
    """The tiny bundle with a finder section, of files that need not be models."""
    folder = Path(shutil.copytree(TINY, tmp_path / "bundle"))
    (folder / "finder").mkdir()
    (folder / "finder/int8.tflite").write_bytes(b"model")
    artifact = bundle.artifact(folder, "litert", "tflite", "int8", ["finder/int8.tflite"])
    section = bundle.BundledFinder(SPEC, (artifact,), {"calibration": {}})
    dataclasses.replace(bundle.load(TINY), finder=section).write_manifest(folder)
    bundle.seal(folder)
    return folder


def test_a_bundles_finder_is_what_was_written(with_finder):
    opened = bundle.load(with_finder)
    assert opened.finder.spec == SPEC and opened.finder.artifacts[0].bytes == 5
    chosen = opened.finder_model("onnxruntime", "fp32", 2)
    assert (chosen.engine, chosen.model.name, chosen.threads) == ("litert", "int8.tflite", 2), "the one there is"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda value: value["finder"].pop("data"), "finder: field 'data' is missing"),
        (lambda value: value["finder"]["artifacts"].clear(), "finder: it lists no artifact"),
        (lambda value: value["finder"]["artifacts"][0].update(precision="int4"), "precision 'int4' is not one of"),
        (lambda value: value["finder"]["artifacts"][0]["files"].update({"../x": "0"}), "path '../x' leaves the bundle"),
        (lambda value: value.update(finder="yes"), "finder: is not an object"),
    ],
)
def test_a_damaged_section_is_named(with_finder, change, told):
    path = with_finder / bundle.MANIFEST
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    bundle.seal(with_finder)
    with pytest.raises(InputRejected, match=told):
        bundle.load(with_finder)


def test_a_missing_spec_is_named(with_finder):
    (with_finder / bundle.FINDER).unlink()
    bundle.seal(with_finder)
    with pytest.raises(InputRejected, match=r"does not list finder/finder\.json"):
        bundle.load(with_finder)


def faces_at(*places: tuple[float, float]) -> Found:
    boxes = np.array([[x, y, x + 20, y + 20] for x, y in places], np.float32).reshape(-1, 4)
    points = np.stack([boxes[:, :2] + offset for offset in ((5, 5), (15, 5), (10, 10), (6, 15), (14, 15))], 1)
    return Found(np.full(len(boxes), 0.9, np.float32), boxes, points)


def test_parity_counts_what_is_lost_added_and_moved():
    was = [faces_at((0, 0), (50, 50)), faces_at((10, 10)), faces_at()]
    same = finder_parity.compare(was, was)
    assert (same.faces, same.found, same.extra, same.overlap, same.shift) == (3, 1, 0, 1, 0)
    assert finder_parity.problems(same) == []
    other = finder_parity.compare(was, [faces_at((1, 0)), faces_at((10, 10)), faces_at((70, 0))])
    assert (other.found, other.extra) == (2 / 3, 1 / 3) and other.shift == pytest.approx(0.05)
    told = finder_parity.problems(other)
    assert [part in told[i] for i, part in enumerate(["faces are found", "more faces"])] == [True, True]
    assert "no face" in finder_parity.problems(finder_parity.compare([faces_at()], [faces_at()]))[0]


def test_each_face_is_found_once():
    edges = faces_at((0, 0), (1, 1), (60, 60)).boxes
    assert finder.pairs(edges, edges[:1]).tolist() == [0, -1, -1]
    assert finder.pairs(edges[:0], edges).tolist() == [] and finder.pairs(edges, edges[:0]).tolist() == [-1, -1, -1]


def test_golden_faces_that_moved_are_told():
    was = finder_golden.rows([faces_at((0, 0)), faces_at((10, 10))])
    assert was.shape == (2, 16) and finder_golden.problems(was, was, "fp32") == []
    moved = finder_golden.rows([faces_at((0, 0)), faces_at((10.5, 10))])
    assert "0.5 pixels off" in finder_golden.problems(moved, was, "fp32")[0]
    assert finder_golden.problems(moved, was, "int8") == []
    assert "golden 1: 0 faces are found, 1 were" in finder_golden.problems(was[:1], was, "int8")[0]


def test_finding_a_face_needs_no_opencv():
    """The detector and all it imports, in an interpreter in which OpenCV cannot be imported."""
    code = "import sys; sys.modules['cv2'] = None; import edgefer.detectors.own, edgefer.loop, edgefer.classifier"
    subprocess.run([sys.executable, "-c", code], check=True)
