"""What runs: the engine, precision and threads of a bundle, and the detector, from what a user names and what is here."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgefer import bundle, detectors, engines
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError

Note = Callable[[str], None]


class Choice(NamedTuple):
    """An artifact and how it runs."""

    engine: str
    precision: str
    threads: int


def choice(opened: bundle.Bundle, engine: str | None, precision: str | None, threads: int | None, note: Note) -> Choice:
    """What the user names, else the bundle's defaults; an engine nobody named may be replaced by one that is installed.

    Raises:
        UsageError: no such engine.
        EnvironmentInvalid: no engine for the bundle is installed.
    """
    precision = precision or opened.defaults.get("precision", bundle.PRECISIONS[0])
    engine = engine or _default_engine(opened, precision, note)
    engines.row_of(engine)
    return Choice(engine, precision, threads or opened.defaults.get("threads", 1))


def _default_engine(opened: bundle.Bundle, precision: str, note: Note) -> str:
    there, preferred = engines.installed(), opened.defaults.get("engine")
    if preferred in there:
        return preferred
    has = {artifact.engine for artifact in opened.artifacts if artifact.precision == precision}
    usable = [name for name in there if name in has]
    if not usable:
        wanted = preferred or next((name for name in engines.ENGINES if name in has), "litert")
        raise EnvironmentInvalid(f"no engine for this bundle is installed here; run: pip install 'edgefer[{wanted}]'")
    if preferred:
        note(f"engine '{preferred}' of the bundle is not installed here, using '{usable[0]}'")
    return usable[0]


def detector(
    opened: bundle.Bundle, name: str | None, yunet: str | Path | None, chosen: Choice, note: Note
) -> detectors.Detector:
    """The detector named, else the bundle's own finder, else YuNet where its file is known, else Haar.

    A YuNet file that is named counts as YuNet named; the variable that names one does not, since it is no wish of this run.

    Raises:
        UsageError: no such detector, a file of YuNet for another one, or a finder that the bundle does not have.
        EnvironmentInvalid: OpenCV or YuNet's file is missing.
        InputRejected: YuNet's file is damaged, or the model has no framing for the detector's boxes.
    """
    if yunet and name not in (None, "yunet"):
        raise UsageError(f"--yunet names YuNet's file but --detector is '{name}'; leave one out")
    known = yunet or os.environ.get(detectors.VARIABLE)
    own = "own" if opened.finder and not yunet else None
    if not (name or own or known):
        note(f"finding faces by Haar cascade: no YuNet file is configured (--yunet or {detectors.VARIABLE})")
    name = name or own or ("yunet" if known else "haar")
    found = detectors.load(name, known, opened.finder_model(*chosen))
    framings = opened.spec.alignment.boxes
    if name == "haar" and name not in framings:
        raise InputRejected(
            f"the model of bundle {opened.folder} has no framing for Haar's boxes "
            f"(it has {', '.join(sorted(framings)) or 'none'}); use --detector yunet"
        )
    return found
