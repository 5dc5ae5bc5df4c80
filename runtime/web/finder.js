// The bundle's own face finder: edgefer/detectors/own.py, and how its outputs are read: edgefer/finder.py.
// Cells above the threshold, non-maximum suppression that blends; doubtful places are looked at again, larger.

import { toSquare } from "./shrink.js";
import { overlap } from "./track.js";

const LOOK_SIDE = 5, LEAST_LOOK = 1.5, MOST_PART = 2 / 3, SLACK = 1 / 64, MOST_LOOKS = 3, LOOK_OVERLAP = 0.3;
const WIDTHS = { 1: "scores", 4: "boxes", 10: "landmarks" };

/** The bundle's own finder. @param {object} spec of finder.json @param model see engine.js */
export class Finder {
  constructor(model, spec) {
    this.model = model;
    this.spec = spec;
    this.grid = cells(spec);
  }

  /** Faces of a frame, largest first: {box: [x, y, w, h], score, landmarks: [[x, y] × 5]}, in the frame's pixels. */
  async find(frame) {
    const { threshold, doubt, confirm, input_size: size } = this.spec;
    const { square, scale } = toSquare(frame, size);
    const outputs = await this.run(square);
    const faces = this.read(outputs, threshold, scale);
    if (doubt != null && Math.max(frame.width, frame.height) > size) {
      const places = this.read(outputs, doubt, scale).filter((place) => place.score < Math.fround(threshold));
      for (const place of places.slice(0, MOST_LOOKS)) {
        const face = await this.lookedAt(frame, place, confirm);
        if (face && !faces.some((other) => overlap(face.box, other.box) > this.spec.overlap)) faces.push(face);
      }
    }
    return faces.sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]);
  }

  /** The best face at a doubtful place, seen larger, if there is one. */
  async lookedAt(frame, place, confirm) {
    const seen = about(frame, place.box);
    if (!seen) return undefined;
    const { part, corner } = seen;
    const { square, scale } = toSquare(part, this.spec.input_size);
    const found = this.read(await this.run(square), confirm, scale, corner);
    return found.find((face) => overlap(face.box, place.box) >= LOOK_OVERLAP);
  }

  /** Faces in the frame's pixels, best first; corner: where the part of it that the square shows begins. */
  read(outputs, threshold, scale, corner = [0, 0]) {
    return decode(outputs, this.spec, this.grid, threshold).map((face) => inFrame(face, scale, corner));
  }

  /** Faces in the square's pixels, best first: {score, edges: [left, top, right, bottom], landmarks}. */
  async inSquare(square) {
    return decode(await this.run(square), this.spec, this.grid);
  }

  async run(square) {
    const size = this.spec.input_size;
    const outputs = {};
    for (const { data, shape } of await this.model.run(square, [1, size, size, 1])) outputs[WIDTHS[shape[2]]] = data;
    return outputs;
  }
}

/** What a second look sees: the part of a frame about a box, moved into it, and where that begins; null: no box, or a large one. */
function about({ data, width, height, channels }, [x, y, w, h]) {
  const longer = Math.max(w, h);
  const side = Math.min(LOOK_SIDE * longer, MOST_PART * Math.max(width, height));
  if (!(Number.isFinite(x + y + w + h) && longer > 0 && side >= LEAST_LOOK * longer)) return null;
  const [[left, wide], [top, high]] = [[x + w / 2, width], [y + h / 2, height]].map(([middle, end]) => {
    const length = Math.min(Math.floor(side + SLACK) + 1, end);
    return [Math.min(Math.max(Math.floor(middle - length / 2 + SLACK), 0), end - length), length];
  });
  const part = { width: wide, height: high, channels, data: new Uint8Array(wide * high * channels) };
  for (let row = 0; row < high; row++) {
    const at = ((top + row) * width + left) * channels;
    part.data.set(data.subarray(at, at + wide * channels), row * wide * channels);
  }
  return { part, corner: [left, top] };
}

/** Of every cell: x, y of its centre and what 1 stands for, in pixels. */
export function cells({ input_size, strides, units }) {
  const found = [];
  strides.forEach((stride, level) => {
    const along = Math.floor(input_size / stride);
    for (let y = 0; y < along; y++) {
      for (let x = 0; x < along; x++) found.push([(x + 0.5) * stride, (y + 0.5) * stride, units[level]]);
    }
  });
  return found;
}

export function decode({ scores, boxes, landmarks }, spec, grid = cells(spec), threshold = spec.threshold) {
  const found = [];
  for (let row = 0; row < scores.length; row++) {
    if (!(scores[row] >= Math.fround(threshold))) continue;
    const [x, y, unit] = grid[row];
    const away = Array.from(boxes.subarray(4 * row, 4 * row + 4), (value) => value * unit);
    const points = [0, 1, 2, 3, 4].map((i) => [
      landmarks[10 * row + 2 * i] * unit + x,
      landmarks[10 * row + 2 * i + 1] * unit + y,
    ]);
    const edges = [x - away[0], y - away[1], x + away[2], y + away[3]];
    found.push({ score: scores[row], edges, landmarks: points });
  }
  return suppressed(found.sort((a, b) => b.score - a.score), spec.overlap);
}

/** The best of each heap of overlapping boxes, with the heap's box and landmarks weighted by score (BlazeFace, 4). */
function suppressed(left, most) {
  const kept = [];
  while (left.length) {
    const best = left[0];
    const heap = left.filter((face) => face === best || alike(best.edges, face.edges, most));
    left = left.filter((face) => !heap.includes(face));
    const total = heap.reduce((sum, face) => sum + face.score, 0);
    const blend = (of) => heap.reduce((sum, face) => sum + (of(face) * face.score) / total, 0);
    kept.push({
      score: best.score,
      edges: best.edges.map((_, i) => blend((face) => face.edges[i])),
      landmarks: best.landmarks.map((_, i) => [0, 1].map((k) => blend((face) => face.landmarks[i][k]))),
    });
  }
  return kept;
}

function alike(a, b, most) {
  const span = (low, high) => Math.max(0, high - low);
  const common = span(Math.max(a[0], b[0]), Math.min(a[2], b[2])) * span(Math.max(a[1], b[1]), Math.min(a[3], b[3]));
  const area = (e) => span(e[0], e[2]) * span(e[1], e[3]);
  return common > most * (area(a) + area(b) - common);
}

function inFrame({ score, edges, landmarks }, [sx, sy], [x0, y0]) {
  const [left, top, right, bottom] = [edges[0] * sx, edges[1] * sy, edges[2] * sx, edges[3] * sy];
  const box = [left + x0, top + y0, right - left, bottom - top];
  return { box, score, landmarks: landmarks.map(([x, y]) => [x * sx + x0, y * sy + y0]) };
}
