"""What people deploy, beside our target in the same interleaved run: ``python benchmarks/run.py --target T --peers``.

Each peer takes its own input, already normalised, so that its pre-processing is not counted; the target's is inside its graph
and is counted. Networks have random weights, which do not change the time (``benchmarks.peer_networks``). What each peer is and
how faithful: docs/benchmarks-peers.md.
"""

import hashlib
import importlib.util
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks import peak, peer_networks, stats
from benchmarks.contenders import TARGET
from edgefer.errors import EnvironmentInvalid
from edgefer.files import new_folder, read_json, sha256, write_json

FOLDER = Path(__file__).resolve().parents[1] / "build" / "peers"
LEAST_INFERENCES = 1
"""In a block: the slowest peer takes a second for one."""
SETTLE_S = 0.05
"""onnxruntime's threads, left to their defaults as people leave them, spin for 10 to 20 ms after an inference."""
POSSIBLE = 1.05
"""Largest share of the peak that measuring alone explains."""
SOURCES = ("torch", "torchvision", "timm", "onnx", "onnxscript")
"""Packages that decide what an exported file is."""


@dataclass(frozen=True)
class Peer:
    """One system as somebody deploys it."""

    network: str
    """A system of ``train.models``, for eager; otherwise one of ``peer_networks.BUILDERS``."""
    engine: str
    """eager, onnx (onnxruntime) or opencv (its dnn module)."""
    note: str
    input_size: int = 224
    classes: int = 8
    heavy: bool = False
    """Left out of a quick run."""

    @property
    def role(self) -> str:
        return f"{self.network} {ENGINES[self.engine]}"


ENGINES = {"eager": "torch eager", "onnx": "onnxruntime", "opencv": "opencv dnn"}
_EMOTIEFF = "as EmotiEffLib ships it"
PEERS = (
    Peer("efficientface", "eager", "paper 001's own set-up"),
    Peer("imponderous", "eager", "paper 000's own set-up"),
    Peer("csgresnet18", "eager", "paper 002's own set-up"),
    Peer("microexpnet", "eager", "paper 000's smallest rival"),
    Peer("involution_vit", "eager", "paper 004's own set-up", heavy=True),
    Peer("shufflenetv2", "onnx", "torchvision's ×1.0"),
    Peer("mobilenetv2", "onnx", "torchvision's ×1.0"),
    Peer("resnet18", "onnx", "torchvision's"),
    Peer("resnet50", "onnx", "torchvision's"),
    Peer("efficientnet_b0", "onnx", f"{_EMOTIEFF} (enet_b0_8)"),
    Peer("efficientnet_b2", "onnx", f"{_EMOTIEFF} (enet_b2_8)", 260),
    Peer("mobilevit_s", "onnx", f"{_EMOTIEFF} (mobilevit_va_mtl): 8 expressions, valence, arousal", 224, 10),
    Peer("mobilefacenet", "opencv", "as OpenCV's model zoo runs it", 112, 7),
    Peer("mobilefacenet", "onnx", "the same file in onnxruntime", 112, 7),
)


def study(session) -> dict:
    """Time the target, all peers and the kernels that show the machine's peak, in turns.

    Returns:
        samples: ``peers`` (rows), ``peak``, and ``peers_interleaved`` (raw).
    """
    threads = session.target.threads
    ready, absent = prepared([p for p in PEERS if not (p.heavy and session.effort.quick)], threads, session.say)
    kernels = peak.jobs(threads, FOLDER)
    jobs = {TARGET: session.job, **{role: row["job"] for role, row in ready.items()}, **kernels}
    plan = replace(session.effort.plan, min_n=LEAST_INFERENCES, settle_s=SETTLE_S)
    run = session.interleaved("peers", jobs, plan)
    found = peak.peaks(run.blocks, kernels)
    rows = [row(describe_target(session), TARGET, run.blocks, threads, found)]
    rows += [row(facts, role, run.blocks, threads, found) for role, facts in ready.items()]
    session.remarks += impossible(rows)
    rows += [dict.fromkeys(rows[0]) | facts | {"threads": threads} for facts in absent]
    return {"peers": rows, "peak": found, "peers_interleaved": run.to_json()}


def check_packages(study: str = "peers") -> None:
    """Refuse before anything is measured what could not be built after it.

    Raises:
        EnvironmentInvalid: names the missing package and how to install it.
    """
    missing = [name for name in ("torch", "torchvision", "onnx", "onnxscript") if not importlib.util.find_spec(name)]
    if missing:
        raise EnvironmentInvalid(f"{study} need {' and '.join(missing)}; run: pip install 'edgefer[workshop]'")


def row(facts: dict, role: str, blocks: dict[str, np.ndarray], threads: int, found: dict) -> dict:
    """One contender's figures: latency, how many times the target's, and its share of the machine's peak."""
    latency = stats.median(blocks[role] / 1e6)
    ratio = stats.ratio(blocks[role], blocks[TARGET])
    rate = facts["macs"] / 1e6 / latency.value if facts["macs"] else None
    best = found.get(facts["precision"])
    return {
        **{name: facts[name] for name in ("name", "engine", "precision")},
        "threads": threads,
        "input_size": facts["input_size"],
        "latency_ms": latency.value,
        "latency_ci95": list(latency.ci95),
        "ratio": ratio.value,
        "ratio_ci95": list(ratio.ci95),
        **{name: facts[name] for name in ("params", "size_mb", "macs")},
        "gmacs_per_s": rate,
        "share_of_peak": rate / best["gmacs_per_s"] if rate and best else None,
        "note": facts["note"],
    }


def impossible(rows: list[dict]) -> list[str]:
    """A sentence for every row that is faster than the peak of its own precision: what was timed with it was then disturbed."""
    reason = "which cannot be: other programs slowed the kernels down more than it; measure on a quiet machine"
    return [
        f"peers: {row['name']} reached {row['share_of_peak']:.0%} of the {row['precision']} peak, {reason}"
        for row in rows
        if row["share_of_peak"] and row["share_of_peak"] > POSSIBLE
    ]


def prepared(peers: list[Peer], threads: int, say) -> tuple[dict[str, dict], list[dict]]:
    """Role → facts and job of every peer that can run here, and facts of those that cannot, with the remedy as their note."""
    ready, absent = {}, []
    for peer in peers:
        say(f"peers: {peer.role}")
        facts = {"name": peer.network, "engine": ENGINES[peer.engine], "precision": "fp32", "note": peer.note}
        try:
            ready[peer.role] = facts | (_eager(peer, threads) if peer.engine == "eager" else _exported(peer, threads))
        except ModuleNotFoundError as error:
            if error.name != "timm":
                raise
            remedy = f"absent: {error.name} is not installed here; run: pip install 'edgefer[peers]'"
            absent.append(facts | {"input_size": peer.input_size, "note": remedy})
    return ready, absent


def describe_target(session) -> dict:
    """Facts of the artifact that is measured: its network's parameters and cost, and the size of its files."""
    from train import models
    from train.models.__main__ import macs

    spec, target = session.bundle.spec, session.target
    network = models.build(spec.system, len(spec.labels), spec.channels, spec.options)
    return {
        "name": f"edgefer {spec.system}",
        "engine": target.engine,
        "precision": target.precision,
        "input_size": spec.input_size,
        "params": sum(p.numel() for p in network.parameters()),
        "macs": macs(network, (1, spec.channels, spec.input_size, spec.input_size)),
        "size_mb": session.artifact.bytes / 1e6,
        "note": "this target: its pre-processing is inside its graph and counted",
    }


def _eager(peer: Peer, threads: int) -> dict:
    """A paper's system: its weights would take four bytes a parameter."""
    from train.models.__main__ import describe

    told = describe(peer.network)
    return {
        **{name: told[name] for name in ("input_size", "params", "macs")},
        "size_mb": told["params"] * 4 / 1e6,
        "job": {"kind": "eager", "system": peer.network, "threads": threads},
    }


def _exported(peer: Peer, threads: int) -> dict:
    """A peer's ONNX file, built or found unchanged, and what runs it."""
    folder = onnx_file(peer.network, peer.classes, peer.input_size)
    told = read_json(folder / "peer.json")
    shape = [1, 3, peer.input_size, peer.input_size]
    return {
        **{name: told[name] for name in ("params", "macs")},
        "input_size": peer.input_size,
        "size_mb": (folder / "model.onnx").stat().st_size / 1e6,
        "job": {"kind": peer.engine, "model": str(folder / "model.onnx"), "shape": shape, "threads": threads},
    }


def onnx_file(network: str, classes: int, side: int, root: Path = FOLDER) -> Path:
    """The folder with ``model.onnx`` and ``peer.json`` of a network, built unless one of the same inputs is there."""
    inputs = _inputs(network, classes, side)
    key = hashlib.sha256(repr(sorted(inputs.items())).encode()).hexdigest()[:12]
    folder = root / f"{network}-{side}-{key}"
    if not _whole(folder):
        with new_folder(folder) as new:
            _build(network, classes, side, new, inputs)
    return folder


def _inputs(network: str, classes: int, side: int) -> dict:
    """Everything a peer's file is made from."""
    if network.startswith("mobilevit"):
        import timm  # noqa: F401 - absent, its file must not pass for one that could be built here
    versions = {name: _version(name) for name in SOURCES}
    source = sha256(Path(peer_networks.__file__))
    return {"network": network, "classes": classes, "input_size": side, "packages": versions, "source": source}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _whole(folder: Path) -> bool:
    """Whether a peer's folder holds the file it was written with."""
    model, told = folder / "model.onnx", folder / "peer.json"
    return model.is_file() and told.is_file() and read_json(told).get("sha256") == sha256(model)


def _build(network: str, classes: int, side: int, folder: Path, inputs: dict) -> None:
    """Export one peer: float32 NCHW pictures in, scores out, as its users run it."""
    import torch

    from compress.toollog import tool_output
    from train.models.__main__ import macs

    built, shape = peer_networks.build(network, classes, side), (1, 3, side, side)
    with tool_output(folder / "export.log", quiet=True):
        program = torch.onnx.export(
            built, (torch.zeros(shape),), dynamo=True, verbose=False, input_names=["input"], output_names=["scores"]
        )
    (folder / "model.onnx").write_bytes(program.model_proto.SerializeToString(deterministic=True))
    params = sum(p.numel() for p in built.parameters())
    told = {"inputs": inputs, "sha256": sha256(folder / "model.onnx"), "params": params, "macs": macs(built, shape)}
    write_json(folder / "peer.json", told)
