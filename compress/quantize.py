"""Post-training quantisation to int8: NNCF for OpenVINO and ONNX, AI Edge Quantizer for LiteRT, from the same crops."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


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

    advanced = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.ENABLE if plan.overflow_fix else nncf.OverflowFix.DISABLE,
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


def litert_quantize(source: Path, crops: np.ndarray, destination: Path) -> None:
    """Static int8 weights and activations of a fp32 .tflite; input stays uint8, softmax and output stay float.

    An int8 softmax output would tie the top two classes of about one face in 250, and LiteRT in a browser refuses one.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    quantiser = quantizer.Quantizer(str(source))
    quantiser.load_quantization_recipe(recipe.static_wi8_ai8())
    for operation in (TFLOperationName.OUTPUT, TFLOperationName.SOFTMAX):
        quantiser.update_quantization_recipe(".*", operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    ((signature, names),) = Interpreter(str(source)).get_signature_list().items()
    (input_name,) = names["inputs"]
    samples = [{input_name: crop[None]} for crop in crops]
    calibrated = quantiser.calibrate({signature: samples}, num_threads=2)
    quantiser.quantize(calibrated).export_model(str(destination), overwrite=True)
