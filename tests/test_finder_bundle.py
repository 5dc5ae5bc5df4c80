"""The finder in the default bundle: every format, its evidence, golden vectors, and the command that uses it by default."""

import json
import shutil

import cv2
import numpy as np
import pytest

from edgefer import bundle, cli, detectors, finder, finder_golden
from edgefer.errors import PASS, InputRejected
from train.data import synthetic

NAMES = [(engine, precision) for engine in ("litert", "onnxruntime", "openvino") for precision in bundle.PRECISIONS]


@pytest.fixture(scope="module")
def opened(bundle_folder) -> bundle.Bundle:
    return bundle.load(bundle_folder)


@pytest.fixture(scope="module")
def scenes() -> tuple[np.ndarray, np.ndarray]:
    return synthetic.frames(12, 901)


def test_every_format_is_there_with_its_evidence(opened):
    assert sorted(a.name for a in opened.finder.artifacts) == [f"{engine}/{precision}" for engine, precision in NAMES]
    by_name = {a.name: a for a in opened.finder.artifacts}
    for engine, precision in NAMES:
        parity = by_name[f"{engine}/{precision}"].parity
        assert parity["max_difference"] <= parity["tolerance"] if precision == "fp32" else parity["found"] >= 0.97
    assert by_name["litert/int8"].bytes <= 400_000


@pytest.mark.parametrize(("engine", "precision"), NAMES)
def test_golden_vectors_replay_and_faces_are_found(opened, scenes, engine, precision):
    assert finder_golden.check(opened, engine, precision, 1) == []
    own = detectors.load("own", own=opened.finder_model(engine, precision))
    right = sum(
        any(finder.landmarks_off(face.landmarks, points) < 0.35 for face in own.detect(frame))
        for frame, points in zip(*scenes, strict=True)
    )
    assert right >= 10


def test_faces_found_elsewhere_do_not_replay(opened, bundle_folder, tmp_path):
    copy = shutil.copytree(bundle_folder, tmp_path / "bundle")
    path = copy / finder_golden.ARRAYS
    with np.load(path) as file:
        arrays = dict(file)
    arrays["faces_litert_int8"][:, 2:] += 3
    np.savez_compressed(path, **arrays)
    bundle.seal(copy)
    told = finder_golden.check(bundle.load(copy), "litert", "int8", 1)
    assert told and "pixels off" in told[0]
    arrays["squares"][0, 0, 0] ^= 1
    np.savez_compressed(path, **arrays)
    bundle.seal(copy)
    assert "other squares" in finder_golden.check(bundle.load(copy), "litert", "int8", 1)[0]
    path.write_bytes(b"no zip")
    bundle.seal(copy)
    with pytest.raises(InputRejected, match="is damaged"):
        finder_golden.check(bundle.load(copy), "litert", "int8", 1)


def test_the_command_uses_it_unless_told_otherwise(bundle_folder, scenes, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(detectors.VARIABLE, str(tmp_path / "a file that need not be there"))
    cv2.imwrite(str(tmp_path / "a.png"), scenes[0][0][..., ::-1])
    told = ["run", "--bundle", str(bundle_folder), "--source", str(tmp_path / "a.png")]
    assert cli.main(told) == PASS
    out = capsys.readouterr()
    (face,) = json.loads(out.out.splitlines()[0])["faces"]
    x, y, w, h = face["box"]
    points = scenes[1][0]
    assert "faces by own" in out.err and (points > [x, y]).all() and (points < [x + w, y + h]).all()
    assert cli.main([*told, "--detector", "haar"]) == PASS
    assert "faces by haar" in capsys.readouterr().err
