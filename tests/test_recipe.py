"""Recipes: every shipped one builds; mistakes are told all at once."""

import pytest

from edgefer.errors import InputRejected, UsageError
from train import models, recipe


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_builds(name):
    chosen = recipe.load(name)
    network = models.build(chosen.system, 8, chosen.channels, chosen.options)
    assert sum(p.numel() for p in network.parameters()) > 0
    assert recipe.from_json(chosen.to_json()) == chosen


def test_overrides_reach_inside():
    chosen = recipe.load("efficientface", ["epochs=3", "augmentation.rotate=0", "options.modulator=multiply"])
    assert (chosen.epochs, chosen.augmentation.rotate, chosen.options["modulator"]) == (3, 0, "multiply")


def test_all_problems_at_once(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("epochs: many\nspeed: 3\naugmentation: {flips: true}\n")
    with pytest.raises(InputRejected) as error:
        recipe.load(str(file))
    for part in ("unknown field 'speed'", "'system' is missing", "'epochs' must be int", "augmentation: unknown field"):
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["a: [", "- a list", ""])
def test_not_a_recipe(tmp_path, text):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InputRejected):
        recipe.load(str(file))


def test_usage():
    with pytest.raises(UsageError, match=r"unknown recipe 'nope'.*efficientface"):
        recipe.load("nope")
    with pytest.raises(UsageError, match="key=value"):
        recipe.load("efficientface", ["epochs"])
    with pytest.raises(UsageError, match="unknown targets 'guess'"):
        recipe.load("efficientface", ["targets=guess"])
    for override, told in {
        "epochs=0": "'epochs' must be at least 1",
        "epochs.x=1": "'epochs' has nothing inside",
        "options={a": "is no YAML value",
        "learning_rate=-1": "'learning_rate' must be above 0",
        "warmup=1": "'warmup' is a share from 0 to below 1",
        "ema=1.5": "'ema' is a share",
        "ldg_share=2": "'ldg_share' is a share from 0 to 1",
        "precision=fp16": "unknown precision 'fp16'",
        "weight_decay=.nan": "'weight_decay' must be at least 0",
        "augmentation.mixup=-1": "'augmentation.mixup' must be at least 0",
        "augmentation.scale=1": "'augmentation.scale' must be below 1",
    }.items():
        with pytest.raises(UsageError, match=told):
            recipe.load("efficientface", [override])
    for pair, told in {
        ("data=synthetic", "synthetic=9"): "set synthetic=0",
        ("au_factor=1", "balance=oversample"): "own copies",
        ("au_factor=1", "augmentation.mixup=0.2"): "single faces",
    }.items():
        with pytest.raises(UsageError, match=told):
            recipe.load("efficientface", list(pair))
