"""Golden vectors: they replay on every engine, and any change beyond the tolerance is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle, golden
from edgefer.errors import InputRejected, UsageError

TINY = Path(__file__).parent / "data" / "tiny"
ARTIFACTS = [(artifact.engine, artifact.precision) for artifact in bundle.load(TINY).artifacts]


@pytest.fixture
def copy(tmp_path) -> bundle.Bundle:
    return bundle.load(shutil.copytree(TINY, tmp_path / "bundle"))


def rewrite(loaded: bundle.Bundle, **changes) -> None:
    """Store other arrays; None takes one away."""
    with np.load(loaded.folder / golden.ARRAYS, allow_pickle=False) as file:
        arrays = {**{name: file[name] for name in file}, **changes}
    np.savez(loaded.folder / golden.ARRAYS, **{name: array for name, array in arrays.items() if array is not None})


def stored(name: str) -> np.ndarray:
    with np.load(TINY / golden.ARRAYS, allow_pickle=False) as file:
        return file[name]


@pytest.mark.parametrize("engine, precision", ARTIFACTS)
def test_every_artifact_replays(engine, precision):
    pytest.importorskip({"litert": "ai_edge_litert"}.get(engine, engine), reason=f"needs edgefer[{engine}]")
    assert golden.check(bundle.load(TINY), engine, precision, threads=1) == []


def test_the_tiny_network_tells_crops_apart():
    assert len(set(stored("probabilities_fp32").argmax(1))) >= 2


@pytest.mark.parametrize("engine, precision", [("litert", "fp32"), ("litert", "int8")])
def test_other_probabilities_are_told(copy, engine, precision):
    name = "probabilities_fp32" if precision == "fp32" else f"probabilities_{engine}_{precision}"
    beyond = 2 * (golden.FP32_TOLERANCE if precision == "fp32" else golden.INT8_TOLERANCE)
    rewrite(copy, **{name: stored(name) + np.float32(beyond)})
    told = golden.check(copy, engine, precision, 1)
    assert len(told) == 4 and "probabilities differ" in told[0]


def test_another_crop_is_told(copy):
    frames = stored("frames").copy()
    frames[2] = 255 - frames[2]
    rewrite(copy, frames=frames)
    (told,) = golden.check(copy, "litert", "fp32", 1)
    assert told.startswith("golden 2: the crop differs")


def test_two_grey_levels_are_allowed_and_three_are_not():
    crops = np.full((1, 4, 4, 1), 100, np.uint8)
    assert golden.crop_problems(crops + np.uint8(2), crops) == []
    assert golden.crop_problems(crops - np.uint8(3), crops)


def test_nan_is_a_problem():
    expected = np.full((1, 4), 0.25, np.float32)
    assert golden.output_problems(np.full((1, 4), np.nan, np.float32), expected, "fp32")


def test_int8_must_keep_the_label_even_within_tolerance():
    expected = np.array([[0.501, 0.499]], np.float32)
    found = expected[:, ::-1]
    assert "label" in golden.output_problems(found, expected, "int8")[0]
    assert golden.output_problems(expected, expected, "int8") == []


def test_writing_again_gives_the_same_bytes(copy):
    names = {(e, p): stored(f"probabilities_{e}_{p}") for e, p in ARTIFACTS}
    written = []
    for _ in range(2):
        golden.write(copy.folder, copy.spec, stored("frames"), stored("landmarks"), names)
        written.append([(copy.folder / name).read_bytes() for name in (golden.ARRAYS, golden.WORDS)])
    assert written[0] == written[1]
    # Another Python may pack the same arrays in other bytes.
    with np.load(copy.folder / golden.ARRAYS, allow_pickle=False) as file:
        with np.load(TINY / golden.ARRAYS, allow_pickle=False) as wanted:
            assert file.files == wanted.files
        assert all(np.array_equal(file[name], stored(name)) and file[name].dtype == stored(name).dtype for name in file)
    assert written[0][1] == (TINY / golden.WORDS).read_bytes()


def test_missing_vectors(copy):
    (copy.folder / golden.ARRAYS).unlink()
    with pytest.raises(InputRejected, match="is missing"):
        golden.check(copy, "litert", "fp32", 1)


@pytest.mark.parametrize("content", [b"", b"nonsense", (TINY / golden.ARRAYS).read_bytes()[:500]])
def test_damaged_vectors(copy, content):
    (copy.folder / golden.ARRAYS).write_bytes(content)
    with pytest.raises(InputRejected, match="is damaged"):
        golden.check(copy, "litert", "fp32", 1)


def test_pickles_are_refused(copy):
    rewrite(copy, frames=np.array([{"a": 1}], object))
    with pytest.raises(InputRejected, match="is damaged"):
        golden.check(copy, "litert", "fp32", 1)


def test_a_missing_array_and_an_unknown_artifact(copy):
    rewrite(copy, probabilities_litert_int8=None)
    with pytest.raises(InputRejected, match=r"no array.*litert/int8"):
        golden.check(copy, "litert", "int8", 1)
    with pytest.raises(UsageError, match="unknown artifact"):
        golden.check(copy, "litert", "int4", 1)


def test_vectors_of_another_model(copy):
    rewrite(copy, crops=np.zeros((4, 20, 20, 1), np.uint8))
    with pytest.raises(InputRejected, match="not made for this model"):
        golden.check(copy, "litert", "fp32", 1)
