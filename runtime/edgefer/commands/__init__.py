"""The subcommands of ``edgefer``, one module each. Adding one: a module, its name in ``NAMES``.

A module has ``add(subparsers)``, which declares its options and sets ``work``, the function that does it and returns the exit
code. What only the work needs is imported there, so that declaring costs nothing.
"""

import importlib
import sys
from types import ModuleType

NAMES = ("run",)


def modules() -> list[ModuleType]:
    """The subcommands, in the order in which help shows them."""
    return [importlib.import_module(f"{__name__}.{name}") for name in NAMES]


def note(text: str) -> None:
    """Say something to the person, away from the lines that machines read."""
    print(text, file=sys.stderr, flush=True)
