"""``python -m train.study``: a table of training runs – a paper's ablation, or system against system – run, kept and rendered.

A study is a YAML file in ``train/studies/``: rows, each a recipe with changed fields, and seeds. Every run is one
``python -m train`` and leaves one record; what has a record is not run again, so a killed study goes on where it stopped.
The records are kept in ``docs/results/STUDY.json`` and ``docs/results.md`` is made from them alone: what was not run says so.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import yaml

from edgefer import errors, parity
from edgefer.errors import InputRejected, exit_with, unknown
from edgefer.files import read_json, write_json, write_text
from edgefer.spec import ModelSpec
from train import checkpoint

FOLDER = Path(__file__).parent / "studies"
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCHEMA = 1
HEAD = """# What training gave

Made by `python -m train.study --render` from the run records in `docs/results/`. Accuracy is on FER+ valid by the majority
protocol, last epoch, no selection among epochs. The interval is Wilson's for the mean accuracy on these faces and does not
cover the choice of seeds, whose range stands beside it. No network here has seen a face-recognition data set; the published
ones mostly have.

Machine time is short, so within a study one seed of every row comes before the next, and the studies were run in this order:
the default, the Action-Unit graph, EfficientFace, label distributions, Imponderous Net, CS-GResNet, the systems. What has not
been run says so.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    recipe: str = ""
    """Recipe of the row; the study's when empty."""
    set: dict = field(default_factory=dict)
    """Changed fields, ``{"options.local": false}``, after the study's own."""
    start: str = ""
    """Checkpoint from whose weights it begins, relative to the project's root; empty: from scratch."""
    ldg: tuple[str, ...] = ()
    """What generates the label distributions: earlier rows of this study, by their runs of the same seed, or checkpoints that
    come with the project."""
    au: str = ""
    """Action Units of the faces, as ``--au`` takes them."""
    published: str = ""
    """What the paper reports for it, with its data set."""


@dataclass(frozen=True)
class Study:
    """Rows to compare under one budget."""

    title: str
    """Heading of the table."""
    about: str
    """What is compared, under which budget, and what the published figures rest on."""
    rows: dict
    """Name of the row → ``Row``."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Every row is run with each."""
    recipe: str = ""
    """Recipe of the rows that name none."""
    set: dict = field(default_factory=dict)
    """Fields changed in every row."""
    limit: int = 0
    """Only the first so many training rows; 0: all."""
    found: str = ""
    """What the finished rows say, in words; below the table."""


def names() -> list[str]:
    """The studies that come with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Study:
    """Read a study by name.

    Raises:
        UsageError: no such study.
        InputRejected: not YAML, or unknown or missing fields.
    """
    if name not in names():
        raise unknown("study", name, names(), "train/studies/")
    path = FOLDER / f"{name}.yaml"
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = {key: _plain(Row, row or {}, f"{path}, row '{key}'") for key, row in value.pop("rows").items()}
        return _plain(Study, {**value, "rows": rows}, str(path))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise InputRejected(f"{path} is not a study: {' '.join(str(error).split())}") from None


def _plain(cls: type, value: dict, where: str):
    strange = set(value) - {f.name for f in fields(cls)}
    if strange:
        raise InputRejected(f"{where}: unknown fields {', '.join(sorted(strange))}")
    return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in value.items()})


def command(study: Study, row: str, seed: int, runs: Path, data: str | None) -> list[str]:
    """The training run of one row and seed, as it could be typed."""
    chosen = study.rows[row]
    words = ["-m", "train", "--recipe", chosen.recipe or study.recipe, "--seed", str(seed)]
    words += ["--out", str(run_folder(runs, row, seed))]
    words += ["--limit", str(study.limit)] if study.limit else []
    words += ["--data", data] if data else []
    for key, value in {**study.set, **chosen.set}.items():
        words += ["--set", f"{key}={json.dumps(value)}"]  # JSON is YAML
    words += ["--start", str(ROOT / chosen.start)] if chosen.start else []
    if chosen.ldg:
        words += ["--ldg", *(str(_generator(study, name, seed, runs)) for name in chosen.ldg)]
    words += ["--au", chosen.au] if chosen.au else []
    return [sys.executable, *words]


def _generator(study: Study, name: str, seed: int, runs: Path) -> Path:
    return run_folder(runs, name, seed) / "checkpoint" if name in study.rows else ROOT / name


def run_folder(runs: Path, row: str, seed: int) -> Path:
    """Where the run of a row and seed is kept."""
    return runs / f"{'-'.join(re.findall(r'[A-Za-z0-9]+', row))}-{seed}"


def record(row: str, seed: int, spec: ModelSpec) -> dict:
    """What the table needs of a finished run."""
    training = spec.training
    return {
        "row": row,
        "seed": seed,
        "accuracy": spec.metrics["valid_accuracy"],
        "macro_recall": spec.metrics["valid_macro_recall"],
        "faces": spec.metrics["valid_faces"],
        "rows": training["rows"],
        "recipe": training["recipe"],
        "start": training["start"],
        "ldg": training["ldg"],
        "torch": training["torch"],
    }


def run(name: str, data: str | None, runs: Path, records: Path, only: Sequence[str] = ()) -> None:
    """Train what has no record yet, row by row within a seed, so that one seed of everything comes first.

    Raises:
        UsageError: the study has no row of a name in ``only``, which limits what is trained.
        EdgeferError: a training failed; its kind is that of the program's exit code.
    """
    study, file = load(name), records / f"{name}.json"
    for row in only:
        if row not in study.rows:
            raise unknown("row", row, study.rows, f"train/studies/{name}.yaml")
    done = read_json(file)["runs"] if file.exists() else []
    have = {(r["row"], r["seed"]) for r in done}
    for seed in study.seeds:
        for row in study.rows:
            if (row, seed) in have or (only and row not in only):
                continue
            code = subprocess.run(command(study, row, seed, runs / name, data), check=False).returncode
            if code:
                raise errors.of(code)(f"training '{row}' ended with exit code {code}; the lines above say why")
            spec = ModelSpec.load(run_folder(runs / name, row, seed) / "checkpoint" / checkpoint.SPEC)
            done.append(record(row, seed, spec))
            write_json(file, {"schema": SCHEMA, "study": name, "runs": done})


def table(name: str, records: Path) -> str:
    """The study's Markdown table: mean over the seeds, their range, and the 95 % interval of the mean on these faces."""
    study, file = load(name), records / f"{name}.json"
    done = read_json(file)["runs"] if file.exists() else []
    lines = [f"## {study.title}", "", study.about.strip(), ""]
    lines += ["| | accuracy % [95 %] | seeds | range % | macro recall % | faces learned from | published |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row, chosen in study.rows.items():
        runs = [r for r in done if r["row"] == row]
        lines.append(f"| {row} | {_figures(runs)} | {chosen.published or '–'} |")
    found = [study.found.strip(), ""] if study.found and done else []
    return "\n".join([*lines, "", *found, f"`python -m train.study --study {name}`", ""])


def _figures(runs: list[dict]) -> str:
    if not runs:
        return "not run | – | – | – | –"
    accuracies, faces = np.array([r["accuracy"] for r in runs]), runs[0]["faces"]
    mean = accuracies.mean()
    low, high = parity.wilson(round(mean * faces), faces)
    spread = f"{100 * accuracies.min():.2f}–{100 * accuracies.max():.2f}" if len(runs) > 1 else "–"
    recall = 100 * np.mean([r["macro_recall"] for r in runs])
    return f"{100 * mean:.2f} [{100 * low:.2f}, {100 * high:.2f}] | {len(runs)} | {spread} | {recall:.1f} | {runs[0]['rows']:,}"


def render(records: Path) -> str:
    """All studies as one Markdown page."""
    return "\n".join([HEAD, *(table(name, records) for name in names())])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m train.study", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--study", action="append", default=[], metavar="NAME", help=f"one of {', '.join(names())}; may be repeated"
    )
    parser.add_argument("--row", action="append", default=[], metavar="NAME", help="only this row; may be repeated")
    parser.add_argument("--data", help="folder or zip with FER+ (default: the environment variable EDGEFER_DATA)")
    parser.add_argument(
        "--runs", type=Path, default=Path("build/studies"), help="where the runs are kept (default build/studies)"
    )
    parser.add_argument(
        "--records", type=Path, default=DOCS / "results", help="where the records are kept (default docs/results)"
    )
    parser.add_argument("--render", action="store_true", help="only make docs/results.md again from the records")
    args = parser.parse_args()
    for name in args.study:
        run(name, args.data, args.runs, args.records, args.row)
    if args.study or args.render:
        write_text(args.records.parent / "results.md", render(args.records))
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
