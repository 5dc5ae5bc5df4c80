"""Every network goes through every format in fp32 and says there what torch says."""

import copy
import functools

import numpy as np
import pytest
import torch

from edgefer import engines
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec
from export import build
from train import graph, models, recipe

SIZE, CROPS = 32, 4
TOLERANCE, ROUNDING = 2e-5, 5
"""Probabilities differ by at most TOLERANCE, or, where untrained weights amplify fp32's rounding (ResNet-50: 6e-5), by ROUNDING
times what fp32 torch itself differs from fp64 torch. A conversion that changes the network moves them by some 1e-2."""
ALIGNMENT = Alignment(((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)), {})


FORMS = {"imponderous with its mirror": {"mirror": True}, "csgresnet18 shifted at random": {"position": "random"}}
"""Forms of a system, named by it and what they are, whose operations its recipe's form lacks."""
CASES = (*models.SYSTEMS, *FORMS)


def form(case: str) -> tuple[str, dict]:
    """(system, constructor options): those of FORMS, else of the first shipped recipe of the system, else the paper's."""
    system = case.split()[0]
    found = (chosen.options for chosen in map(recipe.load, recipe.names()) if chosen.system == system)
    return system, FORMS.get(case) or next(found, {})


def crops() -> np.ndarray:
    """Smooth random grey pictures that differ in more than noise: uint8 (CROPS, SIZE, SIZE, 1)."""
    coarse = torch.rand(CROPS, 1, 5, 5, generator=torch.Generator().manual_seed(1)) * 255
    fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic").clamp(0, 255)
    return fine.permute(0, 2, 3, 1).to(torch.uint8).numpy()


@functools.cache
def sensitive(case: str) -> tuple[torch.nn.Module, ModelSpec, np.ndarray, float]:
    """(network, spec, torch's probabilities of the crops, allowed difference), with input-sensitive weights."""
    torch.manual_seed(0)
    system, options = form(case)
    network = models.build(system, len(FERPLUS_LABELS), 1, options)
    spec = ModelSpec(system, FERPLUS_LABELS, SIZE, 1, ALIGNMENT, options)
    x = (torch.from_numpy(crops()).permute(0, 3, 1, 2).float() - spec.mean) / spec.scale
    spread_answers(network, x)
    probabilities = graph.probabilities(network, spec, crops())
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(x.double()).softmax(1).numpy()
    return network, spec, probabilities, max(TOLERANCE, ROUNDING * float(np.abs(probabilities - exact).max()))


@torch.no_grad()
def spread_answers(network: torch.nn.Module, x: torch.Tensor) -> None:
    """Make an untrained network, which says nearly the same of every face, tell the faces ``x`` apart.

    Batch norms take their statistics from x; the last layers ignore what the faces have in common, and grow until the logits
    differ by about one.
    """
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)):
        norm.momentum = 1.0
    network.train()(x)
    linear = (m for m in network.modules() if isinstance(m, torch.nn.Linear))
    last = [m for m in linear if m.out_features == len(FERPLUS_LABELS)]
    seen = {}
    hooks = [m.register_forward_pre_hook(lambda m, inputs: seen.update({m: inputs[0].mean(0)})) for m in last]
    network.eval()(x)
    for hook, layer in zip(hooks, last, strict=True):
        hook.remove()
        common = seen[layer] / seen[layer].norm()
        layer.weight -= torch.outer(layer.weight @ common, common)
    spread = network(x).std(0).mean()
    for layer in last:
        layer.weight /= spread


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_sensitive_to_the_input(case):
    _, _, probabilities, allowed = sensitive(case)
    assert np.abs(probabilities - probabilities.mean(0)).max(0).min() > 0.01
    assert allowed < 1e-3


@pytest.mark.parametrize("format", build.FORMATS, ids=lambda f: f.FORMAT)
@pytest.mark.parametrize("case", CASES)
def test_fp32_equals_torch(case, format, tmp_path):
    network, spec, expected, allowed = sensitive(case)
    names = format.write_fp32(graph.DeployedGraph(network, spec).eval(), spec.crop_shape, tmp_path)
    engine = engines.load(format.ENGINE, tmp_path / names[0], threads=1)
    found = np.concatenate([engine.infer(crop[None]) for crop in crops()])
    assert np.abs(found - expected).max() <= allowed
