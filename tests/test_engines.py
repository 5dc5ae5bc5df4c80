"""Engines: one behaviour on all of them, the graph contract held, one sentence for what is damaged, missing or unknown."""

import sys
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle, engines
from edgefer.engines import contract
from edgefer.errors import EdgeferError, EnvironmentInvalid, InputRejected, UsageError

TINY = Path(__file__).parent / "data" / "tiny"
REAL = [name for name, row in engines.ENGINES.items() if row.packages]
CROPS = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16, 1), np.uint8)


def load(name: str, precision: str = "fp32", threads: int = 1) -> engines.Engine:
    return engines.load(name, bundle.load(TINY).model_path(name, precision), threads)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", REAL)
def test_probabilities(name, precision):
    engine = load(name, precision)
    assert (engine.name, engine.input_shape, engine.classes) == (name, (1, 16, 16, 1), 4)
    outputs = np.concatenate([engine.infer(crop) for crop in CROPS])
    assert outputs.shape == (20, 4) and outputs.dtype == np.float32
    assert np.allclose(outputs.sum(1), 1, atol=1e-5)
    assert outputs.std(0).max() > 0.05, "the network must tell crops apart, or agreement means nothing"


@pytest.mark.parametrize("name", REAL[1:])
def test_fp32_engines_agree(name):
    reference, engine = load(REAL[0]), load(name)
    assert max(np.abs(reference.infer(crop) - engine.infer(crop)).max() for crop in CROPS) < 1e-5


@pytest.mark.parametrize("name", REAL)
def test_answers_do_not_change_under_the_callers_hands(name):
    engine = load(name)
    first = engine.infer(CROPS[0])
    kept = first.copy()
    engine.infer(CROPS[1])
    assert (first == kept).all()


@pytest.mark.parametrize("name", REAL)
def test_nothing_on_stdout(name, capfd):
    load(name).infer(CROPS[0])
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", REAL)
def test_details_name_the_version_and_the_threads(name):
    details = load(name, threads=2).details
    assert details["engine"][-1].isalnum() and details["threads"] == 2 and details["precision"]


@pytest.mark.parametrize("name", REAL)
def test_fp32_is_computed_in_fp32(name):
    assert load(name).details["layers"].keys() == {"float32"}


@pytest.mark.parametrize("name", REAL)
def test_int8_is_computed_in_int8(name):
    assert load(name, "int8").details["layers"].get("int8", 0) >= 1


def test_litert_runs_xnnpack():
    assert load("litert").details["delegate"] == "XNNPACK"


def test_null_engine():
    engine = load("null")
    assert np.allclose(engine.infer(CROPS[0]), 0.25) and engine.details["engine"] == "null"


@pytest.mark.parametrize("name", engines.ENGINES)
@pytest.mark.parametrize(
    "crop",
    [CROPS[0][0], np.zeros((1, 8, 8, 1), np.uint8), np.zeros((1, 16, 16, 3), np.uint8), CROPS[0] / 255.0, None, "face"],
    ids=["no batch", "too small", "rgb", "float", "none", "text"],
)
def test_bad_crops(name, crop):
    with pytest.raises(InputRejected, match=r"a crop for this model must be uint8 \(1, 16, 16, 1\), not"):
        load(name).infer(crop)


def files_of(name: str) -> Path:
    return TINY / bundle.load(TINY).artifact(name, "fp32").file


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("damage", ["text", "truncated", "empty", "missing"])
def test_damaged_model(name, damage, tmp_path):
    source = files_of(name)
    data = {"text": b"not a model at all", "truncated": source.read_bytes()[:200], "empty": b"", "missing": None}[
        damage
    ]
    path = tmp_path / source.name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputRejected, match=r"model file .*again") as caught:
        engines.load(name, path)
    assert "\n" not in str(caught.value)


def test_openvino_without_its_weights(tmp_path):
    (tmp_path / "fp32.xml").write_bytes((TINY / "fp32.xml").read_bytes())
    with pytest.raises(InputRejected, match="cannot be loaded"):
        engines.load("openvino", tmp_path / "fp32.xml")


@pytest.mark.parametrize(
    "inputs, outputs, told",
    [
        ([("float32", (1, 16, 16, 1))], [("float32", (1, 4))], "input must be one uint8"),
        ([("uint8", (1, 1, 16, 16))], [("float32", (1, 4))], "input must be"),
        ([("uint8", (2, 16, 16, 1))], [("float32", (1, 4))], "input must be"),
        ([("uint8", ("N", 16, 16, 1))], [("float32", (1, 4))], "input must be"),
        ([("uint8", (-1, 16, 16, 1))], [("float32", (1, 4))], "input must be"),
        ([("uint8", (1, 16, 16, 1))] * 2, [("float32", (1, 4))], "and uint8"),
        ([("uint8", (1, 16, 16, 1))], [("int8", (1, 4))], "output must be one float32"),
        ([("uint8", (1, 16, 16, 1))], [("float32", (1, 4, 1))], "output must be"),
        ([("uint8", (1, 16, 16, 1))], [], "not nothing"),
    ],
)
def test_graphs_that_break_the_contract(inputs, outputs, told):
    with pytest.raises(InputRejected, match=told):
        contract.check_graph(Path("m"), inputs, outputs)


def test_a_real_file_that_breaks_the_contract(tmp_path):
    onnx = pytest.importorskip("onnx", reason="makes a float model: install edgefer[workshop]")
    make = onnx.helper
    ends = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 16, 16, 1]) for name in ("x", "y")]
    graph = make.make_graph([make.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "float.onnx")
    for name in ("onnxruntime", "openvino"):
        with pytest.raises(InputRejected, match="input must be one uint8"):
            engines.load(name, tmp_path / "float.onnx")


def test_unknown_engine():
    with pytest.raises(UsageError, match="unknown engine 'tensorrt'; edgefer has litert, null, onnxruntime, openvino"):
        engines.load("tensorrt", TINY / "fp32.onnx")


def test_no_threads():
    with pytest.raises(UsageError, match="at least 1, not 0"):
        load("litert", threads=0)


def hide(monkeypatch, name: str) -> None:
    for package in engines.ENGINES[name].packages:
        for module in [package, f"{package}.interpreter"]:
            monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize("name", REAL)
def test_a_missing_package_names_its_extra(name, monkeypatch):
    hide(monkeypatch, name)
    assert name not in engines.installed()
    with pytest.raises(EnvironmentInvalid, match=rf"pip install 'edgefer\[{engines.ENGINES[name].extra}\]'"):
        load(name)


def test_every_error_has_an_exit_code():
    assert issubclass(EnvironmentInvalid, EdgeferError) and EnvironmentInvalid.exit_code == 3
