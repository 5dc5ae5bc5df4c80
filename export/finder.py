"""The face finder's part of a bundle: every format in fp32 and int8, each compared with fp32 torch, and golden vectors."""

from pathlib import Path

import numpy as np

from compress import finder as frames_of
from compress.calibration import Calibration
from compress.quantize import Plan, remedies
from compress.toollog import Say
from edgefer import bundle as bundles
from edgefer import detectors, finder_golden, finder_parity
from edgefer.detectors.own import Own
from edgefer.detectors.shrink import to_square
from edgefer.errors import BudgetBroken
from edgefer.finder import decode
from edgefer.finder_spec import OUTPUTS, FinderModel
from edgefer.targets import Target
from train.data import synthetic
from train.finder import checkpoint as checkpoints
from train.finder.graph import DeployedFinder, outputs

FOLDER = Path(bundles.FINDER).parent
FLOATS = ("RESHAPE", "CONCATENATION", "LOGISTIC")
"""What joins the levels' outputs: in int8 the levels and kinds of numbers would share one range."""
LITERT_REACH = (95, 75, 50, 99)
"""Tried in this order; see ``compress.quantize.litert_quantize``. On tuning photographs 95 did best with the shipped finder,
whose activations have a bound; a network without one may need less."""
GOLDEN_FRAMES, GOLDEN_SEED, GOLDEN_SIZE = 3, 4, (320, 240)


def add(checkpoint: Path, target: Target, data: str | None, folder: Path, formats, say: Say) -> bundles.BundledFinder:
    """Write a finder's files into a bundle's folder.

    Args:
        checkpoint: folder with weights and FinderSpec.
        target: of the bundle; whether it has VNNI counts.
        data: folder with the photographs, "synthetic", or None for ``EDGEFER_DATA`` or else synthetic frames.
        folder: of the bundle.
        formats: of ``export.build``.
        say: told each step.

    Raises:
        BudgetBroken: a rung of the ladder failed; names it.
        InputRejected: the checkpoint is damaged.
    """
    return _Finder(checkpoint, target, data, folder, say).run(formats)


class _Finder:
    """One finder in the making."""

    def __init__(self, checkpoint: Path, target: Target, data: str | None, folder: Path, say: Say):
        self.network, self.spec = checkpoints.load(checkpoint)
        self.target, self.folder, self.say = target, folder, say
        self.frames = frames_of.collect(self.spec, data)
        self.reference = outputs(self.network, self.spec, self.frames.parity)
        self.found = [decode(output, self.spec) for output in self.reference]

    def run(self, formats) -> bundles.BundledFinder:
        place = self.folder / FOLDER
        place.mkdir()
        graph = DeployedFinder(self.network, self.spec).eval()
        artifacts = []
        for format in formats:
            names = format.write_fp32(graph, self.spec.input_shape, place, tuple(OUTPUTS))
            artifacts.append(self._artifact(format, "fp32", names, self._fp32(format, place / names[0])))
            artifacts.append(self._int8(format, place))
        data = {
            "calibration": {
                "source": self.frames.source,
                "squares": len(self.frames.calibration),
                "sha256": self.frames.sha256,
            },
            "parity": {"source": self.frames.source, "squares": len(self.frames.parity)},
        }
        self._golden(artifacts)
        return bundles.BundledFinder(self.spec, tuple(artifacts), data)

    def _artifact(self, format, precision: str, names: list[str], evidence: dict) -> bundles.Artifact:
        paths = [(FOLDER / name).as_posix() for name in names]
        return bundles.artifact(self.folder, format.ENGINE, format.FORMAT, precision, paths, evidence)

    def _own(self, engine: str, model: Path) -> Own:
        return detectors.load("own", own=FinderModel(model, self.spec, engine, self.target.threads))

    def _fp32(self, format, model: Path) -> dict:
        own, rung = self._own(format.ENGINE, model), f"finder {format.ENGINE}/fp32"
        squares = zip(self.frames.parity, self.reference, strict=True)
        worst = max(float(np.abs(own.outputs(s)[name] - was[name]).max()) for s, was in squares for name in OUTPUTS)
        self.say(f"{rung}: outputs within {worst:.1e} of fp32 torch on {self.frames.source}")
        if not worst <= finder_parity.FP32_TOLERANCE:
            raise BudgetBroken(
                f"parity rung '{rung}' is broken on {self.frames.source}: outputs differ from fp32 torch by up to {worst:.2e}, "
                f"{finder_parity.FP32_TOLERANCE:.0e} is allowed; the conversion to this format changed the network"
            )
        tolerance = finder_parity.FP32_TOLERANCE
        return {"rung": rung, "data": self.frames.source, "max_difference": worst, "tolerance": tolerance}

    def _int8(self, format, place: Path) -> bundles.Artifact:
        """The first way of quantising that holds."""
        rung = f"finder {format.ENGINE}/int8"
        squares = self.frames.calibration[..., None]
        faces = Calibration(squares, squares[:0], None, self.frames.source)
        for plan in _ways(format.FORMAT, self.target.vnni):
            names = format.write_int8(faces, plan, place, FLOATS)
            own = self._own(format.ENGINE, place / names[0])
            likeness = finder_parity.compare(
                self.found, [decode(own.outputs(square), self.spec) for square in self.frames.parity]
            )
            broken = finder_parity.problems(likeness)
            self.say(f"{rung}, {plan.name}: {_told(likeness)}{': ' if broken else ''}{'; '.join(broken)}")
            if not broken:
                evidence = {"rung": rung, "data": self.frames.source, "plan": plan.to_json(), **likeness.to_json()}
                return self._artifact(format, "int8", names, evidence)
        raise BudgetBroken(f"parity rung '{rung}' is broken on {self.frames.source}: {'; '.join(broken)}")

    def _golden(self, artifacts: list[bundles.Artifact]) -> None:
        frames, _ = synthetic.frames(GOLDEN_FRAMES, GOLDEN_SEED, *GOLDEN_SIZE)
        squares = np.stack([to_square(frame, self.spec.input_size)[0] for frame in frames])
        faces = {}
        for artifact in artifacts:
            own = self._own(artifact.engine, self.folder / artifact.file)
            found = [decode(own.outputs(square), self.spec) for square in squares]
            faces[artifact.engine, artifact.precision] = finder_golden.rows(found)
        finder_golden.write(self.folder, frames, squares, faces)


def _ways(format: str, vnni: bool) -> list[Plan]:
    """NNCF's remedies, as far as they do not need labels; for LiteRT ranges that reach further and further.

    A frame's few strongest activations reach far beyond the others', and ranges that hold them leave the others too few steps.
    """
    if format == "tflite":
        return [Plan(f"ranges of {reach} % of the frames", litert_reach=reach) for reach in LITERT_REACH]
    return [way for way in remedies(vnni) if way.accuracy_margin is None]


def _told(likeness: finder_parity.Likeness) -> str:
    return (
        f"{likeness.found:.2%} of fp32's {likeness.faces} faces found, {likeness.extra:.2%} more, boxes overlap by "
        f"{likeness.overlap:.3f}, landmarks shift by {likeness.shift:.2%} of the eyes' distance"
    )
