"""Structured pruning: a smaller network is built again from its options, keeps what matters, and says what it cannot do."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compress import retrain
from compress.prune import pruned
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from train import checkpoint, graph, models
from train.data import crops_of, synthetic


@pytest.fixture(scope="module")
def crops(shipped):
    _, spec = shipped
    return crops_of(synthetic.faces(40, 5), spec.input_size, spec.channels)


def size(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("blocks", "width"), [(3, 1.0), (0, 0.6), (2, 0.75)])
def test_a_pruned_checkpoint_is_loaded_again(shipped, crops, blocks, width, tmp_path):
    network, spec = shipped
    small, smaller = pruned(network, spec, crops, blocks, width)
    assert size(small) < size(network)
    checkpoint.save(tmp_path, small, smaller)
    again, _ = checkpoint.load(tmp_path)
    said = graph.probabilities(again, smaller, crops)
    assert np.array_equal(said, graph.probabilities(small, smaller, crops))
    with torch.inference_mode():  # and its fold is the same function
        x = torch.randn(2, spec.channels, spec.input_size, spec.input_size)
        torch.testing.assert_close(again.folded()(x), again(x), rtol=0, atol=1e-5)


def test_pruning_changes_nothing_in_the_trained_network(shipped, crops):
    network, spec = shipped
    before = graph.probabilities(network, spec, crops)
    pruned(network, spec, crops, 1, 0.5)
    assert np.array_equal(before, graph.probabilities(network, spec, crops))


def test_the_strongest_channels_stay(shipped, crops):
    """Keeping the strongest hurts less than keeping the weakest: channels of the last layer, negated strengths."""
    network, spec = shipped
    expected = graph.probabilities(network, spec, crops).argmax(1)

    def agreement(candidate):
        return (graph.probabilities(*candidate, crops).argmax(1) == expected).mean()

    silenced, _ = checkpoint.load(checkpoint.SHIPPED / "efficientface")
    with torch.no_grad():  # half of conv5's channels never speak: they must be the ones that leave
        for tensor in (silenced.conv5[1].weight, silenced.conv5[1].bias):
            tensor[::2] = 0
    small, smaller = pruned(silenced, spec, crops, 0, 0.5)
    assert (small.conv5[1].weight != 0).float().mean() > 0.75  # but for channels that these crops never wake
    assert agreement(pruned(network, spec, crops, 0, 0.9)) > agreement(pruned(network, spec, crops, 0, 0.3))
    assert smaller.options["resized"]["fc"] == [8, 512]


def test_pruning_again_goes_on_from_there(shipped, crops):
    network, spec = shipped
    small, smaller = pruned(network, spec, crops, 1)
    smallest, last = pruned(small, smaller, crops, 1, 0.5)
    built = models.build(last.system, len(last.labels), last.channels, last.options)
    built.load_state_dict(smallest.state_dict())
    assert size(smallest) < size(small)


def test_other_networks_go_through_torch_pruning(shipped, crops):
    _, spec = shipped
    torch.manual_seed(0)
    other = replace(spec, system="microexpnet", options={})
    network = models.build("microexpnet", 8, 1).eval()
    small, smaller = pruned(network, other, crops, width=0.5)
    assert size(small) < 0.5 * size(network)
    assert smaller.options["resized"]


@pytest.mark.parametrize(("system", "blocks", "width", "sentence"), [
    ("efficientface", 0, 0.0, "above 0 and at most 1, not 0"),
    ("efficientface", 99, 1.0, "blocks can be taken from this network, not 99"),
    ("microexpnet", 1, 1.0, "blocks can be taken from efficientface, not from microexpnet"),
    ("csgresnet18", 0, 0.5, "Torch-Pruning cannot narrow csgresnet18"),
])  # fmt: skip
def test_mistakes(shipped, crops, system, blocks, width, sentence):
    network, spec = shipped
    if system != "efficientface":
        network, spec = models.build(system, 8, 1).eval(), replace(spec, system=system, options={})
    with pytest.raises(UsageError, match=sentence):
        pruned(network, spec, crops[:8], blocks, width)


def test_training_on_is_not_taken_for_another_runs(program, untrained, small_ferplus, tmp_path, monkeypatch):
    def trained(*overrides: str) -> Path:
        start = untrained(training={}, metrics={})
        return retrain.run(start, tmp_path / "run", "microexpnet", str(small_ferplus), overrides=overrides)

    monkeypatch.setattr(retrain.subprocess, "run", lambda words, **_: program(*words[2:]))
    _, spec = checkpoint.load(trained("epochs=1"))
    assert spec.training["recipe"]["epochs"] == 1 and spec.training["start"]
    monkeypatch.setattr(retrain.subprocess, "run", lambda *_, **__: pytest.fail("ran again"))
    assert trained("epochs=1") == tmp_path / "run" / "checkpoint"
    with pytest.raises(InputRejected, match="holds a run with another recipe"):
        trained("epochs=2")


def test_training_that_fails_keeps_its_exit_code(untrained, small_ferplus, tmp_path, monkeypatch):
    monkeypatch.setattr(retrain.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 3))
    with pytest.raises(EnvironmentInvalid, match="ended with exit code 3"):
        retrain.run(untrained(training={}, metrics={}), tmp_path / "run", "microexpnet", str(small_ferplus))
