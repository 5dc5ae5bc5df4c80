// The page: opens the bundle, follows a camera, a video or a picture, and measures.

import * as bundles from "./bundle.js";
import { deleteAll, MOST_THREADS } from "./engine.js";
import { check } from "./golden.js";
import { measure } from "./measure.js";
import { examine, keep } from "./origin.js";
import { Recogniser } from "./recogniser.js";
import * as source from "./source.js";
import { percentile, PERCENTILE_MINIMUM } from "./stats.js";
import { SMOOTHING } from "./track.js";
import * as view from "./view.js";

const element = (id) => document.getElementById(id);
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
const timeline = new view.Timeline();
const KEPT = 300; // frames that the figures are of

let bundle, recogniser;
let run = 0; // number of the source that may go on; another number ends it
let facing = "user";
let times = [];
let looking = Promise.resolve(); // the frame that is being looked at
let loading = Promise.resolve(); // models that are being loaded or measured

const say = (text) => (element("state").textContent = text);
const complain = (error) => (element("problem").textContent = error ? (error.message ?? String(error)) : "");

async function main() {
  if (element("smoothing").textContent !== String(SMOOTHING)) element("smoothing").textContent = SMOOTHING;
  const origin = await examine();
  element("origin").textContent = origin.sentence;
  document.body.dataset.origin = origin.kind;
  bundle = await bundles.load("bundle/");
  view.makeBars(bundle.spec.labels);
  fill("precision", bundles.precisions(bundle), bundle.manifest.defaults.precision);
  fill("threads", Array.from({ length: MOST_THREADS }, (_, i) => i + 1), Math.min(MOST_THREADS, bundle.manifest.defaults.threads ?? 1));
  await choose();
  listen();
  const task = new URLSearchParams(location.search).get("task");
  if (task) await work(task);
  await kept();
  document.body.dataset.ready = "yes";
}

/** Keep what was used so far for a visit without a network. */
async function kept() {
  if (document.body.dataset.origin !== "trusted") return;
  try {
    await keep(["manifest.webmanifest", "LICENSE.txt"]);
  } catch (error) {
    element("origin").textContent += ` (The copy for offline use could not be kept: ${error.message})`;
  }
}

function fill(id, values, chosen) {
  const options = values.map((value) => new Option(value, value, false, String(value) === String(chosen)));
  element(id).replaceChildren(...options);
}

/** No frame is in the network any more. */
const idle = () => looking.catch(() => {});

/** Threads are few, so whoever loads models waits for those who do already. */
const inTurn = (work) => (loading = loading.catch(() => {}).then(work));

/** What is chosen. WebGPU computes in float whatever a file says, so it is given the fp32 one. */
function choice() {
  const accelerator = element("engine").value;
  const precision = accelerator === "webgpu" ? "fp32" : element("precision").value;
  return { precision, threads: Number(element("threads").value), accelerator };
}

/** Load what is chosen, and prove on the golden vectors that it computes here what was exported. */
async function choose() {
  letGo();
  say("Loading the model…");
  let opened, found;
  try {
    opened = await Recogniser.open(bundle, choice());
    say("Checking…");
    found = await check(opened);
    if (found.problems.length) {
      throw new Error(`This browser computes something else than was exported (${found.problems[0]}): use another, or a newer one.`);
    }
  } catch (error) {
    letGo();
    say("Stopped");
    throw error;
  }
  const { worst } = found;
  recogniser = opened;
  const { precision, threads, accelerator } = opened.choice;
  say(`${precision}, ${accelerator === "webgpu" ? "WebGPU" : `${threads} ${threads === 1 ? "thread" : "threads"}`}`);
  element("model").textContent =
    `${bundle.spec.system}, ${bundle.spec.input_size}×${bundle.spec.input_size}; files checked by SHA-256, golden vectors ` +
    `replayed: probabilities within ${Number(worst.probability.toPrecision(2))}, crops within ${worst.crop_levels} grey levels. ` +
    `${bundle.spec.licence}`;
}

/** Threads are few: what is not needed gives its own back first. */
function letGo() {
  deleteAll();
  recogniser = undefined;
  times = [];
}

function listen() {
  const tried = (work) => async (event) => {
    complain(null);
    try {
      await work(event);
    } catch (error) {
      stop();
      complain(error);
    }
  };
  element("camera").onclick = tried(() => (video.srcObject ? stop() : camera()));
  element("flip").onclick = tried(() => ((facing = facing === "user" ? "environment" : "user"), camera()));
  element("file").onchange = tried(async ({ target }) => {
    const [file] = target.files;
    target.value = ""; // so that the same file can be chosen again
    if (file) await open(file);
  });
  for (const id of ["precision", "threads", "engine"]) element(id).onchange = tried(() => inTurn(async () => (await idle(), await choose(), kept())));
  element("measure").onclick = tried(() => inTurn(measured));
  document.querySelector("details").addEventListener("toggle", () => inTurn(offerWebGpu), { once: true });
  const over = (event) => (event.preventDefault(), element("stage").classList.toggle("over", event.type === "dragover"));
  document.ondragover = document.ondragleave = over; // anywhere: beside the stage a browser would leave the page for the file
  document.ondrop = tried((event) => (over(event), event.dataTransfer.files[0] && open(event.dataTransfer.files[0])));
  document.querySelectorAll(":disabled").forEach((control) => (control.disabled = control.id === "flip"));
}

/** A camera, video or picture begins and what ran before ends. What is overtaken while it opens ends too, and says nothing. */
async function begin(work) {
  ready();
  stop();
  times = [];
  timeline.clear();
  view.drawFigures(null, null, null, null);
  const mine = run;
  const current = () => mine === run;
  try {
    await work(current);
  } catch (error) {
    if (current()) throw error;
  }
}

function ready() {
  if (!recogniser) throw new Error("The model is not loaded yet: try again in a moment.");
}

function camera() {
  return begin(async (current) => {
    const lost = (error) => current() && (stop(), complain(error));
    const mirrored = await source.openCamera(video, facing, current, lost);
    if (!current()) return;
    element("camera").textContent = "Stop camera";
    element("flip").disabled = false;
    await follow(current, mirrored);
  });
}

function stop() {
  run++;
  source.close(video);
  element("camera").textContent = "Start camera";
  element("flip").disabled = true;
}

function open(file) {
  return begin(async (current) => {
    if (file.type.startsWith("video/")) {
      await source.openVideo(video, file);
      await follow(current, false);
    } else {
      await look(current, await source.openImage(file));
    }
  });
}

/** One picture: no tracks, no smoothing. */
async function look(current, image) {
  await idle();
  if (!current()) return image.close();
  ready();
  const frame = source.grab(image, source.MOST_STILL);
  image.close();
  looking = recogniser.look(frame);
  const faces = await looking;
  if (current()) show(faces, false);
}

/** A camera's or video's frames, the newest each time, until another begins. */
async function follow(current, mirrored) {
  await idle();
  recogniser?.reset();
  const shown = [];
  for (let frames = 1; current(); ) {
    await source.nextFrame(video);
    if (!current() || !video.videoWidth || !recogniser) continue;
    const started = performance.now();
    looking = recogniser.follow(source.grab(video), started / 1000);
    const faces = await looking;
    if (!current()) return;
    keepTime(times, performance.now() - started);
    keepTime(shown, performance.now());
    timeline.add(started / 1000, faces[0]?.probabilities ?? null);
    show(faces, mirrored);
    if (frames++ % 10 === 0) figures(shown);
  }
}

function keepTime(list, value) {
  list.push(value);
  if (list.length > KEPT) list.shift();
}

function figures(shown) {
  const lately = shown.filter((time) => time > shown.at(-1) - 3000);
  const fps = lately.length > 1 ? (1000 * (lately.length - 1)) / (lately.at(-1) - lately[0]) : null;
  view.drawFigures(fps, ...[50, 90, 95].map((p) => (times.length < (PERCENTILE_MINIMUM[p] ?? 1) ? null : percentile(times, p))));
}

function show(faces, mirrored) {
  const labelOf = ({ probabilities }) => {
    const i = probabilities.indexOf(Math.max(...probabilities));
    return { text: `${bundle.spec.labels[i]} ${Math.round(100 * probabilities[i])} %`, colour: view.colour(i) };
  };
  const { width, height } = source.grabbed();
  view.drawPicture(source.grabbed(), width, height, faces, mirrored, labelOf);
  view.drawBars(bundle.spec.labels, faces[0]?.probabilities ?? null, faces.length);
}

async function measured() {
  const live = times.slice();
  stop();
  await idle();
  letGo();
  element("measure").disabled = true;
  try {
    const record = await measure(bundle, { ...choice(), live }, (text) => (element("measured").textContent = `Measuring: ${text}…`));
    const { latency_ms: latency, pipeline_fps: fps } = record.metrics;
    const [low, high] = latency.ci95.map((end) => end.toFixed(2));
    const lines = [`Network alone ${latency.value.toFixed(2)} ms [${low}, ${high}]`, `frame to label ${fps.value.toFixed(0)} frames a second`];
    element("measured").textContent = [lines.join(", "), ...record.environment.run.problems].join("\n");
    const link = element("save");
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([JSON.stringify(record)], { type: "application/json" }));
    link.hidden = false;
  } catch (error) {
    element("measured").textContent = "";
    throw error;
  } finally {
    element("measure").disabled = false;
    await choose();
  }
}

/** What benchmarks/ asked this page to measure; its record goes back to the server that serves the page, and nowhere else. */
async function work(token) {
  say("Measuring…");
  letGo();
  await navigator.wakeLock?.request("screen").catch(() => {});
  let answer;
  try {
    const task = await (await fetch(`task.json?token=${token}`)).json();
    const crops = task.crops && { data: new Uint8Array(await (await fetch(`crops.bin?token=${token}`)).arrayBuffer()), shape: task.crops };
    answer = await measure(bundle, { ...task, crops }, (text) => say(`Measuring: ${text}…`));
  } catch (error) {
    answer = { error: error.message ?? String(error) };
  }
  await fetch(`record?token=${token}`, { method: "POST", body: JSON.stringify(answer) });
  await choose();
  say(answer.error ?? "Measured. This page can be closed.");
}

/** WebGPU where the browser has it, all of the network runs on it, and it computes what was exported. Asked for when looked for. */
async function offerWebGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter || !bundles.precisions(bundle).includes("fp32")) return;
  let opened;
  try {
    opened = await Recogniser.open(bundle, { precision: "fp32", threads: 1, accelerator: "webgpu" });
    const { problems } = await check(opened);
    if (opened.network.accelerator === "webgpu" && !problems.length) element("engine").append(new Option("WebGPU", "webgpu"));
  } catch {
    // it is not offered: that is what it means to be without it
  } finally {
    opened?.delete();
  }
}

main().catch((error) => {
  say("Stopped");
  complain(error);
  document.body.dataset.ready = "no";
});
