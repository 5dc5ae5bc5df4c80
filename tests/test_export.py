"""Export on trained weights: every rung of the ladder, what breaks it, reuse, and reproducibility."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from edgefer import bundle as bundles
from edgefer import engines, golden, parity, targets
from edgefer.errors import BudgetBroken
from export import build, inputs, to_litert, to_onnx, to_openvino
from export.ladder import FP32_TOLERANCE, Ladder
from train import evaluate, graph

ARTIFACTS = [(engine, precision) for engine in ("litert", "onnxruntime", "openvino") for precision in ("fp32", "int8")]


@pytest.fixture(scope="module")
def bundle(bundle_folder) -> bundles.Bundle:
    return bundles.load(bundle_folder)


def outputs(bundle: bundles.Bundle, engine: str, precision: str, crops: np.ndarray) -> np.ndarray:
    return evaluate.engine_probabilities(engines.load(engine, bundle.model_path(engine, precision), 2), crops)


class TestRungs:
    """Each rung of the ladder again, on faces the build did not use."""

    @pytest.fixture(scope="class")
    def crops(self, bundle) -> np.ndarray:
        from train.data import crops_of, synthetic

        return crops_of(synthetic.faces(400, seed=77, size=48), bundle.spec.input_size, bundle.spec.channels)

    @pytest.fixture(scope="class")
    def reference(self, shipped, crops) -> np.ndarray:
        return graph.probabilities(*shipped, crops)

    def test_the_weights_are_sensitive_to_the_input(self, reference):
        assert len(set(reference.argmax(1))) >= 6
        assert reference.max(1).mean() > 0.5

    @pytest.mark.parametrize("engine", ["litert", "onnxruntime", "openvino"])
    def test_fp32_equals_torch(self, bundle, engine, crops, reference):
        assert np.abs(outputs(bundle, engine, "fp32", crops) - reference).max() <= FP32_TOLERANCE

    @pytest.mark.parametrize("engine", ["litert", "onnxruntime", "openvino"])
    def test_int8_agrees_with_torch(self, bundle, engine, crops, reference):
        probabilities = outputs(bundle, engine, "int8", crops)
        assert np.allclose(probabilities.sum(1), 1, atol=1e-3)
        result = parity.paired(reference.argmax(1), probabilities.argmax(1))
        # the build held 3 % on other faces; 400 others may show the upper end of that rate's interval
        assert result.flip_rate <= parity.wilson(12, 400)[1]
        assert np.abs(probabilities - reference).max() > FP32_TOLERANCE, "int8 computes exactly what fp32 does"

    @pytest.mark.parametrize(("engine", "precision"), ARTIFACTS)
    def test_golden_vectors_replay(self, bundle, engine, precision):
        assert golden.check(bundle, engine, precision, threads=1) == []

    @pytest.mark.parametrize(("engine", "precision"), ARTIFACTS)
    def test_evidence_is_in_the_manifest(self, bundle, engine, precision):
        evidence = bundle.artifact(engine, precision).parity
        assert evidence["rung"] == f"{engine}/{precision}"
        assert "synthetic" in evidence["data"]
        if precision == "fp32":
            assert evidence["max_difference"] <= FP32_TOLERANCE
        else:
            assert evidence["flip_rate"] <= parity.MAX_FLIPS
            assert evidence["drop_points"] is None, "synthetic faces give agreement, not accuracy"


class TestOnRealFaces:
    """The default bundle, calibrated without data, holds the parity rule on FER+ valid."""

    @pytest.fixture(scope="class")
    def valid(self, bundle, ferplus_data) -> evaluate.EvaluationCrops:
        return evaluate.crops(bundle.spec, ferplus_data)

    @pytest.fixture(scope="class")
    def reference(self, shipped, valid) -> np.ndarray:
        return graph.probabilities(*shipped, valid.crops)

    def test_the_shipped_accuracy_is_the_measured_one(self, bundle, valid, reference):
        result = evaluate.score(reference, valid.labels, bundle.spec.labels)
        assert result["n"] == 3191
        assert result["accuracy"] >= 0.82
        assert result["accuracy"] == pytest.approx(bundle.spec.metrics["valid_accuracy"], abs=0.001)

    @pytest.mark.parametrize("engine", ["litert", "onnxruntime", "openvino"])
    def test_int8_holds_the_rule(self, bundle, engine, valid, reference):
        predicted = outputs(bundle, engine, "int8", valid.crops).argmax(1)
        result = parity.paired(reference.argmax(1), predicted, valid.labels, bundle.spec.labels)
        assert parity.problems(result, targets.get("i7").margin_points) == []


class TestBrokenRungs:
    """A rung that breaks stops the export and names itself."""

    @pytest.fixture
    def ladder(self) -> Ladder:
        rng = np.random.default_rng(0)
        reference = rng.dirichlet(np.ones(4), 1000).astype(np.float32)
        return Ladder(reference, reference.argmax(1), ("a", "b", "c", "d"), "made-up crops", 0.5)

    def test_fp32(self, ladder):
        near = ladder.reference + np.float32(5e-5)
        assert ladder.fp32("onnxruntime/fp32", near)["max_difference"] == pytest.approx(5e-5, rel=0.01)
        far = ladder.reference.copy()
        far[17, 2] += 2e-4
        with pytest.raises(BudgetBroken, match=r"rung 'onnxruntime/fp32' is broken on made-up crops.*2\.00e-04"):
            ladder.fp32("onnxruntime/fp32", far)

    @pytest.mark.parametrize("rung", ["fp32", "int8"])
    def test_not_a_number(self, ladder, rung):
        nan = ladder.reference.copy()
        nan[3] = np.nan
        with pytest.raises(BudgetBroken, match="broken"):
            getattr(ladder, rung)("litert", nan)

    def test_int8(self, ladder):
        worse = ladder.reference.copy()
        worse[:40] = worse[:40, ::-1]
        with pytest.raises(BudgetBroken, match=r"rung 'litert/int8'.*flip.*accuracy drops"):
            ladder.int8("litert/int8", worse)
        assert ladder.int8("litert/int8", ladder.reference)["flip_rate"] == 0

    def test_a_conversion_that_changes_the_network(self, untrained, monkeypatch, tmp_path):
        """One exported weight differs from the checkpoint's: the first rung notices, and nothing is left behind."""
        real = to_litert.write_fp32

        def sabotaged(deployed, shape, folder):
            changed = copy.deepcopy(deployed)
            with torch.no_grad():
                changed.network.fc.bias[0] += 0.05
            return real(changed, shape, folder)

        monkeypatch.setattr(to_litert, "write_fp32", sabotaged)
        with pytest.raises(BudgetBroken, match="rung 'litert/fp32' is broken"):
            build.bundle(untrained(), targets.get("i7"), "synthetic", tmp_path / "bundle")
        assert [p.name for p in tmp_path.iterdir()] == ["bundle.log"]


class TestReuse:
    def test_unchanged_inputs_reuse_the_bundle(self, bundle_folder, checkpoint_folder, capfd):
        before = (bundle_folder / bundles.MANIFEST).stat().st_mtime_ns
        build.bundle(checkpoint_folder, targets.get("i7"), "synthetic", bundle_folder)
        assert "reused, the hashes of its inputs are unchanged" in capfd.readouterr().err
        assert (bundle_folder / bundles.MANIFEST).stat().st_mtime_ns == before

    def test_what_changed_is_named(self, checkpoint_folder, monkeypatch):
        target = targets.get("i7")
        before = inputs.describe(checkpoint_folder, target, "synthetic")
        assert inputs.changed(before, inputs.describe(checkpoint_folder, target, "synthetic")) == []
        assert inputs.changed(before, inputs.describe(checkpoint_folder, targets.get("rpi4"), "synthetic")) == [
            "target"
        ]
        monkeypatch.setattr(inputs.synthetic, "VERSION", inputs.synthetic.VERSION + 1)
        assert inputs.changed(before, inputs.describe(checkpoint_folder, target, "synthetic")) == ["data"]

    def test_data_on_this_machine_is_an_input(self, checkpoint_folder, small_ferplus):
        target = targets.get("i7")
        without = inputs.describe(checkpoint_folder, target, "synthetic")
        assert inputs.changed(without, inputs.describe(checkpoint_folder, target, str(small_ferplus))) == ["data"]

    def test_a_damaged_bundle_is_not_reused(self, bundle_folder, checkpoint_folder, tmp_path):
        import shutil

        copied = tmp_path / "bundle"
        shutil.copytree(bundle_folder, copied)
        made_from = bundles.load(copied).inputs
        assert build._why_build(copied, made_from) is None
        with (copied / "int8.tflite").open("r+b") as file:
            file.write(b"\0\0\0\0")
        assert "damaged" in build._why_build(copied, made_from)


@pytest.mark.parametrize("format", [to_onnx, to_openvino, to_litert], ids=lambda f: f.FORMAT)
def test_the_same_checkpoint_gives_the_same_fp32_bytes(format, bundle_folder, shipped, tmp_path):
    network, spec = shipped
    names = format.write_fp32(graph.DeployedGraph(network, spec).eval(), spec.crop_shape, tmp_path)
    names = [n for n in names if n != "fp32.xml"]  # OpenVINO numbers its layers anew in every conversion of a process
    assert [n for n in names if (tmp_path / n).read_bytes() != (bundle_folder / n).read_bytes()] == []


def test_nothing_of_this_machine_is_in_a_bundle(bundle_folder):
    here = str(build.inputs.ROOT).encode()
    assert [p.name for p in bundle_folder.rglob("*") if p.is_file() and here in p.read_bytes()] == []


def test_command_lists_the_artifacts(bundle_folder, checkpoint_folder, tmp_path):
    command = [sys.executable, "-m", "export", "--checkpoint", str(checkpoint_folder), "--target", "i7"]
    more = ["--data", "synthetic", "--out", str(bundle_folder), "--json", str(tmp_path / "out.json")]
    result = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "reused" in result.stderr
    assert "litert/int8" in result.stdout
    assert len(json.loads((tmp_path / "out.json").read_text())["artifacts"]) == 6
