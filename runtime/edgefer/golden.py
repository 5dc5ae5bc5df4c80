"""Golden vectors: frame → crop → probabilities, kept in a bundle to prove on a device that it computes what was exported.

``golden/golden.npz`` holds (N frames, S and C of the model):
    frames                            uint8 (N, H, W) or (N, H, W, 3) RGB
    landmarks                         float32 (N, 5, 2), pixels of the frame
    crops                             uint8 (N, S, S, C)
    probabilities_fp32                float32 (N, classes): what every fp32 artifact must say
    probabilities_<engine>_<precision> float32 (N, classes): what that artifact said when it was exported
``golden/golden.json`` says so in words a person can read, with the tolerances.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from edgefer import engines
from edgefer.align import align_crop
from edgefer.bundle import REMEDY, Bundle
from edgefer.errors import InputRejected
from edgefer.faces import Face
from edgefer.files import write_json
from edgefer.spec import ModelSpec

SCHEMA = 1
ARRAYS, WORDS = "golden/golden.npz", "golden/golden.json"
MOST_BYTES = 64_000_000
"""Of all arrays together; four frames of 320×240 take 2 MB."""
CROP_LEVELS = 2
"""Largest difference of a crop, in grey levels."""
FP32_TOLERANCE = 1e-4
INT8_TOLERANCE = 2 / 256
"""Two quantisation steps of a probability."""


def write(
    folder: Path,
    spec: ModelSpec,
    frames: np.ndarray,
    landmarks: np.ndarray,
    outputs: dict[tuple[str, str], np.ndarray],
) -> None:
    """Write a bundle's golden vectors.

    Args:
        folder: of the bundle.
        spec: of the network.
        frames: uint8 (N, H, W) or (N, H, W, 3) RGB.
        landmarks: float32 (N, 5, 2), in pixels.
        outputs: (engine, precision) → float32 (N, classes), of the crops cut by ``align_crop``. The first fp32 one is what
            all fp32 artifacts are compared with.
    """
    arrays = {"frames": frames, "landmarks": np.asarray(landmarks, np.float32), "crops": cut(spec, frames, landmarks)}
    for (engine, precision), probabilities in outputs.items():
        if precision == "fp32":
            arrays.setdefault("probabilities_fp32", np.asarray(probabilities, np.float32))
        arrays[f"probabilities_{engine}_{precision}"] = np.asarray(probabilities, np.float32)
    path = Path(folder) / ARRAYS
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    write_json(Path(folder) / WORDS, _words(arrays))


def cut(spec: ModelSpec, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face crops of frames with known landmarks: uint8 (N, S, S, C)."""
    faces = [Face(box=(0.0, 0.0, 1.0, 1.0), score=1.0, detector="golden", landmarks=points) for points in landmarks]
    return np.stack([align_crop(frame, face, spec) for frame, face in zip(frames, faces, strict=True)])


def _words(arrays: dict[str, np.ndarray]) -> dict:
    tolerances = {"crop_levels": CROP_LEVELS, "fp32": FP32_TOLERANCE, "int8": INT8_TOLERANCE, "int8_label": "the same"}
    shapes = {name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()}
    return {"schema": SCHEMA, "tolerances": tolerances, "arrays": shapes}


def check(bundle: Bundle, engine: str, precision: str, threads: int) -> list[str]:
    """Replay the golden vectors here, those of a face finder too; problems, none when the bundle computes what was exported.

    Raises:
        InputRejected: the vectors are missing, damaged or of another model, or the artifact is damaged.
        UsageError: the bundle has no such artifact.
        EnvironmentInvalid: the engine is not installed.
    """
    arrays = _read(bundle, engine, precision)
    running = engines.load(engine, bundle.model_path(engine, precision), threads)
    found = np.concatenate([running.infer(crop[None]) for crop in arrays["crops"]])
    crops = cut(bundle.spec, arrays["frames"], arrays["landmarks"])
    problems = crop_problems(crops, arrays["crops"]) + output_problems(found, arrays["expected"], precision)
    if bundle.finder:
        from edgefer import finder_golden  # it reads its arrays by this module

        problems += finder_golden.check(bundle, engine, precision, threads)
    return problems


def expected(bundle: Bundle, engine: str, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """The golden crops uint8 (N, S, S, C) and what the artifact must say to them, float32 (N, classes); raises as ``check``."""
    arrays = _read(bundle, engine, precision)
    return arrays["crops"], arrays["expected"]


def crop_problems(found: np.ndarray, expected: np.ndarray) -> list[str]:
    """Crops uint8 (N, S, S, C) that differ by more than ``CROP_LEVELS`` grey levels, in words."""
    worst = np.abs(found.astype(np.int16) - expected).reshape(len(expected), -1).max(1)
    return [
        f"golden {i}: the crop differs by {levels} grey levels (allowed {CROP_LEVELS})"
        for i, levels in enumerate(worst)
        if levels > CROP_LEVELS
    ]


def output_problems(found: np.ndarray, expected: np.ndarray, precision: str) -> list[str]:
    """Probabilities float32 (N, classes) beyond the precision's tolerance, or int8 ones with another label, in words."""
    tolerance = FP32_TOLERANCE if precision == "fp32" else INT8_TOLERANCE
    problems = []
    for i, (is_, was) in enumerate(zip(found, expected, strict=True)):
        difference = float(np.abs(is_ - was).max())
        if not difference <= tolerance:  # so that NaN is a problem too
            problems.append(f"golden {i}: probabilities differ by {difference:.2g} (allowed {tolerance:.2g})")
        elif precision == "int8" and is_.argmax() != was.argmax():
            problems.append(f"golden {i}: the label is number {is_.argmax()}, it was {was.argmax()}")
    return problems


def _read(bundle: Bundle, engine: str, precision: str) -> dict[str, np.ndarray]:
    path = bundle.folder / ARRAYS
    wanted = "probabilities_fp32" if precision == "fp32" else f"probabilities_{engine}_{precision}"
    bundle.artifact(engine, precision)
    names = {name: name for name in ("frames", "landmarks", "crops")} | {"expected": wanted}
    arrays = read_arrays(path, names, f"{engine}/{precision}")
    _check_shapes(path, arrays, bundle.spec)
    return arrays


def read_arrays(path: Path, names: dict[str, str], artifact: str) -> dict[str, np.ndarray]:
    """Arrays of an .npz file, by what they are to be called here → their name there; ``artifact`` is for the message.

    Raises:
        InputRejected: the file or an array is missing, it is damaged, or would unpack to more than golden vectors need.
    """
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as file:
            return {here: file[there] for here, there in names.items()}
    except FileNotFoundError:
        raise InputRejected(f"{path} is missing; {REMEDY}") from None
    except KeyError as error:
        raise InputRejected(f"{path} has no array {str(error).split()[0]} for {artifact}; {REMEDY}") from None
    except (OSError, ValueError, EOFError, MemoryError, zlib.error, zipfile.BadZipFile) as error:
        raise InputRejected(f"{path} is damaged ({error}); {REMEDY}") from None


def _check_size(path: Path) -> None:
    """Refuse an archive that says it would unpack to more than any golden vectors need, before any of it is unpacked."""
    with zipfile.ZipFile(path) as file:
        size = sum(entry.file_size for entry in file.infolist())
    if size > MOST_BYTES:
        raise InputRejected(f"{path} would unpack to {size / 1e6:.0f} MB, over {MOST_BYTES / 1e6:.0f}; {REMEDY}")


def _check_shapes(path: Path, arrays: dict[str, np.ndarray], spec: ModelSpec) -> None:
    n = len(arrays["crops"])
    expected = {"landmarks": (n, 5, 2), "crops": (n, *spec.crop_shape[1:]), "expected": (n, len(spec.labels))}
    wrong = [name for name, shape in expected.items() if arrays[name].shape != shape]
    wrong += ["frames"] if len(arrays["frames"]) != n else []
    if wrong or not n:
        raise InputRejected(f"{path} was not made for this model: wrong shape of {', '.join(wrong) or 'all'}; {REMEDY}")
