"""What a bundle is made from, by hash: when none of it changed, the finished bundle is reused."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from edgefer.files import sha256
from edgefer.targets import Target
from train.data import ferplus, synthetic
from train.data import finder as finder_data
from train.evaluate import use_ferplus

ROOT = Path(__file__).resolve().parents[1]
CODE = ("compress", "export", "train/models", "train/data", "train/finder", "runtime/edgefer")
CODE_FILES = ("train/graph.py", "train/checkpoint.py", "train/evaluate/data.py", "train/evaluate/subject.py")
PACKAGES = (
    "torch", "torchvision", "nncf", "openvino", "onnx", "onnxscript", "onnxruntime", "litert-torch", "ai-edge-litert",
    "ai-edge-quantizer", "numpy",
)  # fmt: skip


def describe(checkpoint: Path, target: Target, data: str | None, finder: Path | None = None) -> dict[str, str]:
    """Name → hash or version of everything that decides a bundle's bytes."""
    made_from = network(checkpoint)
    made_from["target"] = _hash_text(
        repr((target.name, target.engine, target.precision, target.threads, target.vnni, target.margin_points))
    )
    made_from["finder"] = _hash_folder(finder) if finder else "none"
    return made_from | {"data": _data(data) + _photos(data)}


def network(checkpoint: Path) -> dict[str, str]:
    """Name → hash or version of what decides an exported file, whatever the target and the data."""
    return {
        "checkpoint": _hash_folder(checkpoint),
        "code": _hash_files(_code(), ROOT),
        "packages": " ".join(f"{name}=={version(name)}" for name in PACKAGES),
    }


def changed(old: dict, new: dict) -> list[str]:
    """Names of the inputs that differ."""
    return [name for name in new if old.get(name) != new[name]]


def _code() -> list[Path]:
    folders = (path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    return sorted([*folders, *(ROOT / name for name in CODE_FILES)])


def _data(data: str | None) -> str:
    """Synthetic faces are known by their generator's version; FER+ by the bytes of its zip or label files."""
    if not use_ferplus(data):
        return f"synthetic faces, version {synthetic.VERSION}"
    place = ferplus.find(data)
    if place.is_file():
        return f"FER+ zip {sha256(place)}"
    tables = sorted(place.glob("FER2013*/label.csv"))
    return f"FER+ folder {_hash_files(tables, place)}"


def _photos(data: str | None) -> str:
    """The finder's photographs are known by their table."""
    place = finder_data.find(data) if data != "synthetic" else None
    return f", photographs {sha256(place / 'photos.csv')}" if place else ""


def _hash_folder(folder: Path) -> str:
    return _hash_files(sorted(p for p in folder.iterdir() if p.is_file()), folder)


def _hash_files(paths: list[Path], root: Path) -> str:
    return _hash_text("\n".join(f"{path.relative_to(root).as_posix()} {sha256(path)}" for path in paths))


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
