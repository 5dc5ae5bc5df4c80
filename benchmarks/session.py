"""One benchmark run from bundle to record: each pass in turn, its raw samples kept, everything judged at the end."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import (
    agreement,
    contenders,
    disturbance,
    environment,
    executed,
    figures,
    idle,
    interleave,
    reach,
    resources,
    stats,
    sustained,
    verdict,
    whole,
)
from benchmarks.interleave import Interleaved, Plan
from benchmarks.stats import Estimate
from edgefer import engines, parity
from edgefer.bundle import Bundle
from edgefer.errors import EdgeferError
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
    sustained_s: float = 0.0
    """Of uninterrupted work at the end; 0: none."""


FULL = Effort(Plan(), memory_runs=3, cold_starts=7, pipeline_runs=3, quick=False)
QUICK = Effort(Plan(rounds=3, blocks=3), memory_runs=1, cold_starts=3, pipeline_runs=1, quick=True)


class Session:
    """A bundle on a target's device.

    Args:
        bundle: verified.
        target: with the engine, precision and threads to measure.
        data: as ``train.evaluate.crops`` takes it.
        effort: FULL or QUICK.
        say: told what starts.
        device: where the workers run (``benchmarks.reach``).
        earlier: the accepted baseline's artifact, timed beside today's; None where there is none.
    """

    def __init__(
        self,
        bundle: Bundle,
        target: Target,
        data: str | None,
        effort: Effort,
        say: Callable[[str], None],
        device: reach.Device,
        earlier: contenders.Earlier | None = None,
    ):
        self.bundle, self.target, self.data, self.effort, self.say = bundle, target, data, effort, say
        self.device, self.earlier = device, earlier
        self.artifact = bundle.artifact(target.engine, target.precision)
        self.job = contenders.artifact_job(bundle, target.engine, target.precision, target.threads)
        self.measured: dict[str, Estimate | None] = {}
        self.samples: dict = {}
        self.details: dict[str, dict] = {}
        self.readings: list[dict] = []
        self.spoiling: list[str] = []
        self.doubtful: list[str] = []
        self.took_s: dict[str, float] = {}
        self.remarks: list[str] = []
        self.notes = dict(NOTES)

    def record(self, every: bool = False, studies: dict[str, Callable[["Session"], dict]] | None = None) -> dict:
        """Measure and judge: ``{schema, target, verdict, metrics, environment, samples}``. With ``every``, each artifact.

        ``studies`` are measured after all that is judged; each gives samples by name.
        """
        self.device.stage(self.bundle)
        fingerprint = self.fingerprint()
        with self.taking("speed"):
            noise = self.time_models(every) if self.device.timed else self.leave_times_out()
        with self.taking("memory and cold start"):
            self.weigh()
        with self.taking("pipeline"):
            frames = self.time_pipeline()
        with self.taking("agreement"):
            crops, paired = self.compare()
            problems = [f"parity: {p}" for p in parity.problems(paired, self.target.margin_points)]
            problems += self.golden_problems()
        problems = self.fallbacks() + problems
        self.spoiling = self.disturbances(noise)
        self.time_more(every, crops, studies or {})
        (load, *_), cores = fingerprint["load_average_at_start"] or [0], len(fingerprint["cpu"]["affinity"])
        if load > cores and self.device.timed:
            self.remarks.append(
                f"busy: load average {load:.1f} on {cores} cores when the run began; times may be too long"
            )
        doubtful = [name for name, role in figures.RATIOS.items() if role in self.doubtful]
        rows = verdict.metrics(self.measured, self.target.budgets, bool(self.spoiling), self.notes, doubtful)
        unanswered = verdict.unanswered(rows, self.device.timed)
        self.remarks += [f"{name} was not measured and nothing stands in for it" for name in unanswered]
        return {
            "schema": SCHEMA,
            "target": self.target.name,
            "verdict": verdict.overall(rows, problems, bool(self.spoiling), self.device.timed),
            "metrics": {row.name: row.to_json() for row in rows},
            "environment": {**fingerprint, "run": self.described(crops, frames, noise, problems)},
            "samples": self.samples,
        }

    def time_more(self, every: bool, crops: agreement.Crops, studies: dict[str, Callable[["Session"], dict]]) -> None:
        """What was asked for beyond the target's own figures, as far as the device can."""
        asked = [*(["--engines"] if every else []), *(["--sustained"] if self.effort.sustained_s else [])]
        if asked and not self.device.timed:
            self.remarks.append(f"emulated: {' and '.join(asked)} would take times, and was left out")
        if every and self.device.timed:
            with self.taking("every engine"):
                self.samples["engines"] = self.every_engine(crops)
        if self.effort.sustained_s and self.device.timed:
            with self.taking("sustained"):
                self.sustain()
        if studies and not self.device.here:
            self.remarks.append(
                f"{', '.join(studies)}: measured on this machine only, and left out for {self.device.name}"
            )
            return
        for name, study in studies.items():
            with self.taking(name):
                self.attempt(name, study)

    def attempt(self, name: str, study: Callable[["Session"], dict]) -> None:
        """A study that fails costs its own figures only, not those that the run has."""
        try:
            self.samples |= study(self)
        except EdgeferError as error:
            self.remarks.append(f"{name} was not measured: {error}")

    @contextmanager
    def taking(self, name: str) -> Iterator[None]:
        """Keeps how long a pass took, for the record and for whoever plans the next run."""
        start = time.monotonic()
        yield
        self.took_s[name] = round(time.monotonic() - start, 1)

    def disturbances(self, noise: float | None) -> list[str]:
        """What makes the times worthless, which is remarked as well as what does not; nothing where no times were taken."""
        if noise is None:
            return []
        medians = [float(np.median(ns)) for ns in self.blocks[contenders.TARGET]]
        found = disturbance.findings(self.readings, medians)
        spoiling = list(found.spoiling)
        if noise > verdict.NOISE_BOUND:
            spoiling.append(
                f"noise: the target's own blocks differ by {noise:.0%}; {verdict.NOISE_BOUND:.0%} is allowed"
            )
        for role in (*figures.RATIOS.values(), contenders.BASELINE):
            if role in self.blocks and (unrest := stats.spread(self.blocks[role])) > verdict.NOISE_BOUND:
                self.doubtful.append(role)
                self.remarks.append(f"noise: blocks of {role} differ by {unrest:.0%}; no ratio over it counts")
        self.remarks += [*spoiling, *found.remarks]
        self.samples["climate"] = self.readings
        return spoiling

    def sustain(self) -> None:
        """Work without a pause, with temperature and frequency."""
        self.say(f"sustained: {self.effort.sustained_s:.0f} s without a pause")
        with self.device.worker(self.job) as worker:
            worker.start()
            self.samples["sustained"] = sustained.run(worker, self.effort.sustained_s)
        self.measured |= sustained.figures(self.samples["sustained"])
        self.notes["sustained_slowdown"] = sustained.note(self.samples["sustained"])

    def fingerprint(self) -> dict:
        """The device's; where that is another machine, this one's as well, with the checkout's state."""
        here = environment.fingerprint()
        if self.device.here:
            return here
        there = reach.fingerprint(self.device)
        times = {
            "time": here["time"],
            "device_time": there["time"],
        }  # a device's clock may be wrong, and orders nothing
        return {**there, **times, "reach": self.target.reach["kind"], "git": here["git"], "workstation": here}

    def leave_times_out(self) -> None:
        """On a device whose times mean nothing: what runs there, and every time not measured."""
        self.blocks = {}
        with self.device.worker(self.job) as worker:
            worker.start()
            self.details[contenders.TARGET] = worker.ask("details")
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
        jobs = field.jobs | ({contenders.BASELINE: self.earlier.job} if self.earlier else {})
        run = self.interleaved("speed", jobs, self.effort.plan)
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

    def fallbacks(self) -> list[str]:
        """Where the target's artifact was not executed as it says; the others' only make a remark."""
        precisions = {contenders.TARGET: self.target.precision, contenders.ORT: "fp32", contenders.SAME: "fp32"}
        precisions |= {
            artifact.name: artifact.precision for artifact in contenders.runnable(self.bundle, self.device.about)
        }
        found = {
            role: executed.problems(role, precisions[role], self.target.threads, details)
            for role, details in self.details.items()
            if role in precisions
        }
        own = found.pop(contenders.TARGET)
        self.remarks += [remark for remarks in found.values() for remark in remarks]
        return own

    def interleaved(self, name: str, jobs: dict[str, dict], plan: Plan) -> Interleaved:
        """Time the jobs of several contenders in turns, and watch that those whose turn it is not keep still."""
        watch = idle.Watch()
        starters = {role: partial(self.started, watch, role, job) for role, job in jobs.items()}
        run = interleave.measure(starters, plan, lambda text: self.say(text.replace("speed", name, 1)))
        self.samples.setdefault("idle_cpu", {})[name] = watch.to_json()
        self.remarks += idle.remarks(watch.to_json())
        return run

    @contextmanager
    def started(self, watch: idle.Watch, role: str, job: dict) -> Iterator[idle.Watched]:
        """A contender ready to be timed; the first time, it is asked what really runs."""
        with self.device.worker(job) as worker:
            worker.start()
            if role not in self.details:
                self.details[role] = worker.ask("details")
            if role == contenders.TARGET:
                self.readings.append(worker.ask("climate"))
            if self.device.here:
                with watch.over(role, worker) as watched:
                    yield watched
            else:  # the CPU time of another machine's processes cannot be read from here
                yield worker
            if role == contenders.TARGET:
                self.readings.append(worker.ask("climate"))

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
        self.start_cold()
        self.measured |= figures.cold(self.samples["cold_start"])
        typical = {name: np.median([run[name] for run in self.samples["cold_start"]]) for name in resources.PHASES}
        parts = ", ".join(f"{name} {ms:.0f}" for name, ms in typical.items() if name != "total")
        self.notes["cold_start_ms"] = f"new process to first answer: {parts}"

    def start_cold(self) -> None:
        """Fresh processes one after the other, in turns with the baseline's where there is one."""
        jobs = {"cold_start": self.job} | ({"cold_start_baseline": self.earlier.job} if self.earlier else {})
        self.samples |= {name: [] for name in jobs}
        for _ in range(self.effort.cold_starts):
            for name, job in jobs.items():
                self.samples[name].append(resources.cold_start(job, self.device))

    def time_pipeline(self) -> str:
        """Frame to label; says which frames and which detector."""
        if not (self.device.timed and (self.device.about.opencv or self.bundle.finder)):
            for name in ("pipeline_fps", "result_age_ms", "dropped_frames"):
                self.measured[name] = None
                self.notes.setdefault(name, "OpenCV is not there (pip install 'edgefer[camera]')")
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
        self.notes["result_age_ms"] = whole.camera_note(runs)
        return f"{frames.source}, faces by {runs[0]['detector']}"

    def compare(self) -> tuple[agreement.Crops, parity.Paired]:
        """Predictions of the timed artifact against its engine's fp32."""
        self.say("agreement with fp32: reading the crops")
        crops = agreement.evaluation_crops(self.bundle.spec, self.data)
        if not self.device.timed:
            crops = crops.thinned(agreement.CROPS_EMULATED)
        self.say(f"agreement with fp32: {len(crops.crops)} crops through {self.artifact.name}")
        paired, found, predicted = self.against_fp32(crops, self.target.engine, self.target.precision)
        own, fp32 = predicted[self.target.precision], predicted["fp32"]
        self.samples["predictions"] = agreement.kept(own, fp32, crops, self.bundle.spec.labels)
        self.samples["parity"] = paired.to_json()
        self.measured |= found
        why = agreement.UNLABELLED if self.device.timed else "emulated: too slow for enough faces"
        self.notes |= agreement.notes(paired, self.target, why)
        if paired.drop_points is None:
            for name in ("accuracy", "accuracy_fp32"):
                del self.measured[name]
        return crops, paired

    def against_fp32(
        self, crops: agreement.Crops, engine: str, precision: str
    ) -> tuple[parity.Paired, dict, dict[str, np.ndarray]]:
        """Paired result and metrics of one artifact; and by precision what it and its fp32 predict."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "crops.npy"
            np.save(file, crops.crops, allow_pickle=False)
            predicted = {
                each: agreement.probabilities(
                    contenders.artifact_job(self.bundle, engine, each, self.target.threads), file, self.device
                ).argmax(1)
                for each in dict.fromkeys(("fp32", precision))
            }
        compared = agreement.compare(predicted["fp32"], predicted[precision], crops, self.bundle.spec)
        return *compared, predicted

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
        paired, *_ = self.against_fp32(crops, artifact.engine, artifact.precision)
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
            "artifact": {"name": self.artifact.name, "file": self.artifact.file, "files": self.artifact.files},
            "system": spec.system,
            "input_size": spec.input_size,
            "channels": spec.channels,
            "engine": target.engine,
            "precision": target.precision,
            "threads": target.threads,
            "quick": self.effort.quick,
            "plan": asdict(self.effort.plan),
            "contenders": self.details,
            "contender_files": contenders.files(self.bundle, self.target, self.earlier),
            "crops": f"{len(crops.crops)} of {crops.source}, {labels}",
            "frames": frames,
            "noise": noise,
            "noise_bound": verdict.NOISE_BOUND,
            "spoiling": self.spoiling,
            "doubtful_roles": self.doubtful,
            "runtime": environment.runtime_sha256(),
            "took_s": self.took_s,
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
