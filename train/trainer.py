"""How a run is carried out, whatever it trains: Lightning's trainer, the folder it owns, the checkpoints it rests on."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import lightning as L
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from edgefer.errors import InputRejected
from edgefer.files import read_json, sha256, write_json
from train import checkpoint
from train.resume import SafetensorsCheckpointIO

STATE = "last.safetensors"


class Length(Protocol):
    """What a run needs of any recipe."""

    epochs: int
    precision: str
    ema: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of everything that trains on faces."""
    add = parser.add_argument
    ldg = "checkpoints that generate label distributions (LDL)"
    add("--ldg", type=Path, metavar="DIR", nargs="+", default=[], help=ldg)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of the recipe")
    add("--limit", type=number, metavar="N", help="use only the first N training rows, to try things")


def number(text: str) -> int:
    """For argparse: a whole number above 0."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return int(text)


def seed(text: str) -> int:
    """For argparse: what numpy takes as one."""
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {2**32 - 1}, not {text}")
    return int(text)


def places(text: str) -> str:
    """For argparse: 'auto', or a whole number above 0."""
    return text if text == "auto" else str(number(text))


def fit(
    out: Path, learner: L.LightningModule, data: L.LightningDataModule, chosen: Length, devices: str = "auto", **more
) -> L.Trainer:
    """Train, or go on from the state that ``out`` holds.

    Args:
        out: folder of the run.
        learner: with its loss and metrics.
        data: what it learns from.
        chosen: the recipe.
        devices: how many GPUs or processes.
        more: further arguments of Lightning's trainer.
    """
    trainer = _trainer(out, chosen, devices, more)
    state = out / STATE
    if not state.exists():
        trainer.fit(learner, data)
        return trainer
    print(f"resuming from {state}")
    left = SafetensorsCheckpointIO().load_checkpoint(state)
    trainer.fit(learner, data, ckpt_path=str(state))
    if trainer.global_step == left["global_step"]:  # all was done; Lightning then leaves the weights before averaging
        learner.load_state_dict(left["state_dict"])
    return trainer


def rests_on(folder: Path) -> dict:
    """Another checkpoint that a run begins or learns from: its hash and what it was trained on."""
    _, spec = checkpoint.load(folder)
    return {"weights_sha256": sha256(folder / checkpoint.WEIGHTS), "training": spec.training}


def described(chosen, seed: int, limit: int | None, start: Path | None, ldg: Sequence[Path]) -> dict:
    """What tells a training run from others: recipe, seed, number of training rows, and the checkpoints it rests on."""
    origin = {"start": rests_on(start) if start else None, "ldg": [rests_on(folder) for folder in ldg]}
    return {"recipe": chosen.to_json(), "seed": seed, "limit": limit, **origin}


def claim(out: Path, run: dict) -> None:
    """A run folder belongs to one recipe and seed; resuming with another would be neither.

    Raises:
        InputRejected: ``out`` belongs to another run.
    """
    file = out / "run.json"
    run = json.loads(json.dumps(run))
    if file.exists() and read_json(file) != run:
        raise InputRejected(
            f"{out} holds a run with another recipe, seed, limit, start or LDG; give another --out, or delete it"
        )
    write_json(file, run)


def _trainer(out: Path, chosen: Length, devices: str, more: dict) -> L.Trainer:
    saver = ModelCheckpoint(dirpath=out, filename=Path(STATE).stem, save_top_k=1, enable_version_counter=False)
    saver.FILE_EXTENSION = ".safetensors"
    callbacks = [saver, LearningRateMonitor("epoch"), RichProgressBar() if sys.stdout.isatty() else TQDMProgressBar(50)]
    if chosen.ema:
        callbacks.append(EMAWeightAveraging(decay=chosen.ema))
    warnings.filterwarnings("ignore", ".*does not have many workers.*")  # the data is in memory
    return L.Trainer(
        max_epochs=chosen.epochs,
        **_places(devices),
        precision=chosen.precision,
        callbacks=callbacks,
        logger=[CSVLogger(out, name="", version="csv"), TensorBoardLogger(out, name="", version="tensorboard")],
        plugins=[SafetensorsCheckpointIO()],
        use_distributed_sampler=False,
        gradient_clip_val=5.0,
        log_every_n_steps=20,
        num_sanity_val_steps=0,
        **more,
    )


def _places(devices: str) -> dict:
    """Devices on each machine, and machines: as torchrun started the processes, otherwise as asked for."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}
    return {"devices": devices if devices == "auto" else int(devices)}
