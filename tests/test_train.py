"""Training: learns, resumes after a kill as if nothing had happened, and never mixes runs."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from edgefer.errors import InputRejected, UsageError
from edgefer.spec import ModelSpec
from train import checkpoint, recipe
from train.augment import Augmentation
from train.data import FaceSet
from train.faces import Faces, TrainingFaces, gathered
from train.learner import Learner
from train.resume import SafetensorsCheckpointIO

SMALL = ["--set", "epochs=3", "--set", "input_size=32", "--set", "batch_size=16"]


def command(data: Path, out: Path) -> list[str]:
    recipe_and_places = ["--recipe", "efficientface", "--data", str(data), "--out", str(out)]
    return [sys.executable, "-m", "train", *recipe_and_places, *SMALL]


def train(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run([*command(data, out), *more], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def unbroken(small_ferplus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    result = train(small_ferplus, out)
    assert result.returncode == 0, result.stderr
    assert "valid accuracy" in result.stdout
    return out


def test_a_run_leaves_a_checkpoint_with_its_spec_and_curve(unbroken):
    network, spec = checkpoint.load(unbroken / "checkpoint")
    assert (spec.system, spec.input_size, spec.channels, len(spec.labels)) == ("efficientface", 32, 1, 8)
    assert spec.training["recipe"]["epochs"] == 3
    assert spec.training["rows"] == 70  # ten of the eighty are in the hold-out
    curve = (unbroken / "checkpoint" / "curve.csv").read_text().splitlines()
    assert len(curve) == 4
    assert curve[0].startswith("epoch,train_loss,holdout_m")
    assert list((unbroken / "tensorboard").glob("events*"))
    assert not network.training


def test_resumes_after_a_kill_as_if_unbroken(small_ferplus, unbroken, tmp_path):
    out = tmp_path / "killed"
    process = subprocess.Popen(
        command(small_ferplus, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not (out / "last.safetensors").exists():
        assert process.poll() is None, "the run ended before its first state was written"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "checkpoint").exists(), "killed too late to show anything"
    result = train(small_ferplus, out)
    assert result.returncode == 0, result.stderr
    assert "resuming from" in result.stdout
    resumed, whole = (checkpoint.load(folder / "checkpoint")[0].state_dict() for folder in (out, unbroken))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert len((out / "checkpoint" / "curve.csv").read_text().splitlines()) == 4


def test_a_finished_run_that_is_run_again_stays_as_it_is(program, small_ferplus, tmp_path):
    words = (
        "train",
        "--recipe",
        "microexpnet",
        "--data",
        small_ferplus,
        "--out",
        tmp_path / "run",
        "--set",
        "epochs=2",
    )
    weights = []
    for _ in range(2):
        done = program(*words, "--set", "ema=0.9", "--set", "batch_size=16")
        assert done.returncode == 0, done.stderr
        weights.append(checkpoint.read_weights(tmp_path / "run" / "checkpoint"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_start_that_fails_does_not_claim_the_folder(program, small_ferplus, tmp_path):
    words = ("train", "--recipe", "microexpnet", "--data", small_ferplus, "--out", tmp_path / "run", "--limit", "20")
    done = program(*words, "--set", "options.colour=red")
    assert done.returncode == 2 and "'options' do not fit system 'microexpnet'" in done.stderr
    done = program(*words, "--devices", "two")
    assert done.returncode == 2 and "--devices: must be a whole number above 0, not two" in done.stderr
    assert program(*words, "--set", "epochs=1").returncode == 0


def test_torchrun_starts_two_processes_that_train_one_network(small_ferplus, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*launcher, *command(small_ferplus, tmp_path / "run")[1:], "--set", "epochs=1"],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("valid accuracy") == 1
    _, spec = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert spec.metrics["valid_faces"] == 24


def test_ldg_and_its_share_go_together(program, small_ferplus, tmp_path):
    result = program(*command(small_ferplus, tmp_path / "run")[2:], "--set", "ldg_share=0.5")
    assert result.returncode == 2
    assert "go together" in result.stderr


def test_a_run_folder_belongs_to_one_run(program, small_ferplus, unbroken):
    result = program(*command(small_ferplus, unbroken)[2:], "--seed", "1")
    assert result.returncode == 6
    assert "another recipe, seed, limit, start or LDG" in result.stderr


def test_without_data_one_sentence(program, monkeypatch, tmp_path):
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    result = program("train", "--recipe", "efficientface", "--out", tmp_path / "run")
    assert result.returncode == 3
    assert "FER+ was not found" in result.stderr
    assert "Traceback" not in result.stderr


def test_state_holds_no_pickle_and_survives_a_round_trip(tmp_path):
    state = {"a": torch.arange(3), 1: [None, True, 0.5, ("x", {2: torch.ones(1)})], "loops": {"epoch": 4}}
    SafetensorsCheckpointIO().save_checkpoint(state, tmp_path / "state")
    back = SafetensorsCheckpointIO().load_checkpoint(tmp_path / "state")
    assert torch.equal(back["a"], state["a"])
    assert back[1][:3] == [None, True, 0.5]
    assert isinstance(back[1][3], tuple)
    assert torch.equal(back[1][3][1][2], torch.ones(1))
    assert back["loops"] == {"epoch": 4}
    with pytest.raises(TypeError, match="without pickle"):
        SafetensorsCheckpointIO().save_checkpoint({"a": object()}, tmp_path / "other")
    (tmp_path / "state").write_bytes(b"\x80\x04damaged")
    with pytest.raises(InputRejected, match="not a run's state"):
        SafetensorsCheckpointIO().load_checkpoint(tmp_path / "state")


class TestCheckpoint:
    """What is wrong with a checkpoint is said in one sentence."""

    @pytest.fixture
    def folder(self, unbroken, tmp_path) -> Path:
        import shutil

        return Path(shutil.copytree(unbroken / "checkpoint", tmp_path / "checkpoint"))

    def test_truncated_weights(self, folder):
        weights = folder / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        with pytest.raises(InputRejected, match="damaged"):
            checkpoint.load(folder)

    def test_missing_weights(self, folder):
        (folder / "weights.safetensors").unlink()
        with pytest.raises(InputRejected, match="missing"):
            checkpoint.load(folder)

    def test_weights_of_another_network(self, folder):
        spec = ModelSpec.load(folder / "model.json")
        ModelSpec(**{**vars(spec), "channels": 3}).save(folder / "model.json")
        with pytest.raises(InputRejected, match="does not fit EfficientFace"):
            checkpoint.load(folder)

    def test_unknown_option(self, folder):
        spec = ModelSpec.load(folder / "model.json")
        ModelSpec(**{**vars(spec), "options": {"wings": 2}}).save(folder / "model.json")
        with pytest.raises(InputRejected, match="options do not fit"):
            checkpoint.load(folder)

    def test_unknown_system(self, folder):
        spec = ModelSpec.load(folder / "model.json")
        ModelSpec(**{**vars(spec), "system": "resnet"}).save(folder / "model.json")
        with pytest.raises(UsageError, match="unknown system 'resnet'"):
            checkpoint.load(folder)

    def test_not_a_folder(self, tmp_path):
        with pytest.raises(InputRejected, match="is not a folder"):
            checkpoint.load(tmp_path / "nothing")


def face_set(n: int = 10) -> FaceSet:
    distributions = np.eye(8, dtype=np.float32)[np.arange(n) % 8]
    distributions[0] = 0
    labels = np.arange(n) % 8
    labels[1] = -1
    return FaceSet(np.zeros((n, 48, 48), np.uint8), distributions, labels, tuple(map(str, range(n))), "made up")


def test_targets_choose_the_rows():
    chosen = recipe.Recipe("efficientface", targets="votes", augmentation=Augmentation())
    assert len(TrainingFaces(face_set(), chosen)) == 9  # all but the row nobody gave an emotion
    single = recipe.Recipe("efficientface", targets="majority")
    assert len(TrainingFaces(face_set(), single)) == 9  # all but the row without a majority
    assert TrainingFaces(face_set(), single)[0][1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", recipe.names())
@pytest.mark.filterwarnings("ignore:You are trying to .self.log")
def test_every_shipped_recipes_network_learns(name):
    plain = {"compiled": False, "ldg_share": 0.0, "views": 0, "au_factor": 0.0}
    chosen = dataclasses.replace(recipe.load(name), **plain)
    learner = Learner(chosen, 8, seed=0)
    learner.generator = torch.Generator().manual_seed(0)
    images = torch.full((2, chosen.channels, 48, 48), 100, dtype=torch.uint8)
    loss = learner.training_step((images, torch.eye(8)[:2], torch.zeros(2, 1), torch.arange(2)), 0)
    loss.backward()
    gradients = [p.grad for p in learner.network.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)
    assert any(g.any() for g in gradients)


def test_rgb_recipes_repeat_gray_faces():
    assert TrainingFaces(face_set(), recipe.Recipe("efficientface", channels=3))[0][0].shape == (3, 48, 48)


def test_evaluation_crops_have_the_recipes_size():
    faces = Faces(face_set(), face_set(), face_set(), recipe.Recipe("efficientface", input_size=40), 0)
    assert faces.evaluation_faces[0][0][0].shape == (1, 40, 40)


def test_oversampling_repeats_rare_rows_and_weights_favour_them():
    few = face_set(17)[np.array([*range(2, 10), 10, 10, 10])]
    repeated = TrainingFaces(few, recipe.Recipe("efficientface", targets="majority", balance="oversample"))
    assert repeated.targets.sum(0).unique().numel() == 1
    assert len(repeated) > len(few)
    weighted = Faces(few, few, few, recipe.Recipe("efficientface", balance="weighted"), 0).class_weights
    assert weighted[2] < weighted[3]


def test_an_ldg_judges_real_faces_only():
    chosen = recipe.Recipe("efficientface", ldg_share=0.7)
    faces = Faces(face_set(), face_set(), face_set(), chosen, 0, [face_set(4)])
    shares = [float(faces.train_faces[row][2]) for row in range(len(faces.train_faces))]
    assert shares == pytest.approx([0.7] * 9 + [0.0] * 3)


def test_seven_classes_by_recipe(small_ferplus):
    faces = gathered(recipe.Recipe("efficientface", data="ferplus7", input_size=32), str(small_ferplus), None, 0)
    assert len(faces.classes) == 7
    assert faces.train_faces[0][1].shape == (7,)
    with pytest.raises(UsageError, match="synthetic faces show"):
        gathered(recipe.Recipe("efficientface", data="ferplus7", synthetic=8), str(small_ferplus), None, 0)
    with pytest.raises(UsageError, match="no training split"):
        gathered(recipe.Recipe("efficientface", data="fedro"), str(small_ferplus), None, 0)
