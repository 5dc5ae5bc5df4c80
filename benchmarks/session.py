"""One benchmark run from bundle to record: each pass in turn, its raw samples kept, everything judged at the end."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import agreement, contenders, environment, figures, interleave, reach, resources, stats, verdict, whole
from benchmarks.interleave import Plan
from benchmarks.processes import Worker
from benchmarks.stats import Estimate
from edgefer import engines, parity
from edgefer.bundle import Bundle
from edgefer.targets import Target

SCHEMA = 1


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    plan: Plan
    memory_runs: int
    cold_starts: int
    pipeline_runs: int
    quick: bool


FULL = Effort(Plan(), memory_runs=3, cold_starts=7, pipeline_runs=3, quick=False)
QUICK = Effort(Plan(rounds=2, blocks=4), memory_runs=1, cold_starts=3, pipeline_runs=1, quick=True)


class Session:
    """A bundle on a target's device.

    Args:
        bundle: verified.
        target: with the engine, precision and threads to measure.
        data: as ``train.evaluate.crops`` takes it.
        effort: FULL or QUICK.
        say: told what starts.
        device: where the workers run (``benchmarks.reach``).
    """

    def __init__(
        self,
        bundle: Bundle,
        target: Target,
        data: str | None,
        effort: Effort,
        say: Callable[[str], None],
        device: reach.Device,
    ):
        self.bundle, self.target, self.data, self.effort, self.say = bundle, target, data, effort, say
        self.device = device
        self.artifact = bundle.artifact(target.engine, target.precision)
        self.job = contenders.artifact_job(bundle, target.engine, target.precision, target.threads)
        self.measured: dict[str, Estimate | None] = {}
        self.samples: dict = {}
        self.details: dict[str, dict] = {}
        self.remarks: list[str] = []
        self.notes = dict(NOTES)

    def record(self, every: bool = False) -> dict:
        """Measure and judge: ``{schema, target, verdict, metrics, environment, samples}``. With ``every``, each artifact."""
        self.device.stage(self.bundle)
        fingerprint = self.fingerprint()
        noise = self.time_models(every) if self.device.timed else self.leave_times_out()
        self.weigh()
        frames = self.time_pipeline()
        crops, paired = self.compare()
        problems = [f"parity: {p}" for p in parity.problems(paired, self.target.margin_points)] + self.golden_problems()
        if every and self.device.timed:
            self.samples["engines"] = self.every_engine(crops)
        if every and not self.device.timed:
            self.remarks.append("emulated: --engines compares engines by time, and was left out")
        noisy = noise is not None and noise > verdict.NOISE_BOUND
        if noisy:
            self.remarks.append(
                f"noise: blocks of the same thing differ by {noise:.0%}; {verdict.NOISE_BOUND:.0%} is allowed"
            )
        (load, *_), cores = fingerprint["load_average_at_start"] or [0], len(fingerprint["cpu"]["affinity"])
        if load > cores and self.device.timed:
            self.remarks.append(
                f"busy: load average {load:.1f} on {cores} cores when the run began; times may be too long"
            )
        rows = verdict.metrics(self.measured, self.target.budgets, noisy, self.notes)
        unanswered = verdict.unanswered(rows, self.device.timed)
        self.remarks += [f"{name} was not measured and nothing stands in for it" for name in unanswered]
        return {
            "schema": SCHEMA,
            "target": self.target.name,
            "verdict": verdict.overall(rows, problems, noisy, self.device.timed),
            "metrics": {row.name: row.to_json() for row in rows},
            "environment": {**fingerprint, "run": self.described(crops, frames, noise, problems)},
            "samples": self.samples,
        }

    def fingerprint(self) -> dict:
        """The device's; where that is another machine, this one's as well, with the checkout's state."""
        here = environment.fingerprint()
        if self.device.here:
            return here
        there = reach.fingerprint(self.device)
        return {**there, "reach": self.target.reach["kind"], "git": here["git"], "workstation": here}

    def leave_times_out(self) -> None:
        """On a device whose times mean nothing: what runs there, and every time not measured."""
        with self.started(contenders.TARGET, self.job):
            self.blocks = {}
        timed = [name for name, kind in verdict.KINDS.items() if kind.timed]
        self.measured |= dict.fromkeys(timed)
        self.notes |= dict.fromkeys(timed, "emulated: no time counts")

    def golden_problems(self) -> list[str]:
        """The last rung of parity: does the device compute what was exported?"""
        precisions = dict.fromkeys(("fp32", self.target.precision))
        jobs = {p: contenders.artifact_job(self.bundle, self.target.engine, p, self.target.threads) for p in precisions}
        return [f"golden vectors: {p}" for p in agreement.golden_problems(self.bundle, jobs, self.device)]

    def time_models(self, every: bool) -> float:
        """The interleaved run; gives the spread of the target's own blocks."""
        field = contenders.field(self.bundle, self.target, self.device.about, every)
        starters = {role: partial(self.started, role, job) for role, job in field.jobs.items()}
        run = interleave.measure(starters, self.effort.plan, self.say)
        self.samples["interleaved"], self.blocks = run.to_json(), run.blocks
        self.measured |= figures.speed(run.blocks)
        for name, role in figures.RATIOS.items():
            if role in field.absent:
                self.notes[name] = f"{field.absent[role]}"
        if contenders.EAGER in self.details:
            side = self.details[contenders.EAGER]["input_size"]
            self.notes["speedup_vs_eager_fp32"] = (
                f"over eager PyTorch fp32, {self.bundle.spec.system} at its paper's {side}²"
            )
        return stats.spread(run.blocks[contenders.TARGET])

    @contextmanager
    def started(self, role: str, job: dict) -> Iterator[Worker]:
        """A contender ready to be timed; the first time, it is asked what really runs."""
        with self.device.worker(job) as worker:
            worker.start()
            if role not in self.details:
                self.details[role] = worker.ask("details")
            yield worker

    def weigh(self) -> None:
        """Memory, cold start and size."""
        self.say(f"memory: {self.effort.memory_runs} fresh processes")
        self.samples["memory"] = [resources.memory(self.job, self.device) for _ in range(self.effort.memory_runs)]
        self.measured |= figures.memory(self.samples["memory"])
        self.measured["artifact_mb"] = Estimate(self.artifact.bytes / 1e6)
        installed = reach.installed_mb(self.device, engines.row_of(self.target.engine).packages)
        self.measured["installed_mb"] = None if installed is None else Estimate(installed)
        stages = self.samples["memory"][0]
        emulator = "" if self.device.timed else ", QEMU's own share included"
        self.notes["peak_rss_mb"] = (
            f"high-water mark; before loading {stages['baseline']['vm_hwm'] / 1e6:.0f}{emulator}"
        )
        if self.device.timed:
            self.time_starts()

    def time_starts(self) -> None:
        """Cold start."""
        self.say(f"cold start: {self.effort.cold_starts} fresh processes")
        self.samples["cold_start"] = [
            resources.cold_start(self.job, self.device) for _ in range(self.effort.cold_starts)
        ]
        self.measured |= figures.cold(self.samples["cold_start"])
        typical = {name: np.median([run[name] for run in self.samples["cold_start"]]) for name in resources.PHASES}
        parts = ", ".join(f"{name} {ms:.0f}" for name, ms in typical.items() if name != "total")
        self.notes["cold_start_ms"] = f"new process to first answer: {parts}"

    def time_pipeline(self) -> str:
        """Frame to label; says which frames and which detector."""
        if not (self.device.timed and self.device.about.opencv):
            self.measured["pipeline_fps"] = None
            self.notes.setdefault("pipeline_fps", "OpenCV is not there (pip install 'edgefer[camera]')")
            return "none: the pipeline was not measured"
        self.say(f"pipeline: {self.effort.pipeline_runs} fresh processes")
        runs = []
        with tempfile.TemporaryDirectory() as folder:
            frames = whole.choose_frames(self.data, Path(folder))
            for _ in range(self.effort.pipeline_runs):
                with self.device.worker(whole.job(self.bundle, self.target, frames)) as worker:
                    runs.append(worker.ask("frames"))
        self.samples["pipeline"] = runs
        self.measured |= figures.pipeline(runs)
        self.notes["pipeline_fps"] = whole.note(runs[0])
        return f"{frames.source}, faces by {runs[0]['detector']}"

    def compare(self) -> tuple[agreement.Crops, parity.Paired]:
        """Predictions of the timed artifact against its engine's fp32."""
        self.say("agreement with fp32: reading the crops")
        crops = agreement.evaluation_crops(self.bundle.spec, self.data)
        if not self.device.timed:
            crops = crops.thinned(agreement.CROPS_EMULATED)
        self.say(f"agreement with fp32: {len(crops.crops)} crops through {self.artifact.name}")
        paired, found = self.against_fp32(crops, self.target.engine, self.target.precision)
        self.samples["parity"] = paired.to_json()
        self.measured |= found
        told = f"against {self.target.engine}/fp32 on {paired.n} crops"
        self.notes["flip_rate"] = f"label differs {told}: agreement with fp32 {100 * (1 - paired.flip_rate):.2f} %"
        if paired.drop_points is None:
            for name in ("accuracy", "accuracy_fp32"):
                del self.measured[name]
            why = (
                "no labelled faces here (EDGEFER_DATA)" if self.device.timed else "emulated: too slow for enough faces"
            )
            self.notes["accuracy_drop_points"] = f"{why}; flip_rate stands in"
        else:
            self.notes["accuracy_drop_points"] = f"{told}; may be up to {paired.drop_upper_points:.2f} (one-sided 95 %)"
        return crops, paired

    def against_fp32(self, crops: agreement.Crops, engine: str, precision: str) -> tuple[parity.Paired, dict]:
        """Paired result and metrics of one artifact."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "crops.npy"
            np.save(file, crops.crops, allow_pickle=False)
            predicted = {
                each: agreement.probabilities(
                    contenders.artifact_job(self.bundle, engine, each, self.target.threads), file, self.device
                ).argmax(1)
                for each in ("fp32", precision)
            }
        return agreement.compare(predicted["fp32"], predicted[precision], crops, self.bundle.spec)

    def every_engine(self, crops: agreement.Crops) -> list[dict]:
        """One row for eager PyTorch and each artifact: latency of the same interleaved run, and all else."""
        rows = [self.engine_row(artifact, crops) for artifact in contenders.runnable(self.bundle, self.device.about)]
        if contenders.EAGER in self.blocks:
            rows.insert(0, {**dict.fromkeys(rows[0]), "name": "torch/eager fp32", **self.latency_row(contenders.EAGER)})
        return rows

    def engine_row(self, artifact, crops: agreement.Crops) -> dict:
        self.say(f"{artifact.name}: memory, cold start, agreement")
        job = contenders.artifact_job(self.bundle, artifact.engine, artifact.precision, self.target.threads)
        starts = [resources.cold_start(job, self.device) for _ in range(self.effort.cold_starts)]
        paired, _ = self.against_fp32(crops, artifact.engine, artifact.precision)
        return {
            "name": artifact.name,
            **self.latency_row(artifact.name),
            "peak_rss_mb": figures.memory([resources.memory(job, self.device)])["peak_rss_mb"].value,
            "cold_start_ms": figures.cold(starts)["cold_start_ms"].value,
            "artifact_mb": artifact.bytes / 1e6,
            "accuracy": paired.accuracy_candidate,
            "flip_rate": paired.flip_rate,
            "parity": paired.to_json(),
        }

    def latency_row(self, role: str) -> dict:
        samples, eager = self.blocks[role], self.blocks.get(contenders.EAGER)
        latency = stats.median(samples / 1e6)
        speedup = None if eager is None else stats.ratio(eager, samples)
        return {
            "latency_ms": latency.value,
            "latency_ci95": list(latency.ci95),
            "speedup_vs_eager_fp32": speedup and speedup.value,
            "speedup_ci95": speedup and list(speedup.ci95),
        }

    def described(self, crops: agreement.Crops, frames: str, noise: float, problems: list[str]) -> dict:
        """What ran, for the header and for whoever compares records."""
        spec, target = self.bundle.spec, self.target
        labels = "with labels" if crops.labels is not None else "without labels: agreement only, no accuracy"
        return {
            "bundle": self.bundle.name,
            "bundle_inputs": self.bundle.inputs,
            "artifact": {"name": self.artifact.name, "files": self.artifact.files},
            "system": spec.system,
            "input_size": spec.input_size,
            "channels": spec.channels,
            "engine": target.engine,
            "precision": target.precision,
            "threads": target.threads,
            "quick": self.effort.quick,
            "plan": asdict(self.effort.plan),
            "contenders": self.details,
            "crops": f"{len(crops.crops)} of {crops.source}, {labels}",
            "frames": frames,
            "noise": noise,
            "noise_bound": verdict.NOISE_BOUND,
            "problems": problems,
            "remarks": self.remarks,
        }


NOTES = {
    "latency_ms": "network alone, median",
    "fps": "1000 / latency_ms",
    "speedup_vs_onnxruntime_fp32": "over the bundle's fp32 in onnxruntime, same input",
    "speedup_vs_same_engine_fp32": "over the bundle's fp32 in the same engine",
    "artifact_mb": "all files of the artifact",
    "installed_mb": "engine's package and all it requires",
    "accuracy": "of the timed artifact",
    "accuracy_fp32": "of the same engine's fp32",
}
