"""Training the finder: data and its fixed parts, composed frames, targets and loss, a run that resumes, what is shipped."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgefer import finder as finding
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.finder_spec import OUTPUTS
from train.data import finder, synthetic
from train.finder import (
    checkpoint,
    cutouts,
    duplicates,
    evaluate,
    judge,
    learner,
    network,
    people,
    recipe,
    torch_detector,
    tune,
)
from train.finder.compose import FLIPPED, compose
from train.finder.data import Frames
from train.finder.graph import outputs
from train.finder.loss import FinderLoss

LANDMARKS = np.array([[35, 40], [65, 40], [50, 60], [38, 75], [62, 75]], np.float32)


@pytest.fixture(scope="module")
def faces() -> list[cutouts.Cutout]:
    """Pasted faces: a grey disc with its box and landmarks, and drawn ones."""
    image = np.full((110, 100), 90, np.uint8)
    cv2.circle(image, (50, 55), 40, 200, -1)
    disc = cutouts.cutout(image, [15, 10, 70, 90], LANDMARKS)
    return [disc, *cutouts.drawn(3, [disc])]


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [np.random.default_rng(1).integers(0, 256, (120, 180), dtype=np.uint8)]


@pytest.fixture(scope="session")
def small_photos(tmp_path_factory):
    """The photographs' layout with drawn pictures: 32 photographs, 16 scenes, 2 pictures of people."""
    root = tmp_path_factory.mktemp("photos") / "finder"
    known = [cutouts.cutout(np.zeros((110, 100), np.uint8), [15, 10, 70, 90], LANDMARKS)]
    drawn = cutouts.drawn(34, known)
    for kind, chosen in (("photos", drawn[:32]), ("people", drawn[32:])):
        (root / kind).mkdir(parents=True)
        with (root / f"{kind}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "score", "x", "y", "w", "h", *range(10)])
            for i, face in enumerate(chosen):
                cv2.imwrite(str(root / kind / f"{i:05d}.png"), face.levels[0])
                writer.writerow([f"{i:05d}.png", 0.9, *face.box.tolist(), *face.landmarks.ravel().tolist()])
    (root / "scenes").mkdir()
    for i in range(16):
        noise = np.random.default_rng(i).integers(0, 256, (12, 16), dtype=np.uint8)
        cv2.imwrite(str(root / "scenes" / f"{i:03d}.png"), cv2.resize(noise, (320, 240)))
    return root.parent


def test_parts_are_fixed_and_apart():
    photos = [finder.part("photos", f"{i:05d}.jpg") for i in range(4000)]
    assert [photos.count(part) for part in finder.PARTS] == [3250, 250, 500]
    scenes = [finder.part("scenes", f"{i:03d}.jpg") for i in range(291)]
    assert scenes.count("test") >= 60 and scenes.count("tune") >= 30
    assert {finder.part("people", f"{i:03d}.jpg") for i in range(60)} == {"test"}


def test_pictures_are_read_with_their_faces(small_photos):
    (first, *_) = found = finder.load("photos", ("test",), small_photos)
    assert [p.name for p in found] == ["00007.png", "00015.png", "00023.png", "00031.png"]
    assert first.image.ndim == 3 and first.boxes.shape == (1, 4) and first.landmarks.shape == (1, 5, 2)
    assert all(not len(p.boxes) for p in finder.load("scenes", data=small_photos))


def test_missing_data_say_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEFER_DATA", str(tmp_path))
    with pytest.raises(EnvironmentInvalid, match="photographs was not found"):
        finder.load("photos")
    (tmp_path / "finder" / "scenes").mkdir(parents=True)
    (tmp_path / "finder" / "photos.csv").write_text("image,score\n00000.jpg,0.9\n")
    with pytest.raises(EnvironmentInvalid, match="people are not"):
        finder.load("people")
    (tmp_path / "finder" / "photos").mkdir()
    with pytest.raises(InputRejected, match=r"photos.csv: line 2 is not an image's name and fifteen numbers"):
        finder.load("photos")


def test_frames_are_the_same_for_the_same_seed(faces, scenes):
    one, two, other = (Frames(faces, scenes, 96, 4, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(one[3], two[3], strict=True))
    assert not np.array_equal(one[3][0], other[3][0])


def test_faces_of_a_frame_lie_in_it_with_their_landmarks(faces, scenes):
    seen = 0
    for i in range(60):
        image, boxes, landmarks = compose(np.random.default_rng(i), faces, scenes, 128)
        assert image.shape == (128, 128) and image.dtype == np.uint8
        for box, points in zip(boxes, landmarks, strict=True):
            middle = box[:2] + box[2:] / 2
            assert (middle > -1).all() and (middle < 129).all() and box[3] >= 9
            inside = (points > box[:2] - 0.25 * box[2:]) & (points < box[:2] + 1.25 * box[2:])
            assert inside.all(), "landmarks belong to their box"
            assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0], "mirrored faces keep their order"
            seen += 1
    assert seen > 30 and FLIPPED == [1, 0, 2, 4, 3]


def test_people_are_drawn_about_faces_and_without_them(scenes):
    """Everything changes the picture where it should, stays in range, and may lie at an edge or outside."""
    plain = np.full((96, 128), 128, np.float32)
    for draw in (people.body, people.hair, people.hat, people.cover):
        for seed, box in enumerate(([50, 30, 24, 30], [-8, -10, 24, 30], [120, 85, 24, 30])):
            image = plain.copy()
            draw(np.random.default_rng(seed), image, np.array(box, float), scenes)
            assert image.min() >= 0 and image.max() <= 255 and (seed or (image != plain).any())
    image = plain.copy()
    people.hat(np.random.default_rng(0), image, np.array([50, 30, 24, 30], float), scenes)
    assert (image[48:] == 128).all(), "a hat leaves the lower part of the face"
    for seed in range(20):
        people.figure(np.random.default_rng(seed), image, scenes)
    assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 255


def test_photographs_like_those_judged_on_are_left_out(small_photos):
    photos = finder.load("photos", ("train",), small_photos, gray=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)
    assert duplicates.without(photos, [noise]) == photos and duplicates.without(photos, []) == photos
    other = np.clip(0.8 * photos[2].image[:, ::-1].astype(float) + 20, 0, 255).astype(np.uint8)
    kept = {photo.name for photo in duplicates.without(photos, [noise, other])}
    assert photos[2].name not in kept
    assert len(duplicates.kept_apart(small_photos)) == 6


def test_a_grown_network_begins_with_what_the_smaller_one_knows(tmp_path):
    torch.manual_seed(0)
    small, large = (
        network.FaceFinder(widths=(4, 8, 8, wide), depths=(0, 1, 1, 1), heads=(1, 1, 1)).eval() for wide in (8, 12)
    )
    checkpoint.save(tmp_path, small, learner.spec_of(recipe.Recipe(widths=[4, 8, 8, 8], depths=[0, 1, 1, 1])))
    assert checkpoint.begin(large, tmp_path) > 0.9 * len(small.state_dict())
    x = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(small(x), large(x), strict=True))
    with pytest.raises(InputRejected, match="is missing"):
        checkpoint.begin(large, tmp_path / "nowhere")


def test_network_has_the_shapes_it_says():
    spec = learner.spec_of(recipe.Recipe())
    made = network.FaceFinder(**spec.options).eval()
    assert sum(p.numel() for p in made.parameters()) <= 300_000
    with torch.no_grad():
        found = made(torch.zeros(2, 1, 192, 192))
    assert [tuple(part.shape) for part in found] == [(2, spec.cells, width) for width in OUTPUTS.values()]


def test_perfect_outputs_cost_nothing_and_decode_to_the_faces():
    """Targets → outputs that meet them → loss near 0, and ``decode`` gives the faces back: training and device agree."""
    size, loss = 96, FinderLoss(96)
    boxes = torch.tensor([[[10.0, 12, 22, 26], [30, 20, 50, 64]]])
    landmarks = torch.rand(1, 2, 5, 2, generator=torch.Generator().manual_seed(0)) * 20 + boxes[:, :, None, :2]
    targets = loss.targets(boxes, landmarks, torch.ones(1, 2, dtype=torch.bool))
    assert targets.positive.any() and not (targets.positive & targets.ignored).any()
    centres, _, units = network.cells(size)
    away = torch.cat([centres - targets.boxes[0, :, :2], targets.boxes[0, :, 2:] - centres], 1) / units[:, None]
    offsets = (targets.landmarks[0] - centres.repeat(1, 5)) / units[:, None]
    scores = torch.where(targets.positive, 12.0, -12.0)
    losses = loss((scores[..., None], away[None], offsets[None]), targets)
    assert float(losses.total) < 1e-3
    spec = dataclasses.replace(learner.spec_of(recipe.Recipe()), input_size=size)
    arrays = (scores.sigmoid()[..., None], away[None], offsets[None])
    found = finding.decode({k: a.numpy() for k, a in zip(OUTPUTS, arrays, strict=True)}, spec)
    wanted = torch.cat([boxes[0, :, :2], boxes[0, :, :2] + boxes[0, :, 2:]], 1).numpy()
    rows = finding.pairs(found.boxes, wanted, 0.99)
    assert sorted(rows.tolist()) == [0, 1]
    assert all(
        finding.landmarks_off(p, landmarks[0, r].numpy()) < 1e-3 for p, r in zip(found.landmarks, rows, strict=True)
    )


def test_faces_go_to_the_levels_of_their_sizes():
    loss = FinderLoss(96)
    _, strides, _ = network.cells(96)
    for side, found_at in ((12.0, {4}), (21.0, {4, 8}), (30.0, {8}), (42.0, {8, 16}), (80.0, {16})):
        box = torch.tensor([[[48 - side / 2, 48 - side / 2, side, side]]])
        targets = loss.targets(box, torch.zeros(1, 1, 5, 2), torch.tensor([[True]]))
        assert set(strides[targets.positive[0]].tolist()) == found_at


def test_a_wrong_box_costs_more_than_a_right_one():
    loss = FinderLoss(96)
    boxes, landmarks = torch.tensor([[[20.0, 20, 30, 40]]]), torch.full((1, 1, 5, 2), 30.0)
    targets = loss.targets(boxes, landmarks, torch.tensor([[True]]))
    cells = targets.positive.shape[1]
    wrong = loss((torch.full((1, cells, 1), -4.0), torch.full((1, cells, 4), 0.1), torch.zeros(1, cells, 10)), targets)
    assert float(wrong.box) > 0.5 and float(wrong.score) > 0.001
    none = loss.targets(boxes, landmarks, torch.tensor([[False]]))
    assert not none.positive.any() and not none.ignored.any()


def test_the_shipped_recipe_is_one_and_overrides_are_checked():
    chosen = recipe.load("finder")
    assert recipe.load("finder", ["epochs=2", "last_epochs=1"]).epochs == 2
    assert chosen.size_at(0) == chosen.first_size and chosen.size_at(chosen.epochs - 1) == chosen.input_size
    assert chosen.rate_at(0) < chosen.rate_at(chosen.warmup) == 1.0 > chosen.rate_at(chosen.epochs * 250 - 1) == 0.01
    with pytest.raises(InputRejected, match="unknown field 'size'"):
        recipe.load("finder", ["size=3"])
    with pytest.raises(UsageError, match="multiple of 16"):
        recipe.load("finder", ["input_size=100"])
    with pytest.raises(UsageError, match="unknown recipe 'big'"):
        recipe.load("big")


def test_a_run_trains_resumes_and_gives_a_checkpoint(small_photos, tmp_path, monkeypatch):
    from train.finder import __main__ as program

    out = tmp_path / "run"
    small = ["first_size=32", "input_size=48", "frames=8", "batch_size=4", "synthetic=2", "workers=0", "warmup=1"]

    def run(epochs: int) -> None:
        sets = [f"--set={item}" for item in (*small, f"epochs={epochs}", "last_epochs=1")]
        monkeypatch.setattr("sys.argv", ["train.finder", "--data", str(small_photos), "--out", str(out), *sets])
        assert program.main() == 0

    monkeypatch.setattr("train.finder.data.TUNE_FRAMES", 6)
    run(2)
    run(3)
    made, spec = checkpoint.load(out / "checkpoint")
    assert spec.input_size == 48 and spec.training["frames"] == 24 and not made.training
    lines = (out / "checkpoint" / "curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2"], (
        "the second run went on where the first ended"
    )
    with pytest.raises(InputRejected, match="another recipe or seed"):
        small[3] = "batch_size=8"
        run(3)


def test_threshold_is_the_lowest_with_so_many_false_faces():
    assert tune.chosen(np.array([0.405, 0.3]), 0) == pytest.approx(0.41)
    assert tune.chosen(np.array([0.405, 0.3]), 1) == pytest.approx(0.31)
    assert tune.chosen(np.empty(0), 0) == tune.LEAST
    assert tune.chosen(np.full(50, 0.99), 1) == tune.STEPS[-1]


def test_the_command_chooses_thresholds(small_photos, tmp_path, monkeypatch, capsys):
    copy = Path(shutil.copytree(checkpoint.SHIPPED, tmp_path / "finder"))
    monkeypatch.setattr("sys.argv", ["tune", "--checkpoint", str(copy), "--data", str(small_photos)])
    assert tune.main() == 0
    spec = checkpoint.load(copy)[1]
    assert tune.LEAST <= spec.doubt <= spec.threshold and spec.confirm >= tune.LEAST
    assert f"threshold {spec.threshold:.2f}, at the second look {spec.confirm:.2f}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def shipped_finder():
    return torch_detector.load(checkpoint.SHIPPED)


def test_the_shipped_finder_finds_drawn_faces(shipped_finder):
    """On synthetic frames it has not seen: nearly all, where they are, and nothing where nothing is."""
    frames, landmarks = synthetic.frames(40, 900)
    right = 0
    for frame, points in zip(frames, landmarks, strict=True):
        faces = shipped_finder.detect(frame)
        right += any(finding.landmarks_off(face.landmarks, points) < 0.35 for face in faces)
    assert right >= 34
    assert shipped_finder.detect(np.full((480, 640, 3), 90, np.uint8)) == []


def test_the_shipped_finder_is_small(shipped_finder):
    spec = shipped_finder.spec
    assert (checkpoint.SHIPPED / "weights.safetensors").stat().st_size < 700_000
    assert spec.training["data"] and "YuNet" in spec.licence and 128 <= spec.input_size <= 192


def test_batches_say_what_single_squares_say(shipped_finder):
    size = shipped_finder.spec.input_size
    squares = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    network_, spec = checkpoint.load(checkpoint.SHIPPED)
    together, alone = outputs(network_, spec, squares), shipped_finder.outputs(squares[1])
    assert all(np.abs(together[1][name] - alone[name]).max() < 1e-4 for name in OUTPUTS)


class Fixed:
    """A detector that finds what it is told."""

    name = "fixed"

    def __init__(self, *faces):
        self.faces = list(faces)

    def detect(self, _frame):
        return self.faces


def test_judging_counts_found_missed_false_and_small():
    from edgefer.faces import Face

    big, small = [20, 20, 30, 40], [70, 70, 8, 9]
    picture = finder.Picture("x", np.zeros((100, 100, 3), np.uint8), np.array([big, small]), np.stack([LANDMARKS] * 2))
    figures = judge.on_faces(Fixed(Face((21, 20, 30, 40), 0.9, "x", LANDMARKS + [3, 0])), [picture])
    assert figures["found"]["hits"] == 1 and figures["found"]["n"] == 2 and figures["false"] == 0
    assert figures["landmarks"]["median"] == pytest.approx(0.1)
    figures = judge.on_faces(Fixed(Face((60, 0, 30, 40), 0.9, "x", LANDMARKS)), [picture], 1 / 8)
    assert (figures["found"]["hits"], figures["found"]["n"], figures["false"]) == (0, 1, 1)
    scenes = judge.on_scenes(Fixed(Face((0, 0, 9, 9), 1, "x")), [picture] * 4)
    assert scenes["false_per_50"] == 50


def test_the_command_judges_a_checkpoint(small_photos, tmp_path, monkeypatch, capsys):
    file = tmp_path / "figures.json"
    told = ["--checkpoint", str(checkpoint.SHIPPED), "--data", str(small_photos), "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["evaluate", *told])
    assert evaluate.main() == 0
    figures = json.loads(file.read_text())["figures"]["own"]
    assert figures["photos"]["found"]["n"] == 4 and figures["scenes"]["pictures"] == 4
    assert "photographs" in capsys.readouterr().out
