"""From a checkpoint to a bundle: write every format, climb the parity ladder, add golden vectors, seal."""

import sys
from collections.abc import Iterator
from pathlib import Path

from compress import calibration, plan
from compress.toollog import Say, tool_output
from edgefer import bundle as bundles
from edgefer import engines, golden
from edgefer.errors import BudgetBroken, EdgeferError
from edgefer.files import check_ours, new_folder, read_json
from edgefer.spec import ModelSpec
from edgefer.targets import Target
from export import finder as finders
from export import inputs, provenance, to_litert, to_onnx, to_openvino
from export.ladder import Ladder, told
from train import checkpoint as checkpoints
from train import evaluate, graph
from train.data import synthetic
from train.finder.checkpoint import SHIPPED as SHIPPED_FINDER

FORMATS = (to_litert, to_onnx, to_openvino)
"""Each has ENGINE, FORMAT, write_fp32 and write_int8."""
GOLDEN_FRAMES, GOLDEN_SEED, GOLDEN_SIZE = 4, 3, (320, 240)


def bundle(
    checkpoint: Path,
    target: Target,
    data: str | None,
    out: Path,
    quiet: bool = False,
    finder: Path | None = SHIPPED_FINDER,
) -> Path:
    """Build the bundle of a target, or reuse the one in ``out`` when nothing it is made from changed.

    Args:
        checkpoint: folder with weights and ModelSpec, with or without the ``compression.json`` of ``python -m compress``.
        target: entry of ``devices.yaml``.
        data: folder or zip with FER+, "synthetic", or None for ``EDGEFER_DATA`` or else synthetic faces.
        out: folder to write; replaced only by a whole, verified bundle.
        quiet: print nothing.
        finder: folder of a face finder's checkpoint, or None for a bundle without one.

    Returns:
        ``out``.

    Raises:
        BudgetBroken: a rung of the parity ladder failed; names it.
        InputRejected: the checkpoint is damaged.
    """
    out = Path(out).absolute()
    check_ours(out, bundles.MANIFEST)
    network, spec = checkpoints.load(checkpoint)
    made_from = inputs.describe(Path(checkpoint), target, data, finder)
    reason = _why_build(out, made_from)
    if not quiet:
        told = f"building, {reason}" if reason else "reused, the hashes of its inputs are unchanged"
        print(f"bundle {out}: {told}", file=sys.stderr, flush=True)
    if reason:
        with new_folder(out) as folder, tool_output(out.with_name(f"{out.name}.log"), quiet) as say:
            _Build(network, spec, target, data, folder, say).run(made_from, checkpoint, finder)
    return out


def _why_build(out: Path, made_from: dict) -> str | None:
    """Why the bundle in ``out`` cannot be reused; None when it can."""
    if not (out / bundles.MANIFEST).exists():
        return "there is none yet"
    try:
        old = bundles.load(out)
    except EdgeferError:
        return "the one that is there is damaged or of another version"
    changed = inputs.changed(old.inputs, made_from)
    return f"{', '.join(changed)} changed" if changed else None


class _Build:
    """One bundle in the making."""

    def __init__(self, network, spec: ModelSpec, target: Target, data: str | None, folder: Path, say: Say):
        self.network, self.spec, self.target, self.folder, self.say = network, spec, target, folder, say
        self._data = data
        self.graph = graph.DeployedGraph(network, spec).eval()
        self.calibration = calibration.collect(spec, data)
        self.crops = evaluate.crops(spec, data)
        reference = graph.probabilities(network, spec, self.crops.crops)
        self.ladder = Ladder(reference, self.crops.labels, spec.labels, self.crops.source, target.margin_points)

    def run(self, made_from: dict, checkpoint: Path, finder: Path | None) -> None:
        trials = self._trials(Path(checkpoint))
        artifacts = [artifact for format in FORMATS for artifact in self._artifacts(format, trials[-1].plan)]
        data = {
            "calibration": {
                "source": self.calibration.source,
                "crops": len(self.calibration.crops),
                "sha256": self.calibration.sha256,
            },
            "quantization": [trial.to_json() for trial in trials],
            "parity": {
                "source": self.crops.source,
                "crops": len(self.crops.crops),
                "labels": self.crops.labels is not None,
            },
        }
        made = bundles.Bundle(
            folder=self.folder,
            name=f"{self.spec.system}-{self.target.name}",
            target=self.target.name,
            spec=self.spec,
            artifacts=tuple(artifacts),
            data=data,
            inputs=made_from,
            defaults={"engine": self.target.engine, "precision": self.target.precision, "threads": self.target.threads},
            finder=finders.add(finder, self.target, self._data, self.folder, FORMATS, self.say) if finder else None,
        ).write_manifest()
        self._golden(made)
        provenance.write(made)
        bundles.seal(self.folder)
        self._replay_golden()

    def _trials(self, checkpoint: Path) -> list[plan.Trial]:
        """The way of quantising: the one the checkpoint brings, or the first that holds."""
        if (checkpoint / plan.FILE).exists():
            return [plan.Trial.from_json(trial) for trial in read_json(checkpoint / plan.FILE)["trials"]]
        self.say(f"choosing how to quantise: {self.calibration.source}")
        trials = plan.choose(
            self.network, self.spec, self.calibration, self.target.vnni, self.target.margin_points, self.say
        )
        self.say(f"quantising by: {trials[-1].plan.name}")
        return trials

    def _artifacts(self, format, chosen) -> Iterator[bundles.Artifact]:
        names = format.write_fp32(self.graph, self.spec.crop_shape, self.folder)
        yield self._verified(format, "fp32", names)
        names = format.write_int8(self.calibration, chosen, self.folder)
        yield self._verified(format, "int8", names)

    def _verified(self, format, precision: str, names: list[str]) -> bundles.Artifact:
        """The artifact, once its rung of the ladder held."""
        rung = f"{format.ENGINE}/{precision}"
        engine = engines.load(format.ENGINE, self.folder / names[0], self.target.threads)
        probabilities = evaluate.engine_probabilities(engine, self.crops.crops)
        evidence = getattr(self.ladder, precision)(rung, probabilities)
        self.say(f"{rung}: {told(evidence)}")
        return bundles.artifact(self.folder, format.ENGINE, format.FORMAT, precision, names, evidence)

    def _golden(self, made: bundles.Bundle) -> None:
        """Frames with known landmarks → crops → what every artifact says of them."""
        width, height = GOLDEN_SIZE
        frames, landmarks = synthetic.frames(GOLDEN_FRAMES, GOLDEN_SEED, width, height)
        crops = golden.cut(self.spec, frames, landmarks)
        outputs = {}
        for artifact in made.artifacts:
            engine = engines.load(artifact.engine, self.folder / artifact.file, self.target.threads)
            outputs[artifact.engine, artifact.precision] = evaluate.engine_probabilities(engine, crops)
        golden.write(self.folder, self.spec, frames, landmarks, outputs)

    def _replay_golden(self) -> None:
        """A bundle that fails its own golden vectors here would fail them everywhere."""
        opened = bundles.load(self.folder)
        for artifact in opened.artifacts:
            found = golden.check(opened, artifact.engine, artifact.precision, self.target.threads)
            if found:
                raise BudgetBroken(f"golden vectors of {artifact.name} do not replay: {'; '.join(found)}")
