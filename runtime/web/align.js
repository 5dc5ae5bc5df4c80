// From a frame and five landmarks to the crop the network was trained on: edgefer/align.py, step by step.
//
// float32 where it has float32. What rounds otherwise (a sum's order, an inverse's last digit) is within a grey level.

const GRAY = [0.299, 0.587, 0.114].map(Math.fround);
const f32 = Math.fround;
const clip = (value, low, high) => Math.min(Math.max(value, low), high);

/** @returns {Uint8Array} crop (S, S, C) of the face. @param {object} spec of model.json */
export function alignCrop(frame, landmarks, spec) {
  const size = spec.input_size;
  const target = spec.alignment.landmarks.map(([x, y]) => [x * size, y * size]);
  return crop(frame, similarity(landmarks, target), size, spec.channels);
}

/** A picture that is a face crop already → crop (S, S, C), sampled the same way. */
export function resize(frame, spec) {
  const size = spec.input_size;
  const matrix = [[size / frame.width, 0, 0], [0, size / frame.height, 0]];
  return warp(toChannels(frame, [0, 0, frame.width, frame.height], spec.channels), matrix, size);
}

/** Least-squares rotation, scale and shift (Umeyama 1991, no reflection) of points onto points: 2×3. Null for no face. */
export function similarity(source, target) {
  const mean = (points, k) => points.reduce((sum, point) => sum + point[k], 0) / points.length;
  const [sx, sy, tx, ty] = [mean(source, 0), mean(source, 1), mean(target, 0), mean(target, 1)];
  let spread = 0, along = 0, across = 0;
  source.forEach(([x, y], i) => {
    const [s, r, u, v] = [x - sx, y - sy, target[i][0] - tx, target[i][1] - ty];
    spread += s * s + r * r;
    along += s * u + r * v;
    across += s * v - r * u;
  });
  const a = along / spread, b = across / spread;
  if (!(spread >= 1e-6 && a * a + b * b >= 1e-12)) return null;
  return [[a, -b, tx - (a * sx - b * sy)], [b, a, ty - (b * sx + a * sy)]];
}

function crop(frame, matrix, size, channels) {
  if (!matrix) return null;
  const inverse = inverted(matrix);
  const f = shrinking(inverse);
  const [x0, y0, x1, y1] = around(inverse, size, 3 * f, f, frame.width, frame.height);
  const [[a, b, c], [d, e, g]] = matrix;
  const moved = [[a, b, a * x0 + b * y0 + c], [d, e, d * x0 + e * y0 + g]];
  return warp(toChannels(frame, [x0, y0, x1, y1], channels), moved, size);
}

/** Left, top, right, bottom of the frame's part that a crop can touch; it begins at a corner of an f×f block. */
function around(inverse, size, margin, f, width, height) {
  const corners = [[0, 0], [size, 0], [0, size], [size, size]].map((point) => moved(inverse, point));
  const side = (k, n) => {
    const ends = corners.map((corner) => corner[k]);
    const low = clip(Math.floor((Math.min(...ends) - margin) / f), 0, Math.floor((n - 1) / f)) * f;
    return [low, Math.max(clip(Math.ceil(Math.max(...ends)) + margin, 1, n), low + 1)];
  };
  const [[x0, x1], [y0, y1]] = [side(0, width), side(1, height)];
  return [x0, y0, x1, y1];
}

/** Part of a frame as float32 with so many channels. */
function toChannels({ data, width, channels: has }, [x0, y0, x1, y1], channels) {
  const out = { width: x1 - x0, height: y1 - y0, channels, data: new Float32Array((x1 - x0) * (y1 - y0) * channels) };
  const [green, blue] = has === 1 ? [0, 0] : [1, 2];
  let at = 0;
  for (let y = y0; y < y1; y++) {
    for (let i = (y * width + x0) * has, end = (y * width + x1) * has; i < end; i += has) {
      if (channels === 3) {
        out.data[at++] = data[i];
        out.data[at++] = data[i + green];
        out.data[at++] = data[i + blue];
      } else {
        out.data[at++] = has === 1 ? data[i] : GRAY[0] * data[i] + GRAY[1] * data[i + green] + GRAY[2] * data[i + blue];
      }
    }
  }
  return out;
}

function warp(image, matrix, size) {
  let inverse = inverted(matrix);
  const f = Math.min(shrinking(inverse), Math.max(image.width, image.height));
  if (f >= 2) [image, inverse] = shrunk(image, inverse, size, f);
  const { data, width, height, channels } = image;
  const out = new Uint8Array(size * size * channels);
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const [px, py] = moved(inverse, [column + 0.5, row + 0.5]);
      const x = clip(px - 0.5, 0, width - 1), y = clip(py - 0.5, 0, height - 1);
      const x0 = Math.floor(x), y0 = Math.floor(y);
      const right = Math.min(x0 + 1, width - 1) - x0, below = (Math.min(y0 + 1, height - 1) - y0) * width;
      const u = f32(x - x0), v = f32(y - y0), u1 = f32(1 - u), v1 = f32(1 - v);
      const first = y0 * width + x0;
      for (let c = 0; c < channels; c++) {
        const grey = (pixel) => data[pixel * channels + c];
        const upper = f32(f32(grey(first) * u1) + f32(grey(first + right) * u));
        const lower = f32(f32(grey(first + below) * u1) + f32(grey(first + below + right) * u));
        out[at++] = clip(f32(f32(f32(upper * v1) + f32(lower * v)) + 0.5), 0, 255);
      }
    }
  }
  return out;
}

/** The part of an image that the crop touches, averaged over f×f pixels, and the inverse in its coordinates. */
function shrunk(image, inverse, size, f) {
  const [x0, y0, x1, y1] = around(inverse, size, 2 * f, f, image.width, image.height);
  const { data, width, channels } = image;
  const out = { width: Math.ceil((x1 - x0) / f), height: Math.ceil((y1 - y0) / f), channels };
  out.data = new Float32Array(out.width * out.height * channels);
  let at = 0;
  for (let row = 0; row < out.height; row++) {
    for (let column = 0; column < out.width; column++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let j = 0; j < f; j++) {
          const y = Math.min(y0 + row * f + j, y1 - 1);
          for (let i = 0; i < f; i++) sum += data[(y * width + Math.min(x0 + column * f + i, x1 - 1)) * channels + c];
        }
        out.data[at++] = sum / (f * f);
      }
    }
  }
  const [[a, b, c], [d, e, g]] = inverse;
  return [out, [[a / f, b / f, (c - x0) / f], [d / f, e / f, (g - y0) / f]]];
}

/** By how much a crop's pixels are larger than the image's, a whole number. */
function shrinking([[a, b], [d, e]]) {
  return Math.max(1, Math.floor(Math.sqrt(Math.abs(a * e - b * d)) + 1e-3));
}

function inverted([[a, b, c], [d, e, g]]) {
  const det = a * e - b * d;
  return [[e / det, -b / det, (b * g - e * c) / det], [-d / det, a / det, (d * c - a * g) / det]];
}

function moved([[a, b, c], [d, e, g]], [x, y]) {
  return [a * x + b * y + c, d * x + e * y + g];
}
