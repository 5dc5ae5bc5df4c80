"""Studies: what has a record is not run again, what was not run is said, and the table holds what the runs gave."""

import json
import sys

import pytest

from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from train import models, recipe, study

SMALL = {"epochs": 1, "input_size": 32, "batch_size": 16}


@pytest.fixture
def small_study(tmp_path, monkeypatch) -> str:
    (tmp_path / "studies").mkdir()
    rows = {
        "teacher": {"set": {"targets": "majority"}, "published": "88.97"},
        "pupil": {"set": {"ldg_share": 1.0}, "ldg": ["teacher"]},
    }
    text = json.dumps(
        {
            "title": "Small",
            "about": "A test.",
            "recipe": "efficientface",
            "set": SMALL,
            "seeds": [0],
            "rows": rows,
            "found": "So it is.",
        }
    )
    (tmp_path / "studies/small.yaml").write_text(text)
    monkeypatch.setattr(study, "FOLDER", tmp_path / "studies")
    return "small"


def test_a_study_is_run_once_and_rendered(small_study, small_ferplus, program, tmp_path, monkeypatch):
    def here(command, check):
        assert command[:2] == [sys.executable, "-m"]
        return program(*command[2:])

    monkeypatch.setattr(study.subprocess, "run", here)
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    with pytest.raises(EnvironmentInvalid, match="training 'teacher' ended with exit code 3"):
        study.run(small_study, None, tmp_path / "runs", tmp_path)
    records = tmp_path / "docs/results"
    nothing = study.table(small_study, records)
    assert "not run" in nothing and "So it is." not in nothing
    with pytest.raises(UsageError, match="nobody"):
        study.run(small_study, str(small_ferplus), tmp_path / "runs", records, ["nobody"])
    study.run(small_study, str(small_ferplus), tmp_path / "runs", records, ["teacher"])
    assert [r["row"] for r in json.loads((records / "small.json").read_text())["runs"]] == ["teacher"]
    study.run(small_study, str(small_ferplus), tmp_path / "runs", records)
    runs = json.loads((records / "small.json").read_text())["runs"]
    assert [(r["row"], r["seed"]) for r in runs] == [("teacher", 0), ("pupil", 0)]
    assert runs[1]["ldg"][0]["training"]["recipe"]["targets"] == "majority"
    assert runs[0]["faces"] == 24
    monkeypatch.setattr(study.subprocess, "run", lambda *_, **__: pytest.fail("ran again"))
    study.run(small_study, str(small_ferplus), tmp_path / "runs", records)
    page = study.render(records)
    assert f"| teacher | {100 * runs[0]['accuracy']:.2f} [" in page
    assert "88.97" in page and "So it is." in page
    assert "not run" not in page


def test_mean_and_range_over_the_seeds():
    runs = [{"accuracy": a, "faces": 1000, "rows": 1200, "macro_recall": m} for a, m in ((0.80, 0.5), (0.84, 0.7))]
    cells = study._figures(runs).split(" | ")
    assert cells[0].startswith("82.00 [79.5")
    assert cells[1:] == ["2", "80.00–84.00", "60.0", "1,200"]
    assert study._figures(runs[:1]).split(" | ")[1:] == ["1", "–", "50.0", "1,200"], "one seed has no range"


@pytest.mark.parametrize("name", study.names())
def test_shipped_studies_are_recipes_that_build(name):
    loaded = study.load(name)
    for row in loaded.rows.values():
        overrides = [f"{k}={json.dumps(v)}" for k, v in {**loaded.set, **row.set}.items()]
        chosen = recipe.load(row.recipe or loaded.recipe, overrides)
        assert set(recipe.load(row.recipe or loaded.recipe).options) <= set(chosen.options), (
            "a row lost what its recipe sets"
        )
        models.build(chosen.system, 8, chosen.channels, chosen.options)
        folders = [each for each in (row.start, *row.ldg) if each and each not in loaded.rows]
        assert all((study.ROOT / folder / "model.json").is_file() for folder in folders)
        assert bool(row.ldg) == (chosen.ldg_share > 0)


def test_wrong_studies_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FOLDER", tmp_path)
    with pytest.raises(UsageError, match="unknown study 'x'"):
        study.load("x")
    (tmp_path / "x.yaml").write_text("title: x\nabout: x\nrows: {a: {colour: red}}\n")
    with pytest.raises(InputRejected, match=r"row 'a': unknown fields colour"):
        study.load("x")
    (tmp_path / "x.yaml").write_text("just words")
    with pytest.raises(InputRejected, match="is not a study"):
        study.load("x")


def test_a_row_may_begin_with_shipped_weights_and_be_taught_by_them(tmp_path):
    row = study.Row(recipe="efficientface", start="train/checkpoints/a", ldg=("teacher", "train/checkpoints/b"))
    made = study.Study("t", "a", {"teacher": study.Row(recipe="resnet18"), "pupil": row})
    words = study.command(made, "pupil", 3, tmp_path, None)
    assert words[words.index("--start") + 1] == str(study.ROOT / "train/checkpoints/a")
    first = words.index("--ldg") + 1
    assert words[first : first + 2] == [
        str(tmp_path / "teacher-3" / "checkpoint"),
        str(study.ROOT / "train/checkpoints/b"),
    ]
