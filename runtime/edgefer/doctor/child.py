"""One check, in a process of its own: ``python -m edgefer.doctor.child NAME [BUNDLE]`` prints a finding as one JSON line."""

import json
import os
import sys

from edgefer.doctor import Finding, packages, system

OF_A_BUNDLE = ("bundle", "model")
CHECKS = {
    "python": lambda _: system.python(),
    "cpu": lambda _: system.cpu(),
    "wheels": lambda _: system.wheels(),
    "numpy": lambda _: packages.numpy(),
    "engine litert": lambda _: packages.engine("litert"),
    "engine onnxruntime": lambda _: packages.engine("onnxruntime"),
    "engine openvino": lambda _: packages.engine("openvino"),
    "opencv": lambda _: packages.opencv(),
    "bundle": packages.bundle,
    "model": packages.model,
    "camera": lambda _: system.camera(),
    "speed": lambda _: system.speed(),
    "memory": lambda _: system.memory(),
    "disk": system.disk,
    "clock": lambda _: system.clock(),
}
"""Name → the check, given the bundle's folder or None."""


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a package that prints must not garble the answer
    name, bundle = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    found: Finding | None = CHECKS[name](bundle)
    print(json.dumps(found and found.to_json()), file=answer, flush=True)


if __name__ == "__main__":
    main()
