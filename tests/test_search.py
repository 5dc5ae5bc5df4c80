"""The search: its front and choice from made-up figures, resuming, and one real trial from command to files."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from compress import front, search
from compress.search import Asked, Configuration, Found
from edgefer import parity, targets
from edgefer.errors import BudgetBroken, InputRejected

BASE = Configuration(48, 0, 1.0, "int8")


def found(accuracy: float = 0.85, relative: float = 1.0, size: float = 1.0, own_flips: float = 0.01) -> Found:
    """Figures of a trial against a reference that is right on 850 of 1,000 faces of one class."""
    labels, right = np.zeros(1000, int), round(1000 * accuracy)
    reference, said = (np.arange(1000) >= k for k in (850, right))
    paired = parity.paired(reference.astype(int), said.astype(int), labels, ("a", "b"))
    return Found(paired, own_flips, 2.0 * relative, relative, size, False)


@pytest.fixture
def target():
    budgets = {"fps": targets.Budget(min=600), "artifact_mb": targets.Budget(max=1.2)}
    return replace(targets.get("i7"), budgets=budgets)


def test_front_keeps_what_no_other_beats():
    fast, small = found(0.80, 0.4, 0.9), found(0.84, 0.9, 0.5)
    beaten, best = found(0.79, 0.5, 0.9), found(0.85, 1.0, 1.0)
    trials = [(replace(BASE, blocks=i), f) for i, f in enumerate([best, beaten, fast, small])]
    assert [f for _, f in front.pareto(trials)] == [fast, small, best]


def test_fastest_that_holds_the_budgets_is_chosen(target):
    trials = [
        (BASE, found(0.85, 1.0)),  # 500 fps: too slow
        (replace(BASE, blocks=1), found(0.849, 0.8)),
        (replace(BASE, blocks=2), found(0.848, 0.6)),
        (replace(BASE, blocks=3), found(0.80, 0.4)),  # 5 points lost
        (replace(BASE, blocks=4), found(0.849, 0.5, size=1.5)),  # too large
        (replace(BASE, blocks=5), found(0.849, 0.5, own_flips=0.05)),  # quantising breaks it
    ]
    chosen, _, wrong = front.choose(trials, target)
    assert (chosen.blocks, wrong) == (2, [])


def test_what_was_chosen_is_told_with_its_network(target, tmp_path):
    asked = Asked(tmp_path / "base", target, tmp_path, 1, 0, 0, None)
    small = replace(BASE, blocks=3)
    trials = [(BASE, found(0.85, 1.0)), (small, found(0.849, 0.6, 1.0))]
    (tmp_path / "networks" / small.network).mkdir(parents=True)
    assert f"Its network: {tmp_path / 'networks' / 's48-b3-w1000'}; it was trained on" in front.told(trials, asked)
    assert front.broken(trials, target) == ["s48-b0-w1000 int8 breaks: fps is 500, at least 600 is asked for"]
    roomy = replace(target, budgets={})
    told = front.told(trials[:1], replace(asked, target=roomy))
    assert "holds the budgets of i7" in told and f"the network as it came: {tmp_path / 'base'}" in told


def test_nearest_is_named_when_nothing_holds(target, tmp_path):
    trials = [(BASE, found(0.85, 1.0)), (replace(BASE, blocks=3), found(0.70, 1.5, 3.0))]
    chosen, _, wrong = front.choose(trials, target)
    assert chosen == BASE
    assert wrong == ["fps is 500, at least 600 is asked for"]
    told = front.told(trials, Asked(tmp_path, target, tmp_path, 1, 0, 0, None))
    assert "no configuration holds the budgets of i7; nearest is s48-b0-w1000 int8" in told
    value = json.loads(json.dumps(front.to_json(trials, target, tmp_path)))
    assert not value["satisfied"]
    assert Found.from_json({k: v for k, v in value["chosen"].items() if k not in ("configuration", "problems")})


def test_picture_is_drawn(target, tmp_path):
    trials = [(BASE, found()), (replace(BASE, precision="fp32"), found(0.85, 1.8, 4.0))]
    front.draw(trials, target, tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 10_000


@pytest.fixture(scope="module")
def tiny(untrained):
    return untrained(training={}, metrics={})


@pytest.fixture
def asked(tiny, tmp_path, target):
    return Asked(tiny, target, tmp_path / "search", 10, 0, 0, "synthetic", trials=1)


def test_a_killed_search_goes_on_with_the_trial_that_died(asked, monkeypatch):
    measured = []

    def measure(self, chosen):
        measured.append(chosen)
        return found(relative=1 + len(measured) / 10)

    monkeypatch.setattr(search.Search, "measure", measure)
    first = search.run(asked)
    assert [chosen for chosen, _ in first] == measured == [replace(BASE)]

    died = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    real, died_at = os.getpid, []

    def killed(self, chosen):
        died_at.append(chosen)
        raise KeyboardInterrupt

    monkeypatch.setattr(search.os, "getpid", lambda: died.pid)
    monkeypatch.setattr(search.Search, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        search.run(asked)
    died.kill()
    died.wait()
    monkeypatch.setattr(search.os, "getpid", real)
    monkeypatch.setattr(search.Search, "measure", measure)
    search.run(replace(asked, trials=len(search.Search(asked, print).first())))
    assert died_at[0] in measured
    assert len(measured) == len(set(measured)), "nothing is measured twice"


def test_trials_of_another_search_are_not_its_own(asked, untrained, monkeypatch, tmp_path):
    monkeypatch.setattr(search.Search, "measure", lambda self, chosen: found())
    shared = replace(asked, storage=f"sqlite:///{tmp_path}/studies.db")
    assert len(search.run(shared)) == 1
    other = replace(shared, base=untrained(training={}, metrics={}, input_size=64))
    with pytest.raises(InputRejected, match="holds a search of another network, --epochs, --rows or data"):
        search.run(other)
    assert [chosen.input_size for chosen, _ in search.run(replace(other, out=tmp_path / "other"))] == [64]


def test_a_trial_that_fails_costs_only_itself(asked, monkeypatch):
    def measure(self, chosen):
        if chosen.precision == "fp32":
            raise BudgetBroken("training failed")
        return found()

    monkeypatch.setattr(search.Search, "measure", measure)
    trials = search.run(replace(asked, trials=3))
    assert [chosen.precision for chosen, _ in trials] == ["int8", "int8"]


def test_command_searches_and_says_what_holds(tiny, tmp_path):
    """One real trial: quantised, timed in turns with itself, judged."""
    command = [sys.executable, "-m", "compress", "--system", "microexpnet", "--checkpoint", str(tiny), "--target", "i7"]
    more = ["--data", "synthetic", "--epochs", "0", "--trials", "1", "--out", str(tmp_path / "search")]
    done = subprocess.run(
        [*command, *more, "--json", str(tmp_path / "f.json")], capture_output=True, text=True, timeout=500
    )
    assert done.returncode in (0, 1), done.stderr
    value = json.loads((tmp_path / "f.json").read_text())
    assert value["satisfied"] == (done.returncode == 0)
    (trial,) = value["trials"]
    assert trial["configuration"] == asdict(BASE)
    assert 0.3 < trial["relative"] < 3
    assert (tmp_path / "search" / "front.png").exists()
    assert "Pareto front for i7" in done.stdout


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--system", "resnet18", "--checkpoint", "train/checkpoints/efficientface"], "is a checkpoint of efficientface, not of"),
    ([], "name a --checkpoint to quantise, or a --system to search"),
])  # fmt: skip
def test_mistakes(program, monkeypatch, arguments, sentence):
    monkeypatch.chdir(search.ROOT)
    done = program("compress", "--target", "i7", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
