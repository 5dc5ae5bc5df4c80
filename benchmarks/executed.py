"""Did the engine execute what the artifact promises? Judged by the engine's own account, which a worker's ``details`` carry.

A model file may say int8 and still be computed in float, where an engine does not fuse its quantise and dequantise pairs; fp32
may silently become bf16 on a CPU that has it; LiteRT without XNNPACK runs plain kernels that are many times slower. Figures of
such a run are of something else than what they are called.
"""

LEAST_INT8_SHARE = 0.9
"""Of the layers that multiply, in an int8 artifact; a first or last layer kept in float is a choice, half of them is not."""


def problems(name: str, precision: str, threads: int, details: dict) -> list[str]:
    """What does not fit, one phrase each; empty when the account fits or the engine gives none.

    Args:
        name: of the artifact, for the phrases.
        precision: fp32 or int8, as promised.
        threads: as asked for.
        details: of the loaded engine, see ``edgefer.engines.Engine.details``.
    """
    found = [f"{name}: {problem}" for problem in _layer_problems(precision, details.get("layers") or {})]
    if not details.get("layers") and details.get("threads"):  # the null engine, which computes nothing, has no threads
        found.append(f"{name}: the engine's account has no layer that multiplies, so nothing tells what it executed")
    if details.get("delegate") == "none":
        found.append(f"{name}: XNNPACK is absent, LiteRT ran its plain kernels")
    if details.get("threads") not in (None, 0, threads):
        found.append(f"{name}: ran on {details['threads']} threads, {threads} were asked for")
    return found


def _layer_problems(precision: str, layers: dict[str, int]) -> list[str]:
    total, wanted = sum(layers.values()), {"fp32": "float32", "int8": "int8"}[precision]
    fitting = layers.get(wanted, 0)
    if not total or fitting >= total * (LEAST_INT8_SHARE if precision == "int8" else 1):
        return []
    others = ", ".join(f"{count} in {dtype}" for dtype, count in layers.items() if dtype != wanted)
    return [f"of {total} layers that multiply, {others}, though the artifact is {precision}"]


def told(details: dict) -> str:
    """``70 layers int8, XNNPACK`` for the report."""
    layers = ", ".join(f"{count} layers {dtype}" for dtype, count in (details.get("layers") or {}).items())
    return ", ".join(part for part in (layers, details.get("delegate")) if part)
