"""NNCF's accuracy-aware quantisation: layers that hurt go back to float, one group after another, until the parity rule holds.

What NNCF watches is how far a model strains the parity rule on the tuning crops, because that is what decides afterwards:
accuracy alone could hold while too many labels flip. LiteRT's quantiser has no counterpart.
"""

from collections.abc import Iterable

import numpy as np

from compress.calibration import Calibration
from compress.convert import compiled
from compress.quantize import Plan, nncf_quantize, nncf_settings
from edgefer import parity

NO_MARGIN = 1e-9
"""Stands for a margin of 0 points, by which nothing can be divided."""


def quantized(model, faces: Calibration, plan: Plan, input_name: str):
    """Quantise an OpenVINO or ONNX model in memory by a plan, accuracy-aware or not; returns a model of the same kind.

    Args:
        model: ``openvino.Model`` or ``onnx.ModelProto`` with one uint8 (1, S, S, C) input and one output of probabilities.
        faces: its crops set ranges; its tuning crops decide which layers stay in float, where the plan asks for that.
        input_name: name of the model's input.
    """
    if plan.accuracy_margin is None:
        return nncf_quantize(model, faces.crops, plan, input_name)
    import nncf

    expected = answers(model, faces.tuning, input_name)
    judge = _Judge(faces, expected, plan.accuracy_margin, input_name)
    settings = nncf_settings(faces.crops, plan)
    return nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(list(faces.crops), lambda crop: {input_name: crop[None]}),
        nncf.Dataset(list(range(len(faces.tuning))), lambda row: {input_name: faces.tuning[row][None]}),
        judge,
        max_drop=1 - judge.strain(expected, slice(None)),
        advanced_quantization_parameters=settings.pop("advanced_parameters"),
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(num_ranking_workers=1),
        **settings,
    )


class _Judge:
    """NNCF's validation function: the larger, the less of what the parity rule allows is used up.

    1 is where it breaks, 2 a model that loses nothing; NNCF divides by the metric, so it is never 0 for the float model.
    """

    def __init__(self, faces: Calibration, expected: np.ndarray, margin_points: float, input_name: str):
        self.faces, self.expected, self.margin_points, self.input_name = faces, expected, margin_points, input_name

    def __call__(self, model, rows: Iterable[int]) -> tuple[float, list[float]]:
        """The metric, and of each tuning crop 1 where the label is the float model's, else 0."""
        rows = np.array(list(rows))
        said = answers(model, self.faces.tuning[rows], self.input_name)
        return 2 - self.strain(said, rows), (said == self.expected[rows]).astype(float).tolist()

    def strain(self, said: np.ndarray, rows) -> float:
        labels = self.faces.tuning_labels
        names = tuple(map(str, range(1 + int(labels.max())))) if labels is not None else ()
        result = parity.paired(self.expected[rows], said, None if labels is None else labels[rows], names)
        return strain(result, self.margin_points)


def strain(result: parity.Paired, margin_points: float) -> float:
    """The largest loss, as a share of what the parity rule allows of its kind: the rule holds up to 1."""
    shares = [result.flip_rate / parity.MAX_FLIPS]
    if result.drop_points is not None:
        shares += [
            result.drop_points / (margin_points or NO_MARGIN),
            result.drop_upper_points / parity.UPPER_BOUND_POINTS,
            *(
                100 * (before - after) / parity.CLASS_MARGIN_POINTS
                for before, after, images in result.recalls.values()
                if images >= parity.CLASS_GATE_IMAGES
            ),
        ]
    return max(shares)


def answers(model, crops: np.ndarray, input_name: str) -> np.ndarray:
    """The class int64 (N,) that a model sees in each crop, computed in fp32 where it is not quantised.

    Args:
        model: ``onnx.ModelProto``, ``openvino.Model``, or one that OpenVINO has compiled.
    """
    import onnx
    import openvino

    if isinstance(model, onnx.ModelProto):
        import onnxruntime

        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return np.array([session.run(None, {input_name: crop[None]})[0][0].argmax() for crop in crops])
    if isinstance(model, openvino.Model):
        model = compiled(model)
    return np.array([model([crop[None]])[0][0].argmax() for crop in crops])
