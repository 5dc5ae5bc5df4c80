"""``edgefer run``: one behaviour on every engine, lines as promised, and each fault one sentence with its exit code."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer import __version__, bundle, engines
from edgefer.cli import main

TINY = Path(__file__).parent / "data" / "tiny"
REAL = [name for name, row in engines.ENGINES.items() if row.packages]


@pytest.fixture(autouse=True)
def no_yunet(monkeypatch):
    """What a test's user has configured does not change these tests."""
    monkeypatch.delenv("EDGEFER_YUNET", raising=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three pictures, written out of order, and a file that is no picture."""
    path = tmp_path / "pictures"
    path.mkdir()
    for name, seed in (("b.png", 1), ("a.jpg", 0), ("c.bmp", 2)):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
        cv2.imwrite(str(path / name), cv2.resize(coarse, (60, 50)))
    (path / "labels.csv").write_text("a.jpg,happiness\n")
    return path


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 48), rate: float = 25) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
    for i in range(frames):
        coarse = np.random.default_rng(i).integers(0, 256, (5, 5, 3), np.uint8)
        writer.write(cv2.resize(coarse, size))
    writer.release()
    return path


def run(*args, source, folder=TINY, detector="none") -> int:
    detected = ["--detector", detector] if detector else []
    return main(["run", "--bundle", str(folder), "--source", str(source), *detected, *map(str, args)])


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def failed(capsys, code: int, *args, **options) -> str:
    """Run, expect this exit code and nothing but notes and one sentence of error; return the sentence."""
    assert run(*args, **options) == code
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in told.err
    return errors[0]


@pytest.mark.parametrize("precision", bundle.PRECISIONS)
@pytest.mark.parametrize("engine", REAL)
def test_a_folder_on_every_engine(engine, precision, folder, capfd):
    assert run("--engine", engine, "--precision", precision, source=folder) == 0
    told = capfd.readouterr()
    found = lines(told.out)
    assert [Path(line["source"]).name for line in found] == ["a.jpg", "b.png", "c.bmp"]
    assert [line["frame"] for line in found] == [0, 1, 2]
    for line in found:
        (face,) = line["faces"]
        assert face["track"] is None and face["box"] == [0, 0, 60, 50] and line["dropped"] == 0
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert f"{engine} {precision}" in told.err and "3 frames, 3 faces" in told.err


def test_engines_say_the_same(folder, tmp_path):
    for engine in REAL:
        assert run("--engine", engine, "--precision", "fp32", "--jsonl", tmp_path / engine, source=folder) == 0
    first, *others = [lines((tmp_path / engine).read_text()) for engine in REAL]
    for other in others:
        for a, b in zip(first, other, strict=True):
            pa, pb = (line["faces"][0].pop("probabilities") for line in (a, b))
            assert a == b and max(abs(pa[name] - pb[name]) for name in pa) < 1e-5
        first = lines((tmp_path / REAL[0]).read_text())


def test_a_video(tmp_path, capsys):
    assert run("--threads", 1, source=write_video(tmp_path / "v.avi", 5)) == 0
    found = lines(capsys.readouterr().out)
    assert [line["time_s"] for line in found] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert [line["faces"][0]["track"] for line in found] == [1] * 5
    assert [line["dropped"] for line in found] == [0] * 5


def test_smoothing_can_be_turned_off(tmp_path, capsys):
    video = write_video(tmp_path / "v.avi", 4)
    outputs = []
    for seconds in ("0", "0.3", "10"):
        assert run("--smooth", seconds, "--precision", "fp32", source=video) == 0
        outputs.append([list(line["faces"][0]["probabilities"].values()) for line in lines(capsys.readouterr().out)])
    moved = [np.abs(np.diff(values, axis=0)).sum() for values in outputs]
    assert moved[0] > moved[1] > moved[2] > 0


def test_an_image(folder, capsys):
    assert run(source=folder / "a.jpg") == 0
    (line,) = lines(capsys.readouterr().out)
    assert line["faces"][0]["track"] is None


def test_gray_and_16_bit_pictures(tmp_path, capsys):
    gradient = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    cv2.imwrite(str(tmp_path / "gray.png"), gradient)
    cv2.imwrite(str(tmp_path / "sixteen.png"), gradient.astype(np.uint16) * 256)
    assert run(source=tmp_path) == 0
    gray, sixteen = lines(capsys.readouterr().out)
    assert "error" not in gray and gray["faces"] == sixteen["faces"]


def test_the_bundles_defaults_are_used(folder, capsys):
    assert run(source=folder) == 0
    assert "litert int8, 1 threads" in capsys.readouterr().err


def hide(monkeypatch, *names: str) -> None:
    for name in names:
        for package in engines.ENGINES[name].packages:
            for module in [package, f"{package}.interpreter"]:
                monkeypatch.setitem(sys.modules, module, None)


def test_an_engine_that_is_not_installed_is_replaced_and_said_so(folder, capsys, monkeypatch):
    hide(monkeypatch, "litert")
    assert run(source=folder) == 0
    assert "'litert' of the bundle is not installed here, using 'onnxruntime'" in capsys.readouterr().err


def test_an_engine_that_was_asked_for_is_not_replaced(folder, capsys, monkeypatch):
    hide(monkeypatch, "litert")
    assert "pip install 'edgefer[litert]'" in failed(capsys, 3, "--engine", "litert", source=folder)


def test_no_engine_at_all(folder, capsys, monkeypatch):
    hide(monkeypatch, *REAL)
    assert "no engine for this bundle is installed" in failed(capsys, 3, source=folder)


def test_haar_is_the_fallback_and_says_so(folder, capsys):
    assert run(source=folder, detector=None) == 0
    assert "Haar cascade: no YuNet file is configured (--yunet or EDGEFER_YUNET)" in capsys.readouterr().err


def test_yunets_file_is_found_by_flag_or_variable(folder, capsys, monkeypatch, tmp_path):
    missing = tmp_path / "yunet.onnx"
    assert f"{missing} is missing" in failed(capsys, 6, "--yunet", missing, source=folder, detector=None)
    monkeypatch.setenv("EDGEFER_YUNET", str(missing))
    assert f"{missing} is missing" in failed(capsys, 6, source=folder, detector=None)
    assert run(source=folder, detector="haar") == 0, "a detector that was asked for needs no YuNet"


def test_a_model_without_framing_for_haar(folder, capsys, tmp_path):
    copy = Path(shutil.copytree(TINY, tmp_path / "bundle"))
    spec = json.loads((copy / "model.json").read_text())
    spec["alignment"]["boxes"] = {}
    (copy / "model.json").write_text(json.dumps(spec))
    bundle.seal(copy)
    assert "no framing for Haar's boxes" in failed(capsys, 6, source=folder, folder=copy, detector="haar")


@pytest.mark.parametrize(
    "code, args, told",
    [
        (2, ["--engine", "tensorrt"], "unknown engine 'tensorrt'; edgefer has"),
        (2, ["--precision", "int4"], "unknown artifact 'litert/int4'"),
        (2, ["--threads", "0"], "--threads must be at least 1"),
        (2, ["--detect-every", "0"], "--detect-every must be at least 1"),
        (2, ["--smooth", "-1"], "--smooth must be"),
        (2, ["--smooth", "nan"], "--smooth must be"),
        (2, ["--yunet", "y.onnx"], "leave one out"),
        (2, ["--jsonl", "/"], "/ cannot be written"),
    ],
)
def test_usage(folder, capsys, code, args, told):
    assert told in failed(capsys, code, *args, source=folder)


def test_unknown_detector(folder, capsys):
    assert "unknown detector 'mtcnn'; edgefer has haar, none, own, yunet" in failed(
        capsys, 2, source=folder, detector="mtcnn"
    )


@pytest.mark.parametrize("args", [[], ["fly"], ["run"], ["run", "--bundle", "b"], ["run", "--colour", "red"]])
def test_argparse_says_usage(args, capsys):
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2 and "usage: edgefer" in capsys.readouterr().err


def test_an_unreadable_image_in_a_folder(folder, capsys):
    (folder / "aa.png").write_bytes(b"not a picture")
    (folder / "ab.png").write_bytes(b"")
    assert run(source=folder) == 0
    told = capsys.readouterr()
    found = lines(told.out)
    assert [bool(line.get("error")) for line in found] == [False, True, True, False, False]
    assert "aa.png cannot be read" in found[1]["error"] and found[1]["faces"] == []
    assert "the file is empty" in found[2]["error"] and "2 that could not be used" in told.err


def test_a_folder_of_nothing_but_damage(tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    assert "none of the 1 frames" in failed(capsys, 6, source=tmp_path)


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("empty.mp4", b"", "video .* is empty: the file has no bytes"),
        ("text.mp4", b"this is no video" * 100, "cannot be read as a video"),
        ("broken.png", b"no", "image .* cannot be read"),
        ("nothing.mp4", None, "source .* does not exist"),
    ],
)
def test_a_source_that_cannot_be_read(tmp_path, capsys, name, content, told):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert re.search(told, failed(capsys, 6, source=tmp_path / name))


def test_a_video_without_frames(tmp_path, capsys):
    told = failed(capsys, 6, source=write_video(tmp_path / "v.avi", 0))
    assert "v.avi" in told and ("is empty" in told or "cannot be read as a video" in told)


def test_a_folder_without_images(tmp_path, capsys):
    assert "has no images" in failed(capsys, 6, source=tmp_path)


def test_a_damaged_bundle(folder, capsys, tmp_path):
    copy = Path(shutil.copytree(TINY, tmp_path / "bundle"))
    (copy / "int8.tflite").write_bytes(b"damaged")
    assert "int8.tflite does not match its SHA-256" in failed(capsys, 6, source=folder, folder=copy)
    bundle.seal(copy)  # a model that was damaged before it was sealed
    assert "int8.tflite" in failed(capsys, 6, source=folder, folder=copy)
    assert "is not a bundle" in failed(capsys, 6, source=folder, folder=tmp_path)


def test_a_failed_run_leaves_no_file(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no")
    failed(capsys, 6, "--jsonl", tmp_path / "out.jsonl", "--engine", "litert", source=tmp_path / "nowhere")
    assert not (tmp_path / "out.jsonl").exists()


def test_lines_in_a_file_are_the_lines_on_stdout(folder, tmp_path, capsys):
    assert run("--jsonl", tmp_path / "new" / "out.jsonl", source=folder) == 0
    assert capsys.readouterr().out == ""
    assert run(source=folder) == 0
    assert (tmp_path / "new" / "out.jsonl").read_text() == capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out == f"edgefer {__version__}\n"


def program(*args) -> list[str]:
    return [sys.executable, "-m", "edgefer", "run", "--bundle", str(TINY), "--detector", "none", *map(str, args)]


def test_ctrl_c_ends_between_two_lines(tmp_path):
    video = write_video(tmp_path / "long.avi", 9000, size=(160, 120))
    out = tmp_path / "out.jsonl"
    running = subprocess.Popen(program("--source", video, "--jsonl", out), stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".out.jsonl.*")) or not any(p.stat().st_size for p in tmp_path.glob(".out.jsonl.*")):
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130 and "Traceback" not in told and "frames/s" in told and told.endswith("stopped\n")
    assert 0 < len(lines(out.read_text())) < 9000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.avi", "out.jsonl"]


def test_a_reader_that_goes_away(tmp_path):
    video = write_video(tmp_path / "v.avi", 300)
    running = subprocess.Popen(program("--source", video), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    json.loads(running.stdout.readline())
    running.stdout.close()
    told = running.stderr.read()
    assert running.wait(timeout=60) == 141 and "Traceback" not in told and "Exception" not in told


@pytest.mark.skipif(not os.environ.get("EDGEFER_DATA"), reason="EDGEFER_DATA is not set: no video of a face")
def test_the_shared_video(capsys):
    video = Path(os.environ["EDGEFER_DATA"]) / "one-face.mp4"
    if not video.is_file():
        pytest.skip(f"{video} is not there")
    assert run("--detect-every", 24, source=video, detector="haar") == 0
    found = lines(capsys.readouterr().out)
    assert len(found) == 464 and sum(bool(line["faces"]) for line in found) > 232
    assert all(a["time_s"] < b["time_s"] for a, b in itertools.pairwise(found))
