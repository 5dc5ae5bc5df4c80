// Measures the bundle in this browser and writes the Record that benchmarks/ reads (docs/benchmarks.md): raw samples first.

import { frameOf, check, vectors } from "./golden.js";
import { heapBytes, Model, MOST_THREADS, THREADED, version } from "./engine.js";
import { artifact } from "./bundle.js";
import { best, Recogniser } from "./recogniser.js";
import { estimate, percentile, PERCENTILE_MINIMUM } from "./stats.js";

// A browser compiles WebAssembly twice, quickly and then well, function by function: the first warm-up is for that.
const PLAN = { rounds: 7, blocks: 7, block_s: 0.03, min_n: 5, max_n: 400, warm_s: 0.3, first_warm_s: 2 };
export const QUICK = { ...PLAN, rounds: 3, blocks: 3, first_warm_s: 1 };
const PIPELINE_RUNS = 3, PIPELINE_S = 1, PACE_S = 1 / 25, RING = 8;
const ns = (milliseconds) => Math.round(milliseconds * 1e6);
const pause = () => new Promise((resolve) => setTimeout(resolve, 10));

/**
 * Other models are to be deleted before: see MOST_THREADS.
 *
 * @param bundle see bundle.js
 * @param {{precision, threads, plan?, live?: number[], crops?: {data: Uint8Array, shape: number[]}, only_speed?, accelerator?}} asked
 *   live: milliseconds of frames of the camera; crops: to predict, in both precisions;
 *   only_speed: nothing but the latency of the one artifact
 * @param {(text: string) => void} say told what is measured now
 */
export async function measure(bundle, asked, say = () => {}) {
  const { precision, threads, plan = PLAN, live = [], crops = null, only_speed = false, accelerator = "wasm" } = asked;
  const started = performance.now();
  const choice = { precision, threads: Math.min(threads, MOST_THREADS), asked: threads, only_speed, accelerator };
  const problems = [];
  const worst = {};
  for (const each of only_speed ? [] : new Set([precision, "fp32"])) {
    say("golden vectors");
    const recogniser = await Recogniser.open(bundle, { ...choice, precision: each });
    const found = await check(recogniser);
    recogniser.delete();
    problems.push(...found.problems.map((problem) => `litert/${each}, ${problem}`));
    worst[each] = found.worst;
  }
  const samples = { interleaved: await interleaved(bundle, choice, plan, say), golden: worst };
  say("pipeline");
  samples.pipeline = only_speed ? [] : await pipeline(bundle, choice);
  if (crops) samples.predictions = await predictions(bundle, choice, crops, say);
  if (live.length) samples.live = { unit: "ms", frames: live };
  samples.wasm_heap_bytes = await heapBytes();
  return record(bundle, choice, plan, samples, problems, (performance.now() - started) / 1000);
}

/** The target and its fp32 take turns in blocks of random order; every round compiles both anew. */
async function interleaved(bundle, choice, plan, say) {
  const alone = choice.precision === "fp32" || choice.only_speed;
  const roles = { target: choice.precision, ...(alone ? {} : { same_engine_fp32: "fp32" }) };
  const blocks = {}, warm_up = {}, order = [], loads = {}, sizes = {};
  const crops = ring(bundle.spec);
  for (const role in roles) [blocks[role], warm_up[role], loads[role]] = [[], [], []];
  for (let round = 0; round < plan.rounds; round++) {
    say(`speed: round ${round + 1} of ${plan.rounds}`);
    const running = {};
    for (const [role, precision] of Object.entries(roles)) {
      const { file } = artifact(bundle.manifest, precision);
      const bytes = await bundle.read(file);
      const begin = performance.now();
      const model = await Model.load(file, bytes, choice.threads, choice.accelerator);
      await model.run(crops[0].data, crops[0].shape);
      loads[role].push(ns(performance.now() - begin));
      running[role] = model;
      warm_up[role].push(await warm(model, crops, round ? plan.warm_s : plan.first_warm_s));
      sizes[role] ??= size(warm_up[role][0], plan);
      blocks[role].push([]);
    }
    for (let turn = 0; turn < plan.blocks; turn++) {
      const names = shuffled(Object.keys(roles));
      for (const role of names) {
        await pause();
        blocks[role][round].push(await block(running[role], crops, sizes[role]));
      }
      order.push(names);
    }
    for (const model of Object.values(running)) model.delete();
  }
  return { unit: "ns", shape: "round, block, inference", blocks, warm_up, order, load_and_first: loads };
}

function ring({ input_size: size, channels }) {
  return Array.from({ length: RING }, () => {
    const data = Uint8Array.from({ length: size * size * channels }, () => 256 * Math.random());
    return { data, shape: [1, size, size, channels] };
  });
}

async function block(model, crops, n) {
  const found = [];
  for (let i = 0; i < n; i++) {
    const { data, shape } = crops[i % RING];
    const begin = performance.now();
    await model.run(data, shape);
    found.push(ns(performance.now() - begin));
  }
  return found;
}

async function warm(model, crops, seconds) {
  const found = [], end = performance.now() + 1000 * seconds;
  while (performance.now() < end || found.length < 5) found.push(...(await block(model, crops, 1)));
  return found;
}

function size(warmed, plan) {
  const typical = percentile(warmed.slice(Math.floor(warmed.length / 2)), 50);
  return Math.min(plan.max_n, Math.max(plan.min_n, Math.ceil((plan.block_s * 1e9) / Math.max(typical, 1))));
}

function shuffled(names) {
  for (let i = names.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [names[i], names[j]] = [names[j], names[i]];
  }
  return names;
}

/** The golden frames from frame to smoothed label, as fast as they go. */
async function pipeline(bundle, choice) {
  const { frames } = await vectors(bundle, "finder");
  const runs = [];
  for (let run = 0; run < PIPELINE_RUNS; run++) {
    const recogniser = await Recogniser.open(bundle, choice);
    const found = { detector: "own", ns: [], faces: [] };
    const end = performance.now() + 1000 * PIPELINE_S;
    for (let i = -3; i < 0 || performance.now() < end; i++) {
      const frame = frameOf(frames, (i + 3) % frames.shape[0]);
      const begin = performance.now();
      const faces = await recogniser.follow(frame, (i + 3) * PACE_S);
      if (i < 0) continue;
      found.ns.push(ns(performance.now() - begin));
      found.faces.push(faces.length);
    }
    recogniser.delete();
    runs.push(found);
    await pause();
  }
  return runs;
}

/** Label of every crop by the target and by fp32. */
async function predictions(bundle, choice, { data, shape }, say) {
  const found = {};
  const length = data.length / shape[0];
  for (const [role, precision] of [["target", choice.precision], ["fp32", "fp32"]]) {
    say(`agreement: ${shape[0]} crops through ${precision}`);
    const model = await Recogniser.model(bundle, bundle.manifest, precision, choice.threads, choice.accelerator);
    found[role] = [];
    for (let i = 0; i < shape[0]; i++) {
      const [{ data: probabilities }] = await model.run(data.slice(i * length, (i + 1) * length), [1, ...shape.slice(1)]);
      found[role].push(best(probabilities));
    }
    model.delete();
  }
  return found;
}

async function record(bundle, choice, plan, samples, problems, took) {
  const { spec, manifest } = bundle;
  const target = artifact(manifest, choice.precision);
  const remarks = [
    "measured by the page itself; a round is a model compiled anew in one page, not a fresh process",
    "times of single inferences are as coarse as the browser's clock: see environment.browser.clock_us",
  ];
  if (choice.threads < choice.asked) remarks.push(`${choice.asked} threads were asked for, ${choice.threads} are to be had in this page`);
  return {
    schema: 1,
    target: "browser",
    verdict: problems.length ? "fail" : "pass",
    metrics: metrics(samples, target),
    environment: {
      ...(await environment()),
      run: {
        bundle: bundle.name,
        bundle_inputs: manifest.inputs,
        artifact: { name: `litert/${choice.precision}`, file: target.file, files: target.files },
        system: spec.system,
        input_size: spec.input_size,
        channels: spec.channels,
        engine: "litert",
        precision: choice.precision,
        threads: choice.threads,
        accelerator: choice.accelerator,
        quick: plan.rounds < PLAN.rounds,
        plan,
        crops: samples.predictions ? `${samples.predictions.target.length} sent by the server` : "none",
        frames: "the bundle's golden frames, faces by own",
        took_s: { page: Math.round(10 * took) / 10 },
        problems,
        remarks,
      },
    },
    samples,
  };
}

function metrics(samples, target) {
  const row = (value, unit, ci95 = null, note = "") => ({ value, ci95, unit, budget: null, verdict: null, note });
  const scaled = (rounds) => rounds.map((blocks) => blocks.map((each) => each.map((value) => value / 1e6)));
  const { target: own, same_engine_fp32: fp32 } = samples.interleaved.blocks;
  const latency = estimate(scaled(own));
  const found = { latency_ms: row(latency.value, "ms", latency.ci95, "network alone, median") };
  const flat = own.flat(2);
  for (const [p, minimum] of Object.entries(PERCENTILE_MINIMUM)) {
    if (flat.length >= minimum) found[`latency_p${p}_ms`] = row(percentile(flat, p) / 1e6, "ms");
  }
  const turned = latency.ci95 && latency.ci95.map((end) => 1000 / end).reverse();
  found.fps = row(1000 / latency.value, "frames/s", turned, "1000 / latency_ms");
  if (fp32) {
    const note = "over the bundle's fp32 in the same engine";
    found.speedup_vs_same_engine_fp32 = row(estimate(scaled(fp32)).value / latency.value, "×", null, note);
  }
  found.artifact_mb = row(target.bytes / 1e6, "MB", null, "all files of the artifact");
  if (!samples.pipeline.length) return found;
  const rates = samples.pipeline.map((run) => (1e9 * run.ns.length) / run.ns.reduce((sum, value) => sum + value, 0));
  const note = "detector own, alignment, network, smoothing; as fast as frames go";
  found.pipeline_fps = row(percentile(rates, 50), "frames/s", null, note);
  return found;
}

/** What a browser tells of the machine it runs on, in the fields of benchmarks/environment.py; null for what it keeps to itself. */
async function environment() {
  const told = (await navigator.userAgentData?.getHighEntropyValues?.(["architecture", "bitness", "model", "platformVersion"])) ?? {};
  const machine = [told.architecture, told.bitness].filter(Boolean).join(" ") || null;
  return {
    time: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    cpu: {
      model: told.model || `unknown (${navigator.userAgentData?.platform ?? navigator.platform})`,
      machine,
      flags: [],
      cores: navigator.hardwareConcurrency ?? null,
      affinity: [],
      governor: null,
      mhz: null,
      temperature_c: {},
      throttled: null,
    },
    memory_total_bytes: navigator.deviceMemory ? navigator.deviceMemory * 2 ** 30 : null,
    load_average_at_start: null,
    kernel: [told.platform ?? navigator.platform, told.platformVersion].filter(Boolean).join(" "),
    python: null,
    packages: { "@litertjs/core": await version() },
    browser: { agent: navigator.userAgent, threads: THREADED, webgpu: Boolean(navigator.gpu), clock_us: clock() },
    git: null,
  };
}

/** Smallest step of the browser's clock that is seen, in microseconds: browsers make it coarse on purpose. */
function clock() {
  let least = Infinity;
  for (let i = 0, last = performance.now(); i < 20000; i++) {
    const now = performance.now();
    if (now > last) least = Math.min(least, now - last);
    last = now;
  }
  return Number.isFinite(least) ? Math.round(1e4 * least) / 10 : null;
}
