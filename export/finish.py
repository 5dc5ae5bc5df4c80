"""What a bundle can get beside its models: wheels for a device without a network, a benchmark's record, a signature."""

import shutil
from collections.abc import Callable
from pathlib import Path

from edgefer import bundle as bundles
from edgefer import signing
from edgefer.errors import InputRejected
from edgefer.files import new_folder, read_json, write_json, write_text
from export import wheels

EVIDENCE, RECORD, WORDS = "evidence", "benchmark.json", "BENCHMARK.md"
SHOWN = (
    "latency_ms", "fps", "pipeline_fps", "speedup_vs_eager_fp32", "speedup_vs_onnxruntime_fp32", "peak_rss_mb", "artifact_mb",
    "cold_start_ms", "accuracy_drop_points", "flip_rate",
)  # fmt: skip
Say = Callable[[str], None]


def finish(out: Path, choice: dict | None, record: Path | None, key: Path | None, say: Say) -> None:
    """Add to a sealed bundle what was asked for; it is replaced as a whole, or stays as it is.

    Args:
        out: the bundle.
        choice: of ``wheels.wanted``, or None for no change.
        record: of ``benchmarks/run.py --json``, or None for no change.
        key: private ssh key to sign with, or None.
        say: is told what is done.

    Raises:
        EnvironmentInvalid: the wheels cannot be had, or there is no ssh-keygen.
        InputRejected: the record is not of this bundle.
        UsageError: the key cannot sign.
    """
    if choice and wheels.are_there(out, choice):
        say("wheels: there already, the hashes of their inputs are unchanged")
        choice = None
    if choice or record:
        with new_folder(out) as folder:
            shutil.copytree(out, folder, dirs_exist_ok=True)
            if choice:
                say(f"wheels: {_count(wheels.add(folder, choice))} for {choice['machine']}, Python {choice['python']}")
            if record:
                say(f"evidence: {add_record(folder, record)}")
            bundles.seal(folder)
            bundles.load(folder)
            if key:
                _sign(folder, key, say)
    elif key:
        _sign(out, key, say)


def add_record(folder: Path, path: Path) -> str:
    """Put a benchmark's record, without its raw samples, into a bundle that is not sealed yet; its verdict in words."""
    record = read_json(path)
    run = (record.get("environment") or {}).get("run") or {}
    files = (run.get("artifact") or {}).get("files")
    artifacts = {artifact.name: artifact for artifact in bundles.load(folder).artifacts}
    measured = next((name for name, artifact in artifacts.items() if artifact.files == files), None)
    if measured is None:
        raise InputRejected(f"{path} is not a record of this bundle: it measured other files; measure this one")
    (folder / EVIDENCE).mkdir(exist_ok=True)
    write_json(folder / EVIDENCE / RECORD, {name: value for name, value in record.items() if name != "samples"})
    write_text(folder / EVIDENCE / WORDS, _page(record, measured))
    return f"{measured} on {record.get('target')}: {record.get('verdict')}"


def _page(record: dict, measured: str) -> str:
    environment, metrics = record["environment"], record.get("metrics") or {}
    cpu = (environment.get("cpu") or {}).get("model", "unknown CPU")
    lines = [
        f"# What `{measured}` of this bundle measured",
        "",
        f"Target `{record.get('target')}`, verdict **{record.get('verdict')}**, {cpu}, kernel {environment.get('kernel')}, "
        f"Python {environment.get('python')}, on {environment.get('time')}"
        f"{', a short run' if environment['run'].get('quick') else ''}.",
        "",
        "| metric | value | 95 % interval | unit | budget | verdict |",
        "|---|---|---|---|---|---|",
        *[_row(name, metrics[name]) for name in SHOWN if name in metrics],
        "",
        f"The record is `{RECORD}`, without its raw samples.",
        "",
    ]
    return "\n".join(lines)


def _row(name: str, metric: dict) -> str:
    value, interval, budget = metric.get("value"), metric.get("ci95"), metric.get("budget")
    cells = [
        name,
        "not measured" if value is None else f"{value:.4g}",
        f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else "–",
        metric.get("unit") or "–",
        ", ".join(f"{bound} {number}" for bound, number in budget.items() if number is not None) if budget else "–",
        metric.get("verdict") or "–",
    ]
    return f"| {' | '.join(cells)} |"


def _sign(folder: Path, key: Path, say: Say) -> None:
    signing.sign(folder, key)
    say(f"signed with {key}")


def _count(found: list[Path]) -> str:
    return f"{len(found)} ({sum(path.stat().st_size for path in found) / 1e6:.0f} MB)"
