"""Sparsity: weights become zero, shapes stay, compressed files shrink; what is reported is what is there."""

import json

import pytest
import torch

from compress import finetune, sparsify, storage
from compress.report import told
from edgefer.errors import InputRejected
from train import checkpoint, recipe

RECIPE = {"name": "microexpnet", **recipe.load("microexpnet").to_json()}


@pytest.fixture
def few(few_faces):
    few_faces(160, 20, 30, 60)


@pytest.fixture(scope="module")
def small(untrained):
    return untrained(input_size=84, training={"recipe": RECIPE})


def run(program, monkeypatch, *arguments) -> int:
    monkeypatch.setattr("sys.argv", ["program", *map(str, arguments)])
    return program.main()


@pytest.mark.parametrize("method", ["global", "local"])
def test_smallest_weights_become_zero(shipped, method):
    network, _ = shipped
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    x = torch.randn(4, 1, 48, 48)
    masked = sparsify.prunable(
        finetune.Traced(checkpoint.load(checkpoint.SHIPPED / "efficientface")[0]), method, 0.6, x[:1]
    )
    plain = sparsify.stripped(masked, x[:1])
    state = finetune.plain_state(plain)
    sparse, _ = checkpoint.load(checkpoint.SHIPPED / "efficientface")
    sparse.load_state_dict(state)  # the same names and shapes
    found = sparsify.zeros(sparse)
    assert found["prunable"] == pytest.approx(0.6, abs=0.01)
    for name, layer in found["layers"].items():
        if method == "local":
            assert layer["sparsity"] == pytest.approx(0.6, abs=0.5 / 9), name
        kept = state[name] != 0
        assert torch.equal(state[name][kept], before[name][kept])
        if 0 < kept.sum() < kept.numel():
            assert before[name][~kept].abs().max() <= before[name][kept].abs().min()


def test_zeros_compress(small, tmp_path):
    network, half = (checkpoint.load(small)[0] for _ in range(2))
    dense, sparse = tmp_path / "dense", tmp_path / "sparse"
    checkpoint.save_weights(network, dense)
    with torch.no_grad():
        for p in half.parameters():
            p[torch.rand(p.shape, generator=torch.Generator().manual_seed(0)) < 0.7] = 0
    checkpoint.save_weights(half, sparse)
    before, after = storage.sizes(dense), storage.sizes(sparse)
    assert after["as it is"] == before["as it is"]
    assert after["lzma"] < 0.6 * before["lzma"]
    assert after["zlib"] < 0.6 * before["zlib"]


def test_schedule_ends_at_the_ratio():
    assert [sparsify.scheduled(e, 1, 0.6) for e in range(1)] == [0.6]
    shares = [sparsify.scheduled(e, 6, 0.6) for e in range(6)]
    assert shares[0] == 0.3
    assert shares[3:] == [0.6] * 3
    assert shares == sorted(shares)


@pytest.mark.parametrize("method", ["global", "regularised"])
def test_program_fine_tunes_and_tells_what_it_did(method, small, few, monkeypatch, tmp_path, capsys):
    out = tmp_path / "run"
    given = ["--checkpoint", small, "--data", "synthetic", "--out", out, "--epochs", 2, "--set", "batch_size=8"]
    code = run(sparsify, monkeypatch, *given, "--method", method, "--ratio", 0.7, "--json", tmp_path / "told.json")
    result = json.loads((tmp_path / "told.json").read_text())
    assert result == json.loads((out / "checkpoint" / sparsify.FILE).read_text())
    sparse, spec = checkpoint.load(out / "checkpoint")
    found = sparsify.zeros(sparse)
    assert found == result["sparsity"]
    assert found["prunable"] == pytest.approx(0.7, abs=0.01 if method == "global" else 0.15)
    assert spec.training["sparsified"]["sparsity"]["name"] == method
    sizes = result["bytes"]
    for file in ("fp32_weights", "int8_litert"):
        assert sizes["sparse"][file]["lzma"] < 0.8 * sizes["dense"][file]["lzma"]
    assert code == (1 if result["fp32"]["problems"] or result["int8"]["problems"] else 0)
    assert told(result["int8"]) in capsys.readouterr().out
    dense = checkpoint.load(small)[0].state_dict()
    assert all(tensor.shape == dense[name].shape for name, tensor in sparse.state_dict().items())


def test_without_fine_tuning_batch_norms_are_adapted(shipped):
    network = finetune.Traced(checkpoint.load(checkpoint.SHIPPED / "efficientface")[0])
    before = network.network.conv5[1].running_mean.clone()
    sparsify.adapt_batch_norms(network, torch.randn(20, 1, 48, 48), batch=10)
    assert not torch.equal(before, network.network.conv5[1].running_mean)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--ratio", "1.5"], "a share above 0 and below 1, not 1.5"),
    (["--method", "regularised", "--epochs", "0"], "at least 0, and 1 for --method regularised"),
    (["--set", "epochs=none"], "field 'epochs' must be int"),
])  # fmt: skip
def test_mistakes(arguments, sentence, small, few, monkeypatch):
    from edgefer.errors import UsageError

    with pytest.raises((UsageError, InputRejected), match=sentence):
        run(sparsify, monkeypatch, "--checkpoint", small, "--data", "synthetic", *arguments)
