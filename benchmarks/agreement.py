"""Does the timed artifact still recognise what fp32 does? Predictions through the timed engine, compared pair by pair."""

import hashlib
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.reach import Device
from benchmarks.stats import Estimate
from edgefer import golden, parity
from edgefer.align import resize
from edgefer.bundle import Bundle
from edgefer.errors import EnvironmentInvalid
from edgefer.spec import ModelSpec
from edgefer.targets import Target

FACES_WITHOUT_TORCH, SEED_WITHOUT_TORCH = 500, 2
CROPS_EMULATED = 300
"""Under emulation a crop takes up to a second; of so many, 1 % flipped labels pass and 10 % do not."""


@dataclass(frozen=True)
class Crops:
    """What artifacts are compared on."""

    crops: np.ndarray
    """uint8 (N, S, S, C)."""
    labels: np.ndarray | None
    """int64 (N,); None where only agreement can be shown."""
    source: str

    def thinned(self, most: int) -> "Crops":
        """At most so many, evenly spaced; without labels, as so few say nothing of accuracy."""
        if len(self.crops) <= most:
            return self
        chosen = np.linspace(0, len(self.crops) - 1, most).astype(int)
        return Crops(self.crops[chosen], None, f"{len(self.crops)} of {self.source}")


def evaluation_crops(spec: ModelSpec, data: str | None) -> Crops:
    """``train.evaluate``'s crops; on a machine without torch, synthetic faces.

    Raises:
        EnvironmentInvalid: data was named and torch, which reads it, is not installed.
    """
    if importlib.util.find_spec("torch"):
        from train.evaluate import crops

        found = crops(spec, data)
        return Crops(found.crops, found.labels, found.source)
    if data not in (None, "synthetic"):
        raise EnvironmentInvalid("reading --data needs the workshop; run: pip install 'edgefer[workshop]'")
    from train.data.synthetic import faces

    made = faces(FACES_WITHOUT_TORCH, SEED_WITHOUT_TORCH)
    return Crops(np.stack([resize(image, spec.input_size, spec.channels) for image in made.images]), None, made.source)


def probabilities(job: dict, crops: Path, device: Device) -> np.ndarray:
    """Probabilities float32 (N, classes) that a fresh worker's engine on the device gives the crops of a .npy file."""
    out = crops.with_name("probabilities.npy")
    with device.worker(job) as worker:
        worker.ask("load")
        worker.ask("predict", crops=device.put(crops), out=device.path(out))
    device.get(out)
    return np.load(out, allow_pickle=False)


def golden_problems(bundle: Bundle, jobs: dict[str, dict], device: Device) -> list[str]:
    """Where the device computes something else than what was exported, in words; empty where it does not.

    Args:
        bundle: whose golden crops are used; one without any has no problem.
        jobs: precision → the job of its artifact.
        device: where they run.
    """
    if not (bundle.folder / golden.ARRAYS).is_file():
        return []
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "golden-crops.npy"
        for precision, job in jobs.items():
            crops, expected = golden.expected(bundle, job["engine"], precision)
            np.save(file, crops, allow_pickle=False)
            found = golden.output_problems(probabilities(job, file, device), expected, precision)
            problems += [f"{job['engine']}/{precision}, {problem}" for problem in found]
    return problems


def compare(reference: np.ndarray, candidate: np.ndarray, crops: Crops, spec: ModelSpec) -> tuple[parity.Paired, dict]:
    """The paired result and its metrics; accuracies are None where there are no labels."""
    paired = parity.paired(reference, candidate, crops.labels, spec.labels)
    return paired, {
        "accuracy": _fraction(paired.accuracy_candidate, paired.n),
        "accuracy_fp32": _fraction(paired.accuracy_reference, paired.n),
        "accuracy_drop_points": None if paired.drop_points is None else Estimate(paired.drop_points, paired.drop_ci95),
        "flip_rate": _fraction(paired.flip_rate, paired.n),
    }


def kept(predicted: np.ndarray, fp32: np.ndarray, crops: Crops, names: tuple[str, ...]) -> dict:
    """Predictions as a record keeps them, so that a later run can be paired with it: see ``benchmarks.compare``."""
    digest = hashlib.sha256(f"{crops.crops.dtype} {crops.crops.shape}".encode() + crops.crops.tobytes())
    return {
        "crops_sha256": digest.hexdigest(),
        "classes": list(names),
        "labels": None if crops.labels is None else crops.labels.tolist(),
        "target": predicted.tolist(),
        "fp32": fp32.tolist(),
    }


def _fraction(value: float | None, n: int) -> Estimate | None:
    return None if value is None else Estimate(value, parity.wilson(round(value * n), n))


UNLABELLED = "no labelled faces here (EDGEFER_DATA)"


def notes(paired: parity.Paired, target: Target, why: str = UNLABELLED) -> dict[str, str]:
    """What stands beside the figures; ``why`` there is no accuracy, where there is none."""
    told = f"against {target.engine}/fp32 on {paired.n} crops"
    drop = (
        f"{why}; flip_rate stands in"
        if paired.drop_points is None
        else f"{told}; may be up to {paired.drop_upper_points:.2f} (one-sided 95 %)"
    )
    return {
        "flip_rate": f"label differs {told}: agreement with fp32 {100 * (1 - paired.flip_rate):.2f} %",
        "accuracy_drop_points": drop,
    }
