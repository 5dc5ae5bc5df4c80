// How the face finder's outputs are read: edgefer/finder.py. Cells above the threshold, non-maximum suppression that blends.

import { toSquare } from "./shrink.js";

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
    const { square, scale } = toSquare(frame, this.spec.input_size);
    const found = await this.inSquare(square);
    return found.map((face) => inFrame(face, scale)).sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]);
  }

  /** Faces in the square's pixels, best first: {score, edges: [left, top, right, bottom], landmarks}. */
  async inSquare(square) {
    const size = this.spec.input_size;
    const outputs = {};
    for (const { data, shape } of await this.model.run(square, [1, size, size, 1])) outputs[WIDTHS[shape[2]]] = data;
    return decode(outputs, this.spec, this.grid);
  }
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

export function decode({ scores, boxes, landmarks }, spec, grid = cells(spec)) {
  const found = [];
  for (let row = 0; row < scores.length; row++) {
    if (!(scores[row] >= Math.fround(spec.threshold))) continue;
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
function suppressed(left, overlap) {
  const kept = [];
  while (left.length) {
    const best = left[0];
    const heap = left.filter((face) => face === best || alike(best.edges, face.edges, overlap));
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

function alike(a, b, overlap) {
  const span = (low, high) => Math.max(0, high - low);
  const common = span(Math.max(a[0], b[0]), Math.min(a[2], b[2])) * span(Math.max(a[1], b[1]), Math.min(a[3], b[3]));
  const area = (e) => span(e[0], e[2]) * span(e[1], e[3]);
  return common > overlap * (area(a) + area(b) - common);
}

function inFrame({ score, edges, landmarks }, [sx, sy]) {
  const [left, top, right, bottom] = [edges[0] * sx, edges[1] * sy, edges[2] * sx, edges[3] * sy];
  return { box: [left, top, right - left, bottom - top], score, landmarks: landmarks.map(([x, y]) => [x * sx, y * sy]) };
}
