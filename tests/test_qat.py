"""Quantisation-aware training: the weights come out on an int8 grid, as an ordinary checkpoint, with evidence of each step."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from compress import finetune, qat
from compress.quantize import remedies
from edgefer.errors import UsageError
from train import checkpoint, graph, models, recipe

RECIPE = {"name": "microexpnet", **recipe.load("microexpnet").to_json()}
NEW = ["--data", "synthetic", "--target", "i7", "--epochs", "1", "--set", "batch_size=16"]


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch, tmp_path_factory):
    """NNCF compiles kernels when it first needs them, for a minute; without a compiler it does without."""
    monkeypatch.setenv("CXX", "/bin/false")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path_factory.mktemp("extensions")))


@pytest.fixture
def few(few_faces):
    few_faces(96, 20, 20, 40)


@pytest.fixture(scope="module")
def small(untrained):
    return untrained(input_size=84, training={"recipe": RECIPE})


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr("sys.argv", ["qat", *map(str, arguments)])
    return qat.main()


def test_program_trains_and_tells_each_step(small, few, monkeypatch, tmp_path, capsys):
    out = tmp_path / "run"
    code = run(monkeypatch, "--checkpoint", small, *NEW, "--out", out, "--json", tmp_path / "told.json")
    result = json.loads((tmp_path / "told.json").read_text())
    assert result == json.loads((out / "checkpoint" / qat.FILE).read_text())
    steps = result["steps"]
    assert list(steps) == list(qat.STEPS)
    assert steps["fp32_before"]["flip_rate"] == 0
    assert all(step["n"] == 40 for step in steps.values())
    assert code == (1 if steps["ptq_after"]["problems"] else 0)
    network, spec = checkpoint.load(out / "checkpoint")
    assert spec.training["qat"]["qat"] == result["plan"]
    before = checkpoint.load(small)[0].state_dict()
    assert not torch.equal(network.hidden[1].weight, before["hidden.1.weight"])
    for layer in (network.features[0], network.features[3], network.hidden[1], network.fc):
        assert levels(layer.weight) <= 256  # of one channel, on its int8 grid
    assert levels(before["hidden.1.weight"]) > 1000

    # Begun again it goes on from the state, NNCF's operations included, and writes the same.
    monkeypatch.setattr(qat, "evidence", lambda *_: steps)
    (out / "checkpoint" / checkpoint.WEIGHTS).unlink()
    run(monkeypatch, "--checkpoint", small, *NEW, "--out", out)
    assert "resuming from" in capsys.readouterr().out
    again = checkpoint.load(out / "checkpoint")[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())


def levels(weight: torch.Tensor) -> int:
    """Most distinct values that one output channel has."""
    return max(len(channel.unique()) for channel in weight.detach().flatten(1))


def test_efficientface_is_followed_and_its_gradients_flow(shipped):
    network, spec = shipped
    crops = np.random.default_rng(0).integers(0, 256, (8, *spec.crop_shape[1:]), np.uint8)
    aware = qat.fake_quantized(
        finetune.Traced(checkpoint.load(checkpoint.SHIPPED / "efficientface")[0]), spec, crops, remedies(True)[0]
    )
    x = graph.network_input(spec, crops)
    aware.train()(x).square().mean().backward()
    missing = [name for name, p in aware.network.named_parameters() if p.grad is None]
    assert not missing
    said = aware.eval()(x)
    native = qat.stripped(aware, spec, crops)
    torch.testing.assert_close(native(x), said, rtol=0, atol=0.1)
    network = checkpoint.load(checkpoint.SHIPPED / "efficientface")[0]
    state = qat.rounded_state(aware, spec, crops)
    network.load_state_dict(state)
    rounded = [name for name, p in network.named_parameters() if p.ndim > 1 and levels(p) <= 256]
    coarse = [name for name in rounded if state[name][0].numel() > 256]
    assert "conv5.0.weight" in coarse
    assert len(rounded) == sum(p.ndim > 1 for p in network.parameters())


class Unfollowed(nn.Module):
    """A network that hands NNCF's tracing something it does not know."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no rule for this operation")


def test_a_network_that_nncf_cannot_follow_gets_one_sentence(shipped):
    _, spec = shipped
    crops = np.zeros((2, *spec.crop_shape[1:]), np.uint8)
    with pytest.raises(UsageError, match=r"NNCF cannot follow Unfollowed in PyTorch \(.*no rule for this operation"):
        qat.fake_quantized(finetune.Traced(Unfollowed()), spec, crops, remedies(True)[0])


def test_no_recipe_no_guess(small, few, monkeypatch, tmp_path):
    network, spec = checkpoint.load(small)
    checkpoint.save(tmp_path, network, replace(spec, training={}))
    with pytest.raises(UsageError, match="does not tell the recipe it was trained by; name one with --recipe"):
        run(monkeypatch, "--checkpoint", tmp_path, *NEW)


def test_other_classes_are_refused(small, few, monkeypatch, tmp_path):
    network, spec = models.build("microexpnet", 7, 1), checkpoint.load(small)[1]
    checkpoint.save(tmp_path, network, replace(spec, labels=spec.labels[:7]))
    with pytest.raises(UsageError, match="knows 7 classes"):
        run(monkeypatch, "--checkpoint", tmp_path, *NEW, "--out", tmp_path / "run")
