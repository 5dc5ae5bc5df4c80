"""``PROVENANCE.md``: says to people where a bundle comes from, under which licences, on what evidence it was let through."""

import subprocess
from pathlib import Path

from edgefer import __version__
from edgefer.bundle import Artifact, Bundle
from edgefer.files import write_text
from export.ladder import told

FILE = "PROVENANCE.md"
ROOT = Path(__file__).resolve().parents[1]
LICENCE = "Apache-2.0"
"""Of the runtime and of everything else in the bundle that is neither weights nor another project's wheel."""


def write(bundle: Bundle) -> None:
    """Write the page into a bundle that is not sealed yet."""
    write_text(bundle.folder / FILE, page(bundle))


def page(bundle: Bundle) -> str:
    """The page's text: nothing in it but what the bundle was made from."""
    spec, training = bundle.spec, bundle.spec.training
    recipe = training.get("recipe") or {}
    lines = [
        f"# {bundle.name}: where it comes from",
        "",
        f"Made for target `{bundle.target}` by edgefer {__version__}, source commit {commit()}.",
        "",
        "## Licences",
        f"- weights: {spec.licence or 'not stated: ask who trained them'}",
        f"- training data: {training.get('data_licence') or 'not stated'}",
        f"- edgefer itself: {LICENCE}",
        "- wheels, where `wheels/` is there: each its own, listed in `wheels/wheels.json`",
        "",
        "## Training",
        f"- network: {spec.system}, {spec.input_size}×{spec.input_size}, {'gray' if spec.channels == 1 else 'RGB'}",
        f"- data: {training.get('data') or 'not stated'}" + _rows(training),
        f"- recipe: {recipe.get('name', 'not stated')}, seed {training.get('seed', 'not stated')}",
        *[f"- {name}: {value}" for name, value in spec.metrics.items()],
        "",
        "Recipe and teachers, in full: `model.json`.",
        "",
        "## Export",
        *[f"- {name}: {value}" for name, value in bundle.inputs.items()],
        *[f"- {name}: {_source(value)}" for name, value in bundle.data.items() if isinstance(value, dict)],
        "",
        "## Evidence that it computes what was trained",
        *map(_evidence, bundle.artifacts),
        "- golden vectors: `golden/`, replayed on the device before a version is switched to",
        "- speed, where it was measured: `evidence/BENCHMARK.md`",
        "",
        "All files are listed in `SHA256SUMS` (`sha256sum -c SHA256SUMS`); a signature, if there is one, is `SHA256SUMS.sig`.",
        "",
    ]
    return "\n".join(lines)


def commit() -> str:
    """The checkout's commit, and whether files differ from it; "unknown" outside a checkout."""
    found = _git("rev-parse", "HEAD")
    if not found:
        return "unknown"
    return f"{found} with uncommitted changes" if _git("status", "--porcelain", "--untracked-files=no") else found


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _evidence(artifact: Artifact) -> str:
    found = told(artifact.parity) if artifact.parity else "none"
    return f"- `{artifact.name}` ({artifact.file}, {artifact.bytes / 1e6:.2f} MB): {found}"


def _rows(training: dict) -> str:
    return f", {training['rows']} faces" if "rows" in training else ""


def _source(value: dict) -> str:
    return ", ".join(f"{name} {item}" for name, item in value.items())
