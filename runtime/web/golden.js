// Replays a bundle's golden vectors here: does this browser compute what was exported? Tolerances of edgefer/golden.py.

import { alignCrop } from "./align.js";
import { readNpz, row } from "./npz.js";
import { best } from "./recogniser.js";
import { toSquare } from "./shrink.js";

const CROP_LEVELS = 2;
const PROBABILITY = { fp32: 1e-4, int8: 2 / 256 };
const PIXELS = { fp32: 0.1, int8: 1 }, SCORES = { fp32: 1e-3, int8: 0.05 };

export async function vectors(bundle, name) {
  return readNpz(await bundle.read(`golden/${name}.npz`));
}

/** Frame i of an array (N, H, W) or (N, H, W, C). */
export function frameOf(array, i) {
  const [, height, width, channels = 1] = array.shape;
  return { data: row(array, i), height, width, channels };
}

/** @returns {Promise<{problems: string[], worst: object}>} problems: none when it does; worst: the largest differences */
export async function check(recogniser) {
  const worst = { crop_levels: 0, probability: 0, square_levels: 0, face_pixels: 0, face_score: 0 };
  const problems = [...(await checkNetwork(recogniser, worst)), ...(await checkFinder(recogniser, worst))];
  return { problems, worst };
}

async function checkNetwork(recogniser, worst) {
  const { bundle, spec, choice } = recogniser;
  const arrays = await vectors(bundle, "golden");
  const expected = arrays[choice.precision === "fp32" ? "probabilities_fp32" : `probabilities_litert_${choice.precision}`];
  const problems = [];
  for (let i = 0; i < arrays.crops.shape[0]; i++) {
    const points = row(arrays.landmarks, i);
    const landmarks = [0, 2, 4, 6, 8].map((k) => [points[k], points[k + 1]]);
    const levels = apart(alignCrop(frameOf(arrays.frames, i), landmarks, spec), row(arrays.crops, i));
    const found = await recogniser.classify(row(arrays.crops, i).slice());
    const away = apart(found, row(expected, i));
    worst.crop_levels = Math.max(worst.crop_levels, levels);
    worst.probability = Math.max(worst.probability, away);
    if (levels > CROP_LEVELS) problems.push(`golden ${i}: the crop differs by ${levels} grey levels`);
    if (!(away <= PROBABILITY[choice.precision])) problems.push(`golden ${i}: probabilities differ by ${away.toPrecision(2)}`);
    if (best(found) !== best(row(expected, i))) problems.push(`golden ${i}: another label`);
  }
  return problems;
}

async function checkFinder({ bundle, finder, choice }, worst) {
  const arrays = await vectors(bundle, "finder");
  const faces = arrays[`faces_litert_${choice.precision}`];
  const problems = [];
  for (let i = 0; i < arrays.frames.shape[0]; i++) {
    const { square } = toSquare(frameOf(arrays.frames, i), finder.spec.input_size);
    const levels = apart(square, row(arrays.squares, i));
    worst.square_levels = Math.max(worst.square_levels, levels);
    if (levels) problems.push(`golden ${i}: the frame shrinks to another square`);
    const expected = Array.from({ length: faces.shape[0] }, (_, k) => row(faces, k)).filter((face) => face[0] === i);
    const found = (await finder.inSquare(square)).map((face) => [i, face.score, ...face.edges, ...face.landmarks.flat()]);
    if (found.length !== expected.length) {
      problems.push(`golden ${i}: ${found.length} faces are found, ${expected.length} were`);
      continue;
    }
    for (const was of expected) {
      const is = found.reduce((a, b) => (apart(a.slice(2, 6), was.slice(2, 6)) <= apart(b.slice(2, 6), was.slice(2, 6)) ? a : b));
      const pixels = apart(is.slice(2), was.slice(2)), score = Math.abs(is[1] - was[1]);
      worst.face_pixels = Math.max(worst.face_pixels, pixels);
      worst.face_score = Math.max(worst.face_score, score);
      if (!(pixels <= PIXELS[choice.precision])) problems.push(`golden ${i}: a face lies ${pixels.toPrecision(2)} pixels off`);
      if (!(score <= SCORES[choice.precision])) problems.push(`golden ${i}: a score differs by ${score.toPrecision(2)}`);
    }
  }
  return problems;
}

function apart(a, b) {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), a.length === b.length ? 0 : Infinity);
}
