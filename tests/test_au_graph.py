"""The Action-Unit graph: its neighbours, the loss term, the files vectors come in, and the picture."""

import math

import cv2
import numpy as np
import pytest
import torch

from edgefer.errors import InputRejected, UsageError
from train import au_graph
from train.au_graph import Options, build, neighbour_term
from train.data import action_units

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""Whose intensities OpenFace writes."""


def exact(vectors: np.ndarray, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances and rows (N, k) of the true nearest others."""
    points = torch.from_numpy(vectors).double()
    return torch.cdist(points, points).fill_diagonal_(torch.inf).topk(k, largest=False)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Like OpenFace's of 1500 faces: mostly at rest, some units up to 5."""
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(0, 1.5, (1500, 17)), 0, 5).astype(np.float32)


class TestGraph:
    def test_finds_the_true_neighbours(self, vectors):
        graph = build(vectors, Options(neighbours=10))
        distances, rows = exact(vectors, 10)
        found = [len(set(a) & set(b)) for a, b in zip(graph.rows.tolist(), rows.tolist(), strict=True)]
        assert sum(found) / rows.numel() > 0.99
        same = graph.rows == rows
        assert torch.allclose(graph.weights[same], torch.exp(-distances)[same].float(), rtol=1e-4)

    def test_nobody_is_their_own_neighbour(self, vectors):
        graph = build(vectors, Options(neighbours=5))
        assert not (graph.rows == torch.arange(len(vectors))[:, None]).any()
        assert (graph.weights > 0).all() and (graph.weights.diff(dim=1) <= 0).all(), "nearest first"

    def test_faces_that_look_alike_are_not_their_own_neighbours_either(self):
        graph = build(np.zeros((50, 17), np.float32), Options(neighbours=4))
        assert not ((graph.rows == torch.arange(50)[:, None]) & (graph.weights > 0)).any()
        assert set(graph.weights.unique().tolist()) <= {0.0, 1.0}

    def test_sigma_sets_how_fast_weights_fall(self, vectors):
        near, far = (build(vectors[:200], Options(neighbours=3, sigma=sigma)) for sigma in (1.0, 2.0))
        assert torch.equal(near.rows, far.rows)
        assert torch.allclose(near.weights, far.weights**4, rtol=1e-4)  # exp(−d) = exp(−d / 4)⁴

    def test_same_vectors_same_graph(self, vectors):
        first, second = build(vectors), build(vectors)
        assert torch.equal(first.rows, second.rows) and torch.equal(first.weights, second.weights)

    def test_faces_without_a_vector_stand_alone(self, vectors):
        holes = vectors[:300].copy()
        holes[::3] = np.nan
        graph = build(holes, Options(neighbours=4))
        assert not graph.weights[::3].any()
        assert (graph.rows[::3] == torch.arange(0, 300, 3)[:, None]).all()
        others = torch.ones(300, dtype=torch.bool)
        others[::3] = False
        assert (graph.rows[others] % 3 != 0).all() and (graph.weights[others] > 0).all()

    def test_neighbours_of_a_batch(self, vectors):
        graph = build(vectors, Options(neighbours=6))
        rows, weights = graph.neighbours(torch.tensor([7, 0, 7]))
        assert rows.dtype == torch.int64 and weights.dtype == torch.float32
        assert rows.shape == weights.shape == (3, 6)
        assert torch.equal(rows, graph.rows[[7, 0, 7]]) and torch.equal(weights, graph.weights[[7, 0, 7]])
        assert torch.equal(graph.neighbours(np.array([7, 0, 7]))[0], rows)

    def test_too_few_faces(self, vectors):
        with pytest.raises(InputRejected, match=r"5 faces have Action Units.*8 neighbours"):
            build(vectors[:5])

    @pytest.mark.parametrize("wrong", [{"neighbours": 0}, {"sigma": 0}, {"factor": -1}])
    def test_options_that_make_no_sense(self, wrong):
        with pytest.raises(UsageError, match="neighbours ≥ 1, sigma > 0"):
            Options(**wrong)


class TestTerm:
    def test_value_by_hand(self):
        logits = torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
        neighbours = (
            torch.tensor([[[0.5, 0.5], [0.25, 0.75]], [[0.1, 0.9], [0.5, 0.5]]]).log() + 3
        )  # softmax ignores the 3
        weights = torch.tensor([[0.5, 1.0], [2.0, 1.0]])
        first = 0.5 * (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
        second = 2.0 * (0.1 * math.log(0.1 / 0.5) + 0.9 * math.log(0.9 / 0.5))
        assert float(neighbour_term(logits, neighbours, weights)) == pytest.approx((first + second) / 2, rel=1e-5)

    def test_gradient_of_both(self):
        torch.manual_seed(0)
        logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
        neighbours = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
        weights = torch.rand(3, 4, dtype=torch.float64)
        neighbour_term(logits, neighbours, weights).backward()
        # d KL(q ‖ softmax z) / dz = softmax z − q
        expected = (weights[..., None] * (logits.softmax(-1)[:, None] - neighbours.softmax(-1))).sum(1) / 3
        assert torch.allclose(logits.grad, expected)
        assert neighbours.grad.abs().amax(-1).min() > 0
        assert torch.autograd.gradcheck(neighbour_term, (logits, neighbours, weights.requires_grad_()))

    def test_nothing_to_pull_where_all_agree_or_nobody_is_near(self):
        logits = torch.randn(4, 8)
        alike = logits[:, None].expand(-1, 3, -1)
        assert float(neighbour_term(logits, alike, torch.ones(4, 3))) == pytest.approx(0, abs=1e-6)
        assert float(neighbour_term(logits, torch.randn(4, 3, 8), torch.zeros(4, 3))) == 0

    def test_a_batch_twice_over_counts_the_same(self):
        torch.manual_seed(1)
        parts = torch.randn(4, 8), torch.randn(4, 3, 8), torch.rand(4, 3)
        assert torch.allclose(neighbour_term(*parts), neighbour_term(*(torch.cat([part, part]) for part in parts)))


def openface_file(path, rows: list[dict], spaces: bool = True):
    """A CSV as OpenFace writes it: gaze first, intensities, then presences; titles after ", " in its older versions."""
    separator = ", " if spaces else ","
    units = [f"AU{unit:02}_r" for unit in UNITS] + [f"AU{unit:02}_c" for unit in (*UNITS[:-1], 28, 45)]
    titles = [*rows[0], "gaze_0_x", *units]
    lines = [separator.join(titles)]
    for number, row in enumerate(rows):
        shown = [f"{number + unit / 100:.2f}" for unit in UNITS] + ["1.00"] * 18
        lines.append(separator.join([*map(str, row.values()), "-0.05", *shown]))
    path.write_text("\n".join(lines) + "\n")
    return path


class TestOpenFace:
    def test_a_folder_with_one_file_an_image(self, tmp_path):
        openface_file(tmp_path / "b.csv", [{"face": 0, "confidence": 0.9}])
        openface_file(
            tmp_path / "a.csv", [{"face": 0, "confidence": 0.4}, {"face": 1, "confidence": 0.8}], spaces=False
        )
        names, vectors = action_units.read_openface(tmp_path)
        assert names == ("a", "b")
        assert vectors.dtype == np.float32 and vectors.shape == (2, 17)
        at_rest = np.array(UNITS, np.float32) / 100
        assert np.allclose(vectors, [1 + at_rest, at_rest]), "the more confident face of a is its second"

    @pytest.mark.parametrize("title", ["name", "filename"])
    def test_one_file_with_names(self, tmp_path, title):
        rows = [{title: f"{i}.png", "confidence": 0.9, "success": int(i != 1)} for i in range(3)]
        names, vectors = action_units.read_openface(openface_file(tmp_path / "all.csv", rows))
        assert names == ("0.png", "2.png"), "OpenFace failed on the middle one"
        assert np.allclose(vectors[:, 0], [0.01, 2.01])
        assert action_units.read(tmp_path / "all.csv")[0] == names

    def test_the_order_of_columns_does_not_matter(self, tmp_path):
        (tmp_path / "x.csv").write_text("AU12_r, name, AU01_r, AU45_r\n3, a.png, 1, 5\n")
        assert action_units.read_openface(tmp_path / "x.csv")[1].tolist() == [[1, 3, 5]]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "is empty"),
            ("name, x\na, 1\n", "no columns AU01_r"),
            ("frame, AU01_r\n1, 2\n", "no column name or filename"),
            ("name, AU01_r\na, high\n", "line 2: 'high' is no finite number"),
            ("name, AU01_r\na, 1\nb, nan\n", "line 3: 'nan' is no finite number"),
            ("name, AU01_r\na\n", "line 2: 1 fields where the first line has 2"),
            ("name, success, AU01_r\na, 0, 1\n", "no face that OpenFace succeeded on"),
            ("name, AU01_r\na, \0\n", "is not a CSV file|no finite number"),
        ],
    )
    def test_bad_files(self, tmp_path, text, told):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(InputRejected, match=told):
            action_units.read_openface(tmp_path / "bad.csv")

    def test_bad_folders(self, tmp_path):
        with pytest.raises(InputRejected, match="holds no CSV file"):
            action_units.read(tmp_path)
        with pytest.raises(InputRejected, match="cannot be read"):
            action_units.read(tmp_path / "none.csv")
        (tmp_path / "a.csv").write_text("face, AU01_r\n0, 1\n")
        (tmp_path / "b.csv").write_text("face, AU02_r\n0, 1\n")
        with pytest.raises(InputRejected, match=r"b\.csv has other Action Units than a\.csv"):
            action_units.read(tmp_path)


class TestNumbers:
    @pytest.mark.parametrize("titles", ["", "image,u1,u2\n"])
    def test_any_vectors(self, tmp_path, titles):
        (tmp_path / "v.csv").write_text(f"{titles}a.png,1,-2.5\nb.png,0,4e1\n")
        names, vectors = action_units.read(tmp_path / "v.csv")
        assert names == ("a.png", "b.png") and vectors.dtype == np.float32
        assert vectors.tolist() == [[1, -2.5], [0, 40]]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a,1,2\nb,1\n", "line 2: 2 fields where a name and 2 numbers belong"),
            ("a,1\nb,x\n", "line 2: 'x' is no finite number"),
            ("a,1\na,2\n", "line 2: 'a' comes twice"),
            ("name,u\n", "holds no vectors"),
        ],
    )
    def test_bad_files(self, tmp_path, text, told):
        (tmp_path / "v.csv").write_text(text)
        with pytest.raises(InputRejected, match=told):
            action_units.read(tmp_path / "v.csv")

    def test_matched_to_a_data_sets_names(self):
        vectors = np.array([[1, 2], [3, 4]], np.float32)
        found = action_units.matched(("b.jpg", "x/a"), vectors, ("a.png", "c.png", "train/b.png"))
        assert found.dtype == np.float32
        assert np.array_equal(found, [[3, 4], [np.nan, np.nan], [1, 2]], equal_nan=True)
        with pytest.raises(InputRejected, match=r"none of the 1 images, such as 'z\.png'.*'b\.jpg'"):
            action_units.matched(("b.jpg", "a"), vectors, ("z.png",))

    def test_names_that_repeat_in_other_folders(self):
        vectors = np.array([[1], [2]], np.float32)
        names = ("happy/1.png", "sad/1.png")
        twice = action_units.matched(names, vectors, ("sad/1.png", "happy/1.png", "sad/1.png"))
        assert twice.ravel().tolist() == [2, 1, 2]
        for known, wanted in ((names, ("1.png",)), (("1", "2"), names)):
            with pytest.raises(InputRejected, match="name both with their folders"):
                action_units.matched(known, vectors, wanted)


class TestPicture:
    def test_of_synthetic_faces(self, program, tmp_path):
        picture = tmp_path / "new" / "au.png"
        done = program("train.au_graph", "--vectors", "synthetic", "--faces", "64", "--picture", picture)
        assert done.returncode == 0, done.stderr
        assert "64 faces, 18 Action Units, 8 labels" in done.stdout
        assert [p.name for p in (tmp_path / "new").iterdir()] == ["au.png"]
        picture = cv2.imread(str(tmp_path / "new" / "au.png"))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 8, "a colour for each label"

    def test_of_the_images_that_have_a_label(self, tmp_path):
        (tmp_path / "v.csv").write_text("".join(f"{i}.png,{i},{i * i % 7}\n" for i in range(9)))
        (tmp_path / "l.csv").write_text("".join(f"{i}, {'anger' if i % 2 else 'fear'}\n" for i in range(6)))
        vectors, labels = au_graph._labelled(str(tmp_path / "v.csv"), tmp_path / "l.csv", 0)
        assert vectors[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert labels == ["fear", "anger"] * 3
        with pytest.raises(UsageError, match="--labels"):
            au_graph._labelled(str(tmp_path / "v.csv"), None, 0)
        (tmp_path / "l.csv").write_text("other,anger\n")
        with pytest.raises(InputRejected, match=r"no label for any of the 9 images.*'0\.png'"):
            au_graph._labelled(str(tmp_path / "v.csv"), tmp_path / "l.csv", 0)

    def test_that_cannot_be_drawn(self, tmp_path):
        with pytest.raises(InputRejected, match="at least 4"):
            au_graph.draw(np.zeros((3, 2), np.float32), ["fear"] * 3, tmp_path / "au.png")
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="cannot be written"):
            au_graph.draw(np.random.default_rng(0).random((8, 2)), ["fear"] * 8, tmp_path / "file" / "au.png")
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
