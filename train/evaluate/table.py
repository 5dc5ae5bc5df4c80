"""What evaluation prints: the figures in words, a table of classes with their confusions, a table of robustness."""

import sys

from rich.box import ASCII, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from train.evaluate.metrics import BINS

WIDTH = 100
"""Columns where the output is not a terminal."""


def console(file=None) -> Console:
    """Where the report goes: the terminal's own width, or 100 columns of plain text in a pipe or file."""
    file = file or sys.stdout
    return Console(file=file, width=None if file.isatty() else WIDTH, highlight=False)


def show(result: dict, out: Console) -> None:
    """Print a result as ``python -m train.evaluate`` writes it to JSON."""
    for line in summary(result):
        out.print(Text(line), soft_wrap=True)
    out.print(class_table(result, out))
    for title, rows in result.get("robustness", {}).items():
        out.print(robustness_table(title, rows, out))


def summary(result: dict) -> list[str]:
    """Accuracy, macro averages, calibration and what was left out, a line each."""
    low, high = result["ci95"]
    lines = [
        f"{result['protocol']}: accuracy {result['accuracy']:.2%} [{low:.2%}, {high:.2%}] on {result['n']} faces",
        "macro recall {macro_recall:.2%}, precision {macro_precision:.2%}, F1 {macro_f1:.2%}".format(**result),
        f"expected calibration error {result['ece']:.2%} ({BINS} bins of equal width), {_likelihoods(result)}",
    ]
    if absent := result["classes_without_faces"]:
        lines.append(f"left out, because no face has them: {', '.join(absent)}")
    return lines


def class_table(result: dict, out: Console) -> Table:
    """One row a class with faces: its figures in percent, and how many of its faces were given each class."""
    table = _table(out)
    table.caption, table.caption_justify = "right: how many of a class's faces were given each answer", "right"
    table.add_column("class", no_wrap=True)
    names = result["confusion"]["labels"]
    for heading in ("faces", "recall", "prec.", "F1", *(name[:3] for name in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for k, name in enumerate(names):
        if name in result["per_class_recall"]:
            counts = result["confusion"]["counts"][k]
            figures = [f"{100 * result[f'per_class_{figure}'][name]:.1f}" for figure in ("recall", "precision", "f1")]
            table.add_row(name, str(sum(counts)), *figures, *(str(n) if n else "·" for n in counts))
    return table


def robustness_table(title: str, rows: list[dict], out: Console) -> Table:
    """One row a condition: accuracy and what it lost against the unhidden or frontal faces."""
    table = _table(out)
    table.add_column(title, no_wrap=True)
    for heading in ("faces", "accuracy", "95 %", "drop, points", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        name = f"{row['name']}, {row['fill']}" if "fill" in row else row["name"]
        accuracy = [f"{row['accuracy']:.2%}", "{:.1f} … {:.1f}".format(*(100 * end for end in row["ci95"]))]
        drop = ["–", ""]
        if "drop_points" in row:
            drop = [f"{row['drop_points']:.2f}", "{:.1f} … {:.1f}".format(*row["drop_ci95"])]
        table.add_row(name, str(row["n"]), *accuracy, *drop)
    return table


def _likelihoods(result: dict) -> str:
    told = f"negative log-likelihood {result['nll']:.3f}"
    if "distribution_nll" in result:
        told += f", against the label distributions {result['distribution_nll']:.3f}"
    return told


def _table(out: Console) -> Table:
    return Table(box=SIMPLE_HEAD if out.is_terminal else ASCII, expand=False)
