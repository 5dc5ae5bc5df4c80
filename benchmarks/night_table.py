"""What a night prints at its end: one line a target, the verdict, and where the page is."""

from pathlib import Path

from rich.box import ASCII, SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from benchmarks.report import attention, duration
from benchmarks.table import STYLES, console


def show(night: dict, page: Path, file=None) -> None:
    """Print it. ``night`` is ``nightly.json``."""
    out = console(file)
    table = Table(box=SIMPLE_HEAD if out.is_terminal else ASCII)
    for heading in ("target", "verdict", "took", "because"):
        table.add_column(heading, overflow="fold")
    for entry in night["targets"]:
        verdict = entry["verdict"] or entry["state"]
        because = entry["reason"] or "; ".join(item["text"] for item in attention(entry)) or entry["accepted"] or ""
        took = duration(sum(entry["seconds"].values())) if entry["seconds"] else ""
        table.add_row(Text(entry["target"]), Text(verdict, STYLES.get(verdict, "")), took, Text(because))
    out.print(table)
    verdict = Text(f"verdict: {night['verdict']}", style=STYLES.get(night["verdict"], ""))
    out.print(verdict, Text(f"page: {page}"), sep="   ", soft_wrap=True)
