"""Choosing how to quantise a network: remedies in order, until the parity rule holds on the tuning crops."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from compress.accuracy_aware import answers, quantized
from compress.calibration import Calibration
from compress.convert import openvino_model
from compress.quantize import Plan, remedies
from compress.toollog import Say
from edgefer import parity
from edgefer.spec import ModelSpec
from train import graph

FILE = "compression.json"
"""Beside a checkpoint's weights: how ``python -m compress`` chose to quantise it."""


@dataclass(frozen=True)
class Trial:
    """One way of quantising, and what it did on the tuning crops (OpenVINO, batch 1)."""

    plan: Plan
    paired: parity.Paired
    problems: tuple[str, ...]
    """What breaks the parity rule; empty when it holds."""

    def to_json(self) -> dict:
        return {"plan": self.plan.to_json(), "tuning": self.paired.to_json(), "problems": list(self.problems)}

    @classmethod
    def from_json(cls, value: dict) -> "Trial":
        return cls(Plan(**value["plan"]), parity.Paired(**value["tuning"]), tuple(value["problems"]))


def choose(
    network: nn.Module, spec: ModelSpec, calibration: Calibration, vnni: bool, margin_points: float, say: Say
) -> list[Trial]:
    """Try remedies until one holds; the last trial is the one to use (the best, if none held).

    Args:
        network: trained, in evaluation mode.
        calibration: its crops set ranges, its tuning crops decide.
        vnni: whether the target declares it; without it NNCF's overflow fix is on.
        margin_points: accuracy the target allows to lose.
        say: told each remedy as it is tried.
    """
    reference = graph.probabilities(network, spec, calibration.tuning).argmax(1)
    model = openvino_model(graph.DeployedGraph(network, spec).eval(), spec.crop_shape)
    trials: list[Trial] = []
    for plan in remedies(vnni, margin_points):
        say(f"quantising: {plan.name}")
        trials.append(tried(model, plan, calibration, reference, spec.labels, margin_points)[0])
        if not trials[-1].problems:
            return trials
    return sorted(trials, key=_badness, reverse=True)


def tried(
    model, plan: Plan, calibration: Calibration, reference: np.ndarray, labels: tuple[str, ...], margin_points: float
) -> tuple[Trial, object]:
    """One way of quantising an ``openvino.Model``, judged on the tuning crops, and the model that it gave.

    Args:
        model: in fp32; not changed.
        reference: int64 (N,), what fp32 torch answers.
        labels: names of the classes.
    """
    name = model.inputs[0].any_name
    made = quantized(model.clone(), calibration, plan, name)
    result = parity.paired(reference, answers(made, calibration.tuning, name), calibration.tuning_labels, labels)
    return Trial(plan, result, tuple(parity.problems(result, margin_points))), made


def _badness(trial: Trial) -> tuple[float, float]:
    return trial.paired.drop_points or 0.0, trial.paired.flip_rate
