"""Search: which input size, pruning and precision of a network meets a target's budgets, and at what price.

Each trial prunes the trained network, sets its input size, trains it on for a little while, quantises it, and judges it on the
tuning crops; ``python -m benchmarks.latency`` times it on the target in turns with the network as it came. What is returned is
the Pareto front of accuracy against latency and size, and the fastest configuration that holds the budgets. Optuna keeps the
study in a file or data base that several machines may share; a search that was killed goes on, its unfinished trial first.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from compress import calibration, quantize, retrain
from compress.accuracy_aware import answers
from compress.convert import openvino_model
from compress.prune import pruned
from compress.toollog import Say, tool_output
from edgefer import parity
from edgefer.errors import BudgetBroken, EdgeferError, InputRejected, UsageError
from edgefer.files import new_folder, read_json, sha256, write_json
from edgefer.spec import ModelSpec
from edgefer.targets import Target
from train import checkpoint, graph
from train.evaluate import use_ferplus
from train.models.efficientface import EfficientFace

SIZES = (32, 40, 48, 56, 64, 80, 96)
WIDTHS = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375)
BLOCKS = 8
"""The most blocks that may leave."""
ROOT = Path(__file__).resolve().parents[1]
JOURNAL, NAME = "study.journal", "search"


@dataclass(frozen=True)
class Configuration:
    """One point of the search."""

    input_size: int
    blocks: int
    """That leave; see ``compress.prune``."""
    width: float
    """Share of the channels that stay."""
    precision: str

    @property
    def network(self) -> str:
        """Name of the network, whatever its precision."""
        return f"s{self.input_size}-b{self.blocks}-w{round(1000 * self.width)}"


@dataclass(frozen=True)
class Found:
    """What a trial measured."""

    paired: parity.Paired
    """Against the network as it came, fp32, on the tuning crops."""
    own_flips: float
    """Labels that quantising changed in the trial's own network."""
    latency_ms: float
    relative: float
    """Latency over that of the network as it came, int8 as the target runs it, timed in turns with it."""
    artifact_mb: float
    proxy: bool
    """Timed on another machine than the target."""

    @property
    def accuracy(self) -> float:
        """On the tuning crops; where they have no labels, agreement with the network as it came."""
        return 1 - self.paired.flip_rate if self.paired.accuracy_candidate is None else self.paired.accuracy_candidate

    def to_json(self) -> dict:
        return {**asdict(self), "accuracy": self.accuracy}

    @classmethod
    def from_json(cls, value: dict) -> "Found":
        value = {name: part for name, part in value.items() if name != "accuracy"}
        return cls(**{**value, "paired": parity.Paired(**value["paired"])})


@dataclass(frozen=True)
class Asked:
    """What a search may do."""

    base: Path
    """Checkpoint of the network as it came."""
    target: Target
    out: Path
    minutes: float
    """No trial begins later than this."""
    epochs: int
    """Of training on; 0: none."""
    limit: int
    """Training rows of it; 0: all."""
    data: str | None
    trials: int | None = None
    """No more than so many; None: as many as the time allows."""
    storage: str | None = None
    """URL of a data base that several machines share; None: a file in ``out``."""
    devices: Path | None = None
    """Another devices.yaml."""


class Search:
    """A network's configurations, made and measured one at a time."""

    def __init__(self, asked: Asked, say: Say):
        self.asked, self.say = asked, say
        self.network, self.spec = checkpoint.load(asked.base)
        self._faces: dict[int, calibration.Calibration] = {}
        self.faces = self.faces_for(self.spec)
        self.expected = graph.probabilities(self.network, self.spec, self.faces.tuning).argmax(1)

    def faces_for(self, spec: ModelSpec) -> calibration.Calibration:
        """Calibration and tuning crops of a network's input size, read once."""
        if spec.input_size not in self._faces:
            self._faces[spec.input_size] = calibration.collect(spec, self.asked.data)
        return self._faces[spec.input_size]

    def space(self) -> dict[str, list]:
        """Choices of each dimension."""
        own = self.spec.input_size
        prunable = isinstance(self.network, EfficientFace)
        sizes = sorted({own, *(s for s in SIZES if 0.6 * own <= s <= own)})
        return {
            "input_size": sizes,
            "blocks": list(range(BLOCKS + 1)) if prunable else [0],
            "width": list(WIDTHS),
            "precision": ["fp32", "int8"],
        }

    def first(self) -> list[Configuration]:
        """What is tried before the sampler knows anything: the network as it came, then one change at a time."""
        own = Configuration(self.spec.input_size, 0, 1.0, "int8")
        tried = [own, replace(own, precision="fp32"), replace(own, width=0.75)]
        if 4 in self.space()["blocks"]:
            tried.append(replace(own, blocks=4))
        smaller = [size for size in self.space()["input_size"] if size < own.input_size]
        return tried + [replace(own, input_size=size) for size in smaller[-1:]]

    def measure(self, chosen: Configuration) -> Found:
        """Make a configuration and measure it.

        Raises:
            UsageError: the network cannot be pruned so.
            EdgeferError: its training or timing failed.
        """
        folder = self.trained(chosen)
        network, spec = checkpoint.load(folder)
        faces = self.faces_for(spec)
        own = graph.probabilities(network, spec, faces.tuning).argmax(1)
        said = own
        if chosen.precision == "int8":
            self.say(f"{chosen.network}: quantising")
            said = quantized_labels(network, spec, faces, self.asked.target.vnni)
        paired = parity.paired(self.expected, said, faces.tuning_labels, self.spec.labels)
        self.say(f"{chosen.network} {chosen.precision}: timing")
        timed = self.timed(folder, chosen.precision)
        return Found(
            paired,
            float((own != said).mean()),
            timed["latency_ms"]["value"],
            1 / timed["speedup"]["value"],
            timed["artifact_mb"],
            timed["proxy"],
        )

    def trained(self, chosen: Configuration) -> Path:
        """Folder of the configuration's network, pruned and trained on; made once, whatever the precision."""
        plain = Configuration(self.spec.input_size, 0, 1.0, chosen.precision)
        if chosen == plain:
            return self.asked.base
        folder = self.asked.out / "networks" / chosen.network
        start = folder / "pruned"
        if not start.exists():
            small, spec = pruned(self.network, self.spec, self.faces.crops, chosen.blocks, chosen.width)
            with new_folder(start) as new:
                checkpoint.save(new, small, replace(spec, input_size=chosen.input_size))
        if not self.asked.epochs:
            return start
        self.say(f"{chosen.network}: training on for {self.asked.epochs} epochs")
        overrides = [f"epochs={self.asked.epochs}", "ldg_share=0.0", "views=0", "synthetic=0", "warmup=0.1", "ema=0.98"]
        name = retrain.recipe_of(self.spec)
        return retrain.run(start, folder, name, self.asked.data, self.asked.limit, overrides)

    def timed(self, folder: Path, precision: str) -> dict:
        """What ``python -m benchmarks.latency`` says; benchmarks is asked as a program, it lies above this room."""
        file = self.asked.out / "latency.json"
        words = [sys.executable, "-m", "benchmarks.latency", "--target", self.asked.target.name, "--json", str(file)]
        words += ["--checkpoint", str(folder), "--precision", precision, "--against", str(self.asked.base)]
        words += ["--devices", str(self.asked.devices)] if self.asked.devices else []
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BudgetBroken(f"timing {folder} failed: {done.stderr.strip()[-300:] or done.returncode}")
        return read_json(file)


def quantized_labels(network: nn.Module, spec: ModelSpec, faces: calibration.Calibration, vnni: bool) -> np.ndarray:
    """Labels (N,) of the tuning crops by the network in int8, quantised the first way that would be tried."""
    model = openvino_model(graph.DeployedGraph(network, spec).eval(), spec.crop_shape)
    chosen = quantize.remedies(vnni)[0]
    name = model.inputs[0].any_name
    return answers(quantize.nncf_quantize(model, faces.crops, chosen, name), faces.tuning, name)


def run(asked: Asked) -> list[tuple[Configuration, Found]]:
    """Search until the time is spent; all finished trials, also those of earlier sittings and other machines.

    Raises:
        UsageError: the data base cannot be used.
        InputRejected: ``out`` holds another search.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked.out.mkdir(parents=True, exist_ok=True)
    name, storage = f"{NAME}-{asked.target.name}-{_claimed(asked)}", asked.storage or _journal(asked.out)
    sampler = optuna.samplers.TPESampler(seed=len(list(asked.out.iterdir())), multivariate=True)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=["maximize", "minimize", "minimize"],
            sampler=sampler,
            load_if_exists=True,
        )
    except Exception as error:  # whatever a data base's driver raises
        if not asked.storage:
            raise
        told = str(error).strip().splitlines()[:1]
        raise UsageError(
            f"--storage {asked.storage} cannot be used ({' '.join(told)}); give sqlite:///FILE, say"
        ) from None
    end = time.monotonic() + 60 * asked.minutes
    with tool_output(asked.out / "tools.log") as told:
        search = Search(asked, told)
        _again(study)
        if not study.trials:
            for chosen in search.first():
                study.enqueue_trial(asdict(chosen), skip_if_exists=True)
        number = 0
        while time.monotonic() < end and (asked.trials is None or number < asked.trials):
            _one(study, search, told)
            number += 1
    return finished(study)


def _claimed(asked: Asked) -> str:
    """The folder is this search's, of which a hash is returned: trials of another network or training are not its own.

    Raises:
        InputRejected: it is another's.
    """
    network = [sha256(asked.base / name) for name in (checkpoint.SPEC, checkpoint.WEIGHTS)]
    faces = "FER+" if use_ferplus(asked.data) else "synthetic"
    search = {"network_sha256": network, "epochs": asked.epochs, "rows": asked.limit, "faces": faces}
    file = asked.out / "search.json"
    if file.exists() and read_json(file) != search:
        raise InputRejected(
            f"{asked.out} holds a search of another network, --epochs, --rows or data; give another --out, or delete it"
        )
    write_json(file, search)
    return hashlib.sha256(json.dumps(search).encode()).hexdigest()[:12]


def finished(study) -> list[tuple[Configuration, Found]]:
    """Configurations and what they measured, once each."""
    found = {}
    for trial in study.trials:
        if "found" in trial.user_attrs:
            chosen = Configuration(**trial.params)
            found[chosen] = Found.from_json(json.loads(trial.user_attrs["found"]))
    return list(found.items())


def _one(study, search: Search, say: Say) -> None:
    """One trial; one that was measured before is not measured again."""
    import optuna

    trial = study.ask()
    trial.set_user_attr("worker", f"{socket.gethostname()} {os.getpid()}")
    chosen = Configuration(**{name: trial.suggest_categorical(name, values) for name, values in search.space().items()})
    known = dict(finished(study))
    try:
        found = known.get(chosen) or search.measure(chosen)
    except EdgeferError as error:
        say(f"{chosen.network}: {error}")
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    trial.set_user_attr("found", json.dumps(found.to_json()))
    study.tell(trial, [found.accuracy, found.relative, found.artifact_mb])
    say(
        f"{chosen.network} {chosen.precision}: {found.accuracy:.2%}, {found.relative:.2f} × latency, {found.artifact_mb:.2f} MB"
    )


def _again(study) -> None:
    """Trials that died with their process on this machine are given up, and asked for again."""
    import optuna

    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        host, _, pid = trial.user_attrs.get("worker", "").partition(" ")
        if host == socket.gethostname() and pid and not Path(f"/proc/{pid}").exists():
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params, skip_if_exists=False)


def _journal(out: Path):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(out / JOURNAL)))
