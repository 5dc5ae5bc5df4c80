"""Where the speed comes from: ``run.py --factors``. A chain from the paper's setting to the artifact, one change a step.

    paper      the system as its paper builds it, at the paper's input size, fp32, eager PyTorch
    engine     the same network at the same size, exported, in the target's engine
    input      the bundle's own network and input size (stem and channels included), fp32, same engine
    int8       the same, in int8
    structure  a pruned checkpoint of it, in int8 (``--pruned DIR``)

All links run in one interleaved run; a step's factor is the ratio of blocks that ran next to each other, with the interval of
all other ratios. Where the target runs fp32 there is no step to int8.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import contenders, stats
from benchmarks.growth import exported_job
from benchmarks.peer_networks import settle_normalisation
from edgefer.files import new_folder
from edgefer.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "factors"
PAPER, ENGINE, INPUT, INT8, STRUCTURE = "paper", "engine", "input", "int8", "structure"
SETTLING_CROPS = 4


def study(session, pruned: Path | None = None) -> dict:
    """``{"factors": [step, …], "factors_interleaved": raw samples}``; see ``steps`` for a step's fields.

    Raises:
        InputRejected: the pruned checkpoint is damaged.
    """
    found = jobs(session, pruned)
    run = session.interleaved("factors", {name: job for name, (_, job) in found.items()}, session.effort.plan)
    return {
        "factors": steps({name: what for name, (what, _) in found.items()}, run.blocks),
        "factors_interleaved": run.to_json(),
    }


def jobs(session, pruned: Path | None) -> dict[str, tuple[str, dict]]:
    """Step → what runs, in words, and the job of its worker."""
    from train.models import SYSTEMS

    target, spec = session.target, session.bundle.spec
    side = SYSTEMS[spec.system].INPUT_SIZE
    eager = {"kind": "eager", "system": spec.system, "threads": target.threads}
    paper = _exported(session, paper_checkpoint(spec, FOLDER), "fp32", side)
    fp32 = contenders.artifact_job(session.bundle, target.engine, "fp32", target.threads)
    found = {
        PAPER: (f"{spec.system}, {side}², eager PyTorch, fp32", eager),
        ENGINE: (f"the same in {target.engine}", paper),
        INPUT: (f"the bundle's network, {spec.input_size}² × {spec.channels}", fp32),
    }
    if target.precision == "int8":
        found[INT8] = ("in int8", session.job)
    if pruned:
        small = ModelSpec.load(pruned / "model.json")
        job = _exported(session, pruned, target.precision, small.input_size)
        found[STRUCTURE] = (f"pruned, {small.input_size}² × {small.channels}", job)
    return found


def steps(what: dict[str, str], blocks: dict[str, np.ndarray]) -> list[dict]:
    """One row a step: {step, what, latency_ms, latency_ci95, factor, factor_ci95, all, all_ci95}.

    ``factor`` is over the step before, ``all`` over the first; both None for the first itself.

    Args:
        what: step → words, in the order of the chain.
        blocks: step → nanoseconds (rounds, blocks, n).
    """
    rows, names = [], list(what)
    for index, name in enumerate(names):
        latency = stats.median(blocks[name] / 1e6)
        row = {"step": name, "what": what[name], "latency_ms": latency.value, "latency_ci95": list(latency.ci95)}
        for column, other in (("factor", names[max(0, index - 1)]), ("all", names[0])):
            ratio = stats.ratio(blocks[other], blocks[name]) if index else None
            row |= {column: ratio and ratio.value, f"{column}_ci95": ratio and list(ratio.ci95)}
        rows.append(row)
    return rows


def paper_checkpoint(spec: ModelSpec, root: Path) -> Path:
    """Folder of the system as its paper builds it, with random weights, which do not change the time; made once.

    Its batch normalisations have seen random pictures: activations that vanish would be denormal numbers, which are slow.
    """
    import torch

    from train import checkpoint, models

    cls = models.SYSTEMS[spec.system]
    own = replace(spec, input_size=cls.INPUT_SIZE, channels=cls.CHANNELS, options={}, training={}, metrics={})
    key = hashlib.sha256(repr(own).encode()).hexdigest()[:12]
    folder = root / f"{spec.system}-{key}"
    if not folder.exists():
        torch.manual_seed(0)
        network = models.build(spec.system, len(spec.labels), cls.CHANNELS)
        settle_normalisation(network, torch.randn(SETTLING_CROPS, cls.CHANNELS, cls.INPUT_SIZE, cls.INPUT_SIZE))
        with new_folder(folder) as new:
            checkpoint.save(new, network.eval(), own)
    return folder


def _exported(session, checkpoint: Path, precision: str, size: int) -> dict:
    told = exported_job(session, "factors", checkpoint, precision, size, folder=FOLDER)
    return {"kind": "artifact", "engine": session.target.engine, **told}
