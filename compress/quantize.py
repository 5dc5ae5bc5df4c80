"""Post-training quantisation to int8: NNCF for OpenVINO and ONNX, AI Edge Quantizer for LiteRT, from the same crops."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RANGE_PERCENTILE = 90
"""LiteRT's activations are clipped beyond what this percentage of the calibration crops reach. Of 75, 90, 95, 99 and 100 it
flipped the fewest labels on FER+'s hold-out (1.1 %; 100: 2.4 %; a moving average: 2.8 %)."""


@dataclass(frozen=True)
class Plan:
    """How NNCF quantises. LiteRT's static int8 has no such choices: weights per channel, activations asymmetric."""

    name: str
    preset: str = "performance"
    """NNCF's preset: "performance" (symmetric activations) or "mixed" (asymmetric ones)."""
    fast_bias_correction: bool = True
    """False: the slower, more accurate bias correction."""
    smooth_quant: bool = False
    """Move activation outliers into the weights before quantising."""
    overflow_fix: bool = True
    """Halve the weights' range, so that u8×s8 products cannot saturate on x86 without VNNI."""

    one_range: bool = False
    """One activation range a tensor even before depthwise convolutions, where NNCF gives each channel its own, which
    onnxruntime's integer convolution refuses."""

    def to_json(self) -> dict:
        return asdict(self)


def remedies(vnni: bool) -> list[Plan]:
    """Ways of quantising in the order they are tried; the overflow fix is on unless the target declares VNNI."""
    fix = not vnni
    return [
        Plan("plain", overflow_fix=fix),
        Plan("asymmetric activations", "mixed", overflow_fix=fix),
        Plan("accurate bias correction", "mixed", fast_bias_correction=False, overflow_fix=fix),
        Plan("smooth quantisation", "mixed", fast_bias_correction=False, smooth_quant=True, overflow_fix=fix),
    ]


def nncf_quantize(model, crops: np.ndarray, plan: Plan, input_name: str):
    """Quantise an OpenVINO or ONNX model in memory; returns a model of the same kind.

    Args:
        model: ``openvino.Model`` or ``onnx.ModelProto`` with one uint8 (1, S, S, C) input.
        crops: uint8 (N, S, S, C) calibration crops.
        input_name: name of the model's input.
    """
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE if plan.overflow_fix else nncf.OverflowFix.DISABLE,
        activations_quantization_params=QuantizationParameters(per_channel=False) if plan.one_range else None,
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(*((0.95, 0.95) if plan.smooth_quant else (-1, -1))),
    )
    return nncf.quantize(
        model,
        nncf.Dataset(list(crops), lambda crop: {input_name: crop[None]}),
        preset=nncf.QuantizationPreset(plan.preset),
        subset_size=len(crops),
        fast_bias_correction=plan.fast_bias_correction,
        advanced_parameters=advanced,
    )


def litert_quantize(
    source: Path,
    crops: np.ndarray,
    destination: Path,
    floats: Sequence[str] = (),
    percentile: float = RANGE_PERCENTILE,
) -> None:
    """Static int8 weights and activations of a fp32 .tflite; input stays uint8, softmax and output stay float.

    ``floats`` names more operators that stay float, as ``TFLOperationName`` calls them; ``percentile``: see
    ``RANGE_PERCENTILE``.

    An int8 softmax output would tie the top two classes of about one face in 250, and LiteRT in a browser refuses one.
    """
    from ai_edge_litert.interpreter import Interpreter

    ((signature, names),) = Interpreter(str(source)).get_signature_list().items()
    (input_name,) = names["inputs"]
    quantizer = _litert_quantizer(source, floats)
    ranges = [quantizer.calibrate({signature: [{input_name: crop[None]}]}, num_threads=1) for crop in crops]
    quantizer.quantize(_typical_ranges(ranges, percentile)).export_model(str(destination), overwrite=True)


def _litert_quantizer(source: Path, floats: Sequence[str]):
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    made = quantizer.Quantizer(str(source))
    made.load_quantization_recipe(recipe.static_wi8_ai8())
    for operation in (TFLOperationName.OUTPUT, TFLOperationName.SOFTMAX, *(TFLOperationName[name] for name in floats)):
        made.update_quantization_recipe(".*", operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return made


def _typical_ranges(ranges: list[dict], percentile: float) -> dict:
    """One range a tensor from every crop's own: that percentile of the crops' minima and maxima.

    AI Edge Quantizer by itself keeps a moving average that remembers about the last twenty crops; measured on FER+'s
    hold-out that flips twice as many labels, and so do the outermost ranges.
    """
    merged = {}
    for name, first in ranges[0].items():
        merged[name] = dict(first)
        if "min" in first:
            lows, highs = (np.stack([crop[name][end] for crop in ranges]) for end in ("min", "max"))
            merged[name]["min"] = np.percentile(lows, 100 - percentile, axis=0).astype(lows.dtype)
            merged[name]["max"] = np.percentile(highs, percentile, axis=0).astype(highs.dtype)
    return merged
