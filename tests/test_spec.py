"""ModelSpec: what travels with the weights comes back unchanged, and a damaged one says what is wrong with it."""

import json

import pytest

from edgefer.errors import InputRejected
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec

POINTS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))


def spec() -> ModelSpec:
    return ModelSpec("tiny", FERPLUS_LABELS, 64, 1, Alignment(POINTS, {"haar": (0.0, 0.1, 0.9, 0.9)}))


def test_round_trip(tmp_path):
    spec().save(tmp_path / "model.json")
    assert ModelSpec.load(tmp_path / "model.json") == spec()


def test_crop_shape():
    assert spec().crop_shape == (1, 64, 64, 1)


def test_same_spec_same_bytes(tmp_path):
    for name in "ab":
        spec().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def changed(**fields) -> dict:
    return {**json.loads(json.dumps(spec().to_json())), **fields}


@pytest.mark.parametrize(
    "fields, told",
    [
        ({"schema": 2}, "schema 2"),
        ({"colour": "red"}, "'colour' is unknown"),
        ({"labels": ["one"]}, "'labels'"),
        ({"labels": ["one", "one"]}, "different names"),
        ({"input_size": 8}, "'input_size'"),
        ({"channels": 2}, "'channels'"),
        ({"scale": 0}, "'scale'"),
        ({"mean": "128"}, "'mean'"),
        ({"alignment": {"landmarks": POINTS[:4], "boxes": {}}}, "five 'landmarks'"),
        ({"alignment": {"landmarks": [POINTS[0]] * 5, "boxes": {}}}, "coincide"),
        ({"alignment": {"landmarks": POINTS, "boxes": {"haar": [0, 0, 0, 1]}}}, "with an area"),
        ({"alignment": {"landmarks": [(float("nan"), 0.0), *POINTS[1:]], "boxes": {}}}, "five 'landmarks'"),
    ],
)
def test_a_wrong_field_is_named(fields, told):
    with pytest.raises(InputRejected, match=told):
        ModelSpec.from_json(changed(**fields), "model.json")


def test_all_problems_at_once():
    value = changed(colour="red")
    del value["labels"], value["channels"]
    with pytest.raises(InputRejected) as caught:
        ModelSpec.from_json(value, "model.json")
    assert all(f"'{name}'" in str(caught.value) for name in ("labels", "channels", "colour"))


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_a_file_that_is_no_json_object(tmp_path, text):
    (tmp_path / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputRejected, match=r"model\.json"):
        ModelSpec.load(tmp_path / "model.json")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputRejected, match="is missing"):
        ModelSpec.load(tmp_path / "model.json")
