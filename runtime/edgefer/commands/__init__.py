"""The subcommands of ``edgefer``, one module each. Adding one: a module, its name in ``NAMES`` (where a dash stands for _).

A module has ``add(subparsers)``, which declares its options and sets ``work``, the function that does it and returns the exit
code. What only the work needs is imported there, so that declaring costs nothing.
"""

import importlib
import sys
from types import ModuleType

from edgefer.errors import journal_prefix

NAMES = ("run", "doctor", "service", "flash", "rollback", "status", "serve", "export-web")


def modules(wanted: str | None = None) -> list[ModuleType]:
    """The subcommands, in the order in which help shows them; the one that is ``wanted`` alone where there is such.

    The doctor must come up where another command's imports would kill Python.
    """
    names = [wanted] if wanted in NAMES else NAMES
    return [importlib.import_module(f"{__name__}.{name.replace('-', '_')}") for name in names]


def note(text: str) -> None:
    """Say something to the person, or to the journal, away from the lines that machines read."""
    print(f"{journal_prefix('<6>')}{text}", file=sys.stderr, flush=True)
