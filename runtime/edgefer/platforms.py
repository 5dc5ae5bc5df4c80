"""What machines and the platforms of wheels are called, and which Pythons will do. Standard library only."""

import re

PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest Python that edgefer runs on."""
_SAME = {"amd64": "x86_64", "arm64": "aarch64"}
_OLD = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def canonical(machine: str) -> str:
    """A machine as Linux calls it: amd64 is x86_64, arm64 aarch64; others in lower letters."""
    return _SAME.get(machine.lower(), machine.lower())


def least_glibc(tag: str) -> tuple[int, int]:
    """The least glibc that a wheel's platform tag asks for (PEP 600); (0, 0) where it asks for none."""
    number = re.match(r"manylinux_(\d+)_(\d+)_", tag)
    return (int(number[1]), int(number[2])) if number else _OLD.get(tag.split("_")[0], (0, 0))
