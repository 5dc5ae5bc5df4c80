"""Checks of what is installed, by using it: numpy, engines, OpenCV, a bundle's files and its model."""

import contextlib
import importlib
import importlib.util
from importlib import metadata

from edgefer.doctor import ABI_SIGNS, BROKEN, OK, WARNING, Finding, abi

OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
GL = ("libGL.so", "libgthread", "libglib", "libSM.so", "libXext", "libX11", "libxcb", "libEGL")
"""Libraries of a desktop that the OpenCV with windows needs, and a device without a screen lacks."""
HEADLESS = "pip uninstall -y opencv-python; pip install 'opencv-python-headless>=4.11,<5'"


def numpy() -> Finding:
    """numpy imports and computes."""
    try:
        import numpy

        product = numpy.arange(12.0, dtype="float32").reshape(3, 4) @ numpy.ones((4, 2), "float32")
    except ModuleNotFoundError as error:
        return Finding("numpy", BROKEN, f"it is not installed ({error})", "pip install numpy")
    except Exception as error:
        return _failed("numpy", error, "pip install --force-reinstall numpy")
    if product.sum() != 132:
        return Finding("numpy", BROKEN, f"{numpy.__version__} computes nonsense", "pip install --force-reinstall numpy")
    return Finding("numpy", OK, f"{numpy.__version__} imports and computes")


def engine(name: str) -> Finding | None:
    """An engine's package imports; None where it is not installed. Whether it computes, a bundle shows."""
    from edgefer import engines

    row, check = engines.ENGINES[name], f"engine {name}"
    package = next(filter(importlib.util.find_spec, row.packages), None)
    if package is None:
        return None
    try:
        module = importlib.import_module(package)
        if name == "litert":
            importlib.import_module(f"{package}.interpreter")
        if _numpy_1_only(package):
            return abi(check, f"{package} {_version(package)} knows numpy 1 only")
    except Exception as error:
        return _failed(check, error, f"pip install --force-reinstall 'edgefer[{row.extra}]'")
    version = getattr(module, "__version__", None) or _version(package)
    return Finding(check, OK, f"{package} {version} imports")


def _numpy_1_only(package: str) -> bool:
    """tflite-runtime was built for numpy 1, to its last version 2.14; with numpy 2 it imports, and fails at the first model."""
    import numpy

    return package == "tflite_runtime" and not numpy.__version__.startswith("1.")


def opencv() -> Finding:
    """OpenCV imports, there is one of it, and it has what the detectors need."""
    there = [name for name in OPENCVS if _version(name)]
    try:
        import cv2
    except ModuleNotFoundError:
        told = "it is not installed: no cameras, videos, YuNet or Haar, only raw frames and the bundle's own finder"
        return Finding("opencv", WARNING, told, "pip install 'edgefer[camera]'")
    except ImportError as error:
        if any(name in str(error) for name in GL):
            return Finding("opencv", BROKEN, f"it needs a desktop's library: {_short(error)}", HEADLESS)
        return _failed("opencv", error, HEADLESS)
    except Exception as error:
        return _failed("opencv", error, HEADLESS)
    version = getattr(cv2, "__version__", "")
    if len(there) > 1:
        told = f"{' and '.join(there)} are both installed and overwrite each other's files"
        return Finding("opencv", WARNING, told, f"pip uninstall -y {' '.join(there)}; pip install 'edgefer[camera]'")
    if not (hasattr(cv2, "FaceDetectorYN") and hasattr(cv2, "CascadeClassifier")):
        told = f"{version} lacks a face detector (YuNet or Haar cascades)"
        return Finding("opencv", WARNING, told, "pip install 'opencv-python-headless>=4.11,<5'")
    return Finding("opencv", OK, f"{version} imports ({' '.join(there) or 'not from a wheel'})")


def bundle(folder: str) -> Finding:
    """Every file of the bundle is what its sums say."""
    from edgefer import bundle as bundles
    from edgefer.errors import EdgeferError

    try:
        opened = bundles.load(folder)
    except EdgeferError as error:
        return Finding("bundle", BROKEN, str(error))
    except OSError as error:
        return Finding("bundle", BROKEN, f"{error.filename} cannot be read ({error.strerror})", "let this user read it")
    names = ", ".join(artifact.name for artifact in opened.artifacts)
    return Finding("bundle", OK, f"{opened.name} is whole: {names}")


def model(folder: str) -> Finding:
    """The artifact that ``edgefer run`` would choose computes here what was exported: the golden vectors."""
    from edgefer.errors import EdgeferError

    try:
        from edgefer import bundle as bundles
        from edgefer import choose, golden

        opened, notes = bundles.load(folder), []
        engine_, precision, threads = choose.choice(opened, None, None, None, notes.append)
        problems = golden.check(opened, engine_, precision, threads)
    except EdgeferError as error:
        return Finding("model", BROKEN, str(error))
    except Exception as error:
        return _failed("model", error, "see the engine's line above")
    if problems:
        told = f"{engine_} {precision} does not compute here what was exported: {problems[0]}"
        return Finding("model", BROKEN, told, _other_artifact(opened, (engine_, precision), threads))
    if notes:
        return Finding(
            "model", WARNING, f"{notes[0]}; that computes what was exported ({precision})", "install that engine"
        )
    return Finding("model", OK, f"{engine_} {precision} computes what was exported (golden vectors)")


def _other_artifact(opened, failed: tuple[str, str], threads: int) -> str:
    """Which flags make the bundle compute here what was exported, of those that can be tried."""
    from edgefer import engines, golden

    there = engines.installed()
    others = [
        (a.engine, a.precision) for a in opened.artifacts if a.engine in there and (a.engine, a.precision) != failed
    ]
    for engine_, precision in sorted(others, key=lambda other: other[0] != failed[0]):
        with contextlib.suppress(Exception):  # that engine's own trouble is told by its own check
            if not golden.check(opened, engine_, precision, threads):
                return f"run with --engine {engine_} --precision {precision}, which does; or install the engine's other version"
    return "install the engine's version that the bundle was exported with, or export the bundle again"


def _failed(check: str, error: Exception, remedy: str) -> Finding:
    """The finding for what an import raised; numpy hides the cause one exception down."""
    said = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
    if any(sign in said for sign in ABI_SIGNS):
        return abi(check, said)
    return Finding(check, BROKEN, f"it does not load: {type(error).__name__}: {_short(error)}", remedy)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _version(name: str) -> str:
    try:
        return metadata.version(name.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return ""
