"""``python -m export.saturation``: what int8 says on an x86 CPU without VNNI, with and without the overflow fix.

Such a CPU adds two products of u8 and s8 into 16 bits, where they can saturate; NNCF's overflow fix halves the weights' range
so that they cannot. The same files answer the same crops on this machine and on an older CPU emulated by QEMU.
"""

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from compress import calibration, quantize
from compress.report import divergence
from compress.toollog import tool_output
from edgefer import parity
from edgefer.errors import PASS, BudgetBroken, EnvironmentInvalid, UsageError, exit_with
from edgefer.files import write_json
from export.build import FORMATS
from train import checkpoint, graph

QEMU, CPU = "qemu-x86_64-static", "Haswell"
"""The emulator, and the first Intel generation with AVX2, which has no VNNI."""
LOG = Path("build/saturation.log")
ANSWER = """
import sys
import numpy as np
from edgefer import engines
engine, model, crops, out = sys.argv[1:]
running = engines.load(engine, model, 1)
np.save(out, np.concatenate([running.infer(crop[None]) for crop in np.load(crops)]))
"""


@dataclass(frozen=True)
class Row:
    """One int8 file on one CPU, against the network in fp32."""

    engine: str
    overflow_fix: bool | None
    """None where the engine's quantiser knows none."""
    cpu: str
    drop_points: float | None
    flip_rate: float
    divergence: float
    """Mean Kullback–Leibler divergence from the fp32 network."""
    from_here: float
    """Largest difference of a probability from what the same file says on this machine."""


def answers(engine: str, model: Path, crops: Path, out: Path, cpu: str = "") -> np.ndarray:
    """What a file says of the crops in an .npy file: float32 (N, classes); on an emulated CPU where one is named.

    Raises:
        BudgetBroken: the engine stopped.
    """
    before = [QEMU, "-cpu", cpu] if cpu else []
    command = [*before, sys.executable, "-c", ANSWER, engine, str(model), str(crops), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise BudgetBroken(f"{engine} stopped on {cpu or 'this CPU'}: {told[0]}")
    return np.load(out)


def study(folder: Path, data: str | None, count: int, cpu: str, say) -> list[Row]:
    """Every engine's int8 file on this CPU and on ``cpu``, by ``count`` tuning crops."""
    network, spec = checkpoint.load(folder)
    faces = calibration.collect(spec, data)
    crops, labels = faces.tuning[:count], None if faces.tuning_labels is None else faces.tuning_labels[:count]
    true = graph.probabilities(network, spec, crops)
    deployed = graph.DeployedGraph(network, spec).eval()
    plain, rows = quantize.remedies(vnni=True)[0], []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        np.save(work / "crops.npy", crops)
        for format in FORMATS:
            format.write_fp32(deployed, spec.crop_shape, work)
            for fix in (None,) if format.ENGINE == "litert" else (False, True):
                say(f"{format.ENGINE}: {'quantising' if fix is None else f'overflow fix {fix}'}")
                model = work / format.write_int8(faces, replace(plain, overflow_fix=bool(fix)), work)[0]
                here = None
                for where in ("", cpu):
                    said = answers(format.ENGINE, model, work / "crops.npy", work / "said.npy", where)
                    here = said if here is None else here
                    paired = parity.paired(true.argmax(1), said.argmax(1), labels, spec.labels)
                    apart = float(np.abs(said - here).max())
                    kl = divergence(true, said)
                    told = where or "this machine"
                    rows.append(Row(format.ENGINE, fix, told, paired.drop_points, paired.flip_rate, kl, apart))
    return rows


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| engine | overflow fix | CPU | drop, points | labels flipped | KL | largest difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        fix = {None: "–", True: "yes", False: "no"}[row.overflow_fix]
        drop = "–" if row.drop_points is None else f"{row.drop_points:+.2f}"
        apart = f"{row.from_here:.2g}"
        lines.append(
            f"| {row.engine} | {fix} | {row.cpu} | {drop} | {row.flip_rate:.2%} | {row.divergence:.4f} | {apart} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m export.saturation", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="a trained checkpoint")
    parser.add_argument(
        "--data", help='folder or zip with FER+, or "synthetic" (default: EDGEFER_DATA, else synthetic)'
    )
    parser.add_argument("--cpu", default=CPU, help=f"CPU as QEMU calls it (default {CPU}; {QEMU} -cpu help lists them)")
    parser.add_argument("--crops", type=int, default=500, metavar="N", help="tuning crops (default 500)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    args = parser.parse_args()
    if args.crops < 1:
        raise UsageError(f"--crops {args.crops}: at least one is needed")
    if platform.machine() != "x86_64":
        raise EnvironmentInvalid(f"an x86-64 machine is needed, this one is {platform.machine()}")
    if not shutil.which(QEMU):
        raise EnvironmentInvalid(
            f"the tool {QEMU} is not installed; install it (Debian: apt-get install qemu-user-static)"
        )
    with tool_output(LOG) as say:
        rows = study(args.checkpoint, args.data, args.crops, args.cpu, say)
    print(table(rows))
    if args.json:
        write_json(args.json, {"schema": 1, "rows": [asdict(row) for row in rows]})
    return PASS


if __name__ == "__main__":
    sys.exit(exit_with(main))
