"""The arrows between the rooms: who may import whom, and that the runtime needs nothing but numpy until it is asked to work."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "edgefer": ROOT / "runtime" / "edgefer",
    "train": ROOT / "train",
    "compress": ROOT / "compress",
    "export": ROOT / "export",
    "benchmarks": ROOT / "benchmarks",
}
MAY = {
    "edgefer": set(),
    "train": {"edgefer"},
    "compress": {"edgefer", "train"},
    "export": {"edgefer", "train", "compress"},
    "benchmarks": {"edgefer", "train", "compress", "export"},
}
HEAVY = ("torch", "nncf", "cv2", "yaml", "ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino", "onnx", "train")


def imported(source: str, lazily: bool) -> set[str]:
    """Top-level names a module imports: everywhere, or only where it runs at import (``lazily`` False)."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree)) if lazily else list(_at_import(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names}


def _at_import(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_import(child)


def modules(room: str) -> list:
    return [pytest.param(room, path, id=str(path.relative_to(ROOT))) for path in sorted(ROOMS[room].rglob("*.py"))]


@pytest.mark.parametrize("room, path", [param for room in ROOMS for param in modules(room)])
def test_arrows_go_one_way(room, path):
    assert imported(path.read_text(), lazily=True) & (ROOMS.keys() - {room}) <= MAY[room]


@pytest.mark.parametrize("room, path", modules("edgefer"))
def test_the_runtime_imports_numpy_and_the_standard_library(room, path):
    assert imported(path.read_text(), lazily=False) <= set(sys.stdlib_module_names) | {"numpy", "edgefer"}


@pytest.mark.parametrize("room, path", modules("benchmarks"))
def test_benchmarks_reach_other_rooms_only_inside_a_function(room, path):
    assert not imported(path.read_text(), lazily=False) & {"train", "compress", "export", "torch"}


@pytest.mark.parametrize("room, path", [param for room in ROOMS for param in modules(room)])
def test_nothing_imports_the_tests(room, path):
    assert not imported(path.read_text(), lazily=True) & {"tests", "test", "conftest"}


def test_the_check_sees_a_wrong_arrow():
    source = "import numpy\nif True:\n    import torch.nn\ndef f():\n    from train.models import build\n"
    assert imported(source, lazily=False) == {"numpy", "torch"}
    assert imported(source, lazily=True) == {"numpy", "torch", "train"}


def clean_python(program: str) -> str:
    """Run in a new interpreter, far from the checkout."""
    done = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_runtime_imports_where_everything_else_is_blocked():
    program = f"""
import sys
for name in {HEAVY!r}:
    sys.modules[name] = None
import edgefer, importlib, pkgutil
names = [m.name for m in pkgutil.walk_packages(edgefer.__path__, "edgefer.") if m.name != "edgefer.__main__"]
for name in names:
    importlib.import_module(name)
from edgefer.cli import main
assert len(names) > 15, names
try:
    main(["--version"])
except SystemExit as end:
    assert not end.code
"""
    assert clean_python(program).startswith("edgefer ")


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_found_from_anywhere_and_is_ours(room):
    found = clean_python(f"import {room}; print(list({room}.__path__)[0])")
    assert Path(found).resolve() == ROOMS[room]


def test_no_script_shadows_a_module_that_is_imported():
    """`python benchmarks/run.py` puts benchmarks/ first on the path; likewise for every folder with a script."""
    everything = set().union(
        *(imported(p.read_text(), lazily=True) for room in ROOMS.values() for p in room.rglob("*.py"))
    )
    taken = everything | set(sys.stdlib_module_names)
    own = {path.stem for path in ROOMS["benchmarks"].glob("*.py")} - {"__init__", "__main__"}
    assert not own & taken
