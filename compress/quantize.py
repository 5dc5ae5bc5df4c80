"""Post-training quantisation to int8: NNCF for OpenVINO and ONNX, AI Edge Quantizer for LiteRT, from the same crops."""

import re
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RANGE_PERCENTILE = 99
"""LiteRT's activations are clipped beyond what this percentage of the calibration crops reach. Of 90, 95, 99 and 100 it changed
the answers least on FER+'s hold-out (mean Kullback–Leibler divergence 0.0013, 0.0009, 0.0008, 0.0009; 1.3 % flip)."""


@dataclass(frozen=True)
class Plan:
    """How NNCF quantises. LiteRT has one choice, how far ranges reach: weights per channel, asymmetric activations."""

    name: str
    preset: str = "performance"
    """NNCF's preset: "performance" (symmetric activations) or "mixed" (asymmetric ones)."""
    ranges: str = "max"
    """Activations reach as far as any calibration crop ("max") or as the crops do on average ("mean"). On FER+'s hold-out the
    first changes the default network's answers least (Kullback–Leibler divergence 0.0009 against 0.0027, symmetric)."""
    bias_correction: str = "none"
    """"none", "fast", or "accurate", which is slower. The fast one did no good there (0.0012 against 0.0009)."""
    smooth_quant: bool = False
    """Move activation outliers into the weights before quantising."""
    overflow_fix: bool = True
    """Halve the weights' range, so that u8×s8 products cannot saturate on x86 without VNNI."""
    accuracy_margin: float | None = None
    """Points of accuracy that may be lost: layers go back to float until the parity rule holds on the tuning crops; see
    ``compress.accuracy_aware``. None: all layers are quantised."""

    litert_reach: float = RANGE_PERCENTILE
    """LiteRT: percentage of the calibration crops whose values are not clipped."""

    def to_json(self) -> dict:
        return asdict(self)


def remedies(vnni: bool, margin_points: float = 0.5) -> list[Plan]:
    """Ways of quantising in the order they are tried; the overflow fix is on unless the target declares VNNI.

    ``margin_points`` is the accuracy that the target allows to lose.
    """
    fix = not vnni
    return [
        Plan("plain", overflow_fix=fix),
        Plan("bias correction", bias_correction="fast", overflow_fix=fix),
        Plan("asymmetric activations", "mixed", "mean", "fast", overflow_fix=fix),
        Plan("accurate bias correction", "mixed", "mean", "accurate", overflow_fix=fix),
        Plan("smooth quantisation", "mixed", "mean", "accurate", smooth_quant=True, overflow_fix=fix),
        Plan("layers that hurt stay in float", overflow_fix=fix, accuracy_margin=margin_points),
    ]


def nncf_quantize(model, crops: np.ndarray, plan: Plan, input_name: str):
    """Quantise an OpenVINO or ONNX model in memory; returns a model of the same kind.

    Args:
        model: ``openvino.Model`` or ``onnx.ModelProto`` with one uint8 (1, S, S, C) input.
        crops: uint8 (N, S, S, C) calibration crops.
        input_name: name of the model's input.
    """
    import nncf

    return nncf.quantize(
        model, nncf.Dataset(list(crops), lambda crop: {input_name: crop[None]}), **nncf_settings(crops, plan)
    )


def nncf_settings(crops: np.ndarray, plan: Plan) -> dict:
    """A plan in NNCF's own words: keyword arguments of ``nncf.quantize``."""
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters
    from nncf.quantization.range_estimator import (
        AggregatorType,
        RangeEstimatorParameters,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    joined = {"max": (AggregatorType.MIN, AggregatorType.MAX), "mean": (AggregatorType.MEAN, AggregatorType.MEAN)}
    ends = [
        StatisticsCollectorParameters(statistics_type=end, aggregator_type=by)
        for end, by in zip((StatisticsType.MIN, StatisticsType.MAX), joined[plan.ranges], strict=True)
    ]
    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE if plan.overflow_fix else nncf.OverflowFix.DISABLE,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(*((0.95, 0.95) if plan.smooth_quant else (-1, -1))),
        activations_quantization_params=QuantizationParameters(per_channel=False),
        activations_range_estimator_params=RangeEstimatorParameters(*ends),
        disable_bias_correction=plan.bias_correction == "none",
    )
    return {
        "preset": nncf.QuantizationPreset(plan.preset),
        "subset_size": len(crops),
        "fast_bias_correction": plan.bias_correction != "accurate",
        "advanced_parameters": advanced,
    }


def litert_quantize(
    source: Path, crops: np.ndarray, destination: Path, floats: Sequence[str] = (), reach: float = RANGE_PERCENTILE
) -> None:
    """Static int8 weights and activations of a fp32 .tflite; input stays uint8, softmax and output stay float.

    ``floats`` names more operators that stay float, as ``TFLOperationName`` calls them; beyond what ``reach`` % of the crops
    reach, activations are clipped.

    An int8 softmax output would tie the top two classes of about one face in 250, and LiteRT in a browser refuses one.
    Divisions, with what makes their divisor, stay float as well: LiteRT stops where an int8 divisor is rounded to zero.
    """
    from ai_edge_litert.interpreter import Interpreter

    ((signature, names),) = Interpreter(str(source)).get_signature_list().items()
    (input_name,) = names["inputs"]
    quantizer = _litert_quantizer(source, floats)
    ranges = [quantizer.calibrate({signature: [{input_name: crop[None]}]}, num_threads=1) for crop in crops]
    typical = _typical_ranges(ranges, reach)
    _share_ranges(typical, litert_moves(source, MOVES.difference(floats)))
    quantizer.quantize(typical).export_model(str(destination), overwrite=True)


def _litert_graph(source: Path) -> tuple[dict[int, str], list[dict], set[int]]:
    """Of a .tflite file: its tensors' names by index, its operations in order, and the indices of its inputs."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(source))
    names = {tensor["index"]: tensor["name"] for tensor in model.get_tensor_details()}
    operations = model._get_ops_details()  # the package has no public way to list them
    return names, operations, {tensor["index"] for tensor in model.get_input_details()}


def litert_divisions(source: Path) -> set[str]:
    """Names of what a .tflite file's divisions give, and of what leads from a dividend to its divisor, as in x / ‖x‖."""
    names, operations, pictures = _litert_graph(source)
    makers = {output: operation for operation in operations for output in operation["outputs"]}
    found: set[int] = set()
    for operation in operations:
        if operation["op_name"] == "DIV":
            dividend, divisor = operation["inputs"]
            found |= {*operation["outputs"], *_between(dividend, divisor, makers, pictures)}
    return {names[tensor] for tensor in found}


def _between(start: int, end: int, makers: dict[int, dict], pictures: Set[int]) -> set[int]:
    """Tensors by which one leads to another, the last included; none where the last needs a picture by another way."""
    met, waiting = set(), [end]
    while waiting:
        tensor = waiting.pop()
        if tensor in pictures:
            return set()
        if tensor != start and tensor in makers and tensor not in met:
            met.add(tensor)
            waiting += makers[tensor]["inputs"].tolist()
    return met


MOVES = {"CONCATENATION", "SLICE", "STRIDED_SLICE", "RESHAPE", "TRANSPOSE", "SPLIT"}
"""Operations of LiteRT that only move values."""


def litert_moves(source: Path, moves: Set[str] = MOVES) -> list[set[str]]:
    """Groups of a .tflite file's tensors whose values are only moved from one to another, by one of these operations.

    Constants, such as where slices begin, belong to none: many operations share them.
    """
    names, operations, _ = _litert_graph(source)
    made = {output for operation in operations for output in operation["outputs"]}
    groups: list[set[str]] = []
    for operation in operations:
        if operation["op_name"] in moves:
            touched = {names[i] for i in (*operation["inputs"], *operation["outputs"]) if i in made}
            met = [group for group in groups if group & touched]
            groups = [group for group in groups if not group & touched] + [touched.union(*met)]
    return groups


def _share_ranges(ranges: dict, groups: list[set[str]]) -> None:
    """One range for tensors between which values are only moved; otherwise every piece of a concatenation is rescaled."""
    for group in groups:
        members = [ranges[name] for name in group if "min" in ranges.get(name, {})]
        if members:
            low, high = min(m["min"].min() for m in members), max(m["max"].max() for m in members)
            for member in members:
                member["min"], member["max"] = np.full_like(member["min"], low), np.full_like(member["max"], high)


def _litert_quantizer(source: Path, floats: Sequence[str]):
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    made = quantizer.Quantizer(str(source))
    made.load_quantization_recipe(recipe.static_wi8_ai8())
    for operation in (TFLOperationName.OUTPUT, TFLOperationName.SOFTMAX, *(TFLOperationName[name] for name in floats)):
        made.update_quantization_recipe(".*", operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for name in sorted(litert_divisions(source)):
        scope = f"(^|;){re.escape(name)}(;|$)"
        made.update_quantization_recipe(scope, TFLOperationName.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return made


def _typical_ranges(ranges: list[dict], reach: float) -> dict:
    """One range a tensor from every crop's own: that percentile of the crops' minima and maxima.

    AI Edge Quantizer by itself keeps a moving average that remembers about the last twenty crops; measured on FER+'s
    hold-out that flips twice as many labels, and so do the outermost ranges.
    """
    merged = {}
    for name, first in ranges[0].items():
        merged[name] = dict(first)
        if "min" in first:
            lows, highs = (np.stack([crop[name][end] for crop in ranges]) for end in ("min", "max"))
            merged[name]["min"] = np.percentile(lows, 100 - reach, axis=0).astype(lows.dtype)
            merged[name]["max"] = np.percentile(highs, reach, axis=0).astype(highs.dtype)
    return merged
