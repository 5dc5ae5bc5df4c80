"""The subcommands of ``edgefer``, one module each. Adding one: a module, its name in ``NAMES``.

A module has ``add(subparsers)``, which declares its options and sets ``work``, the function that does it and returns the exit
code. What only the work needs is imported there, so that declaring costs nothing.
"""

import importlib
import os
import sys
from types import ModuleType

NAMES = ("run", "doctor", "service")
JOURNAL_PREFIX = "<6>"
"""How a line for the journal says that it is information (sd-daemon(3)); a line without it is one too."""


def modules(wanted: str | None = None) -> list[ModuleType]:
    """The subcommands, in the order in which help shows them; the one that is ``wanted`` alone where there is such.

    The doctor must come up where another command's imports would kill Python.
    """
    names = [wanted] if wanted in NAMES else NAMES
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def note(text: str) -> None:
    """Say something to the person, or to the journal, away from the lines that machines read."""
    prefix = JOURNAL_PREFIX if os.environ.get("JOURNAL_STREAM") else ""
    print(f"{prefix}{text}", file=sys.stderr, flush=True)
