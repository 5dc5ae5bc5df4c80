// From a frame to the gray square the face finder sees: edgefer/detectors/shrink.py, in whole numbers, the same bits.
//
// A frame is {data, width, height, channels}: bytes row by row, 1 (gray), 3 (RGB) or 4 (RGBA) a pixel.

export const FILL = 128;
const LUMA = [77, 150, 29];
const div = (a, b) => Math.floor(a / b);

/** @returns {{square: Uint8Array, scale: [number, number]}} S×S grey levels; frame pixels that one of them spans in x, y. */
export function toSquare(frame, size) {
  const f = Math.max(1, div(Math.max(frame.width, frame.height), size));
  let gray = blocks(frame, f);
  const { width, height } = gray;
  const longer = Math.max(width, height);
  let scale = [f, f];
  if (longer > size) {
    const [newHeight, newWidth] = [height, width].map((n) => Math.max(1, div(n * size + div(longer, 2), longer)));
    gray = turned(rows(turned(rows(gray, newHeight)), newWidth));
    scale = [(f * width) / newWidth, (f * height) / newHeight];
  }
  const square = new Uint8Array(size * size).fill(FILL);
  for (let y = 0; y < gray.height; y++) {
    square.set(gray.data.subarray(y * gray.width, (y + 1) * gray.width), y * size);
  }
  return { square, scale };
}

/** Grey level of every f×f block. */
function blocks({ data, width, height, channels }, f) {
  const tall = Math.min(f, height), wide = Math.min(f, width);
  const out = { width: div(width, f) || 1, height: div(height, f) || 1 };
  out.data = new Uint8Array(out.width * out.height);
  const [green, blue] = channels === 1 ? [0, 0] : [1, 2];
  const area = 256 * tall * wide;
  for (let row = 0, at = 0; row < out.height; row++) {
    for (let column = 0; column < out.width; column++, at++) {
      let sum = 0;
      for (let y = row * tall; y < (row + 1) * tall; y++) {
        let i = (y * width + column * wide) * channels;
        for (const end = i + wide * channels; i < end; i += channels) {
          sum += LUMA[0] * data[i] + LUMA[1] * data[i + green] + LUMA[2] * data[i + blue];
        }
      }
      out.data[at] = div(sum + div(area, 2), area);
    }
  }
  return out;
}

/** Fewer rows, by linear interpolation, at most by half. */
function rows(image, count) {
  const { data, width, height } = image;
  if (count === height) return image;
  const out = { width, height: count, data: new Uint8Array(width * count) };
  for (let i = 0; i < count; i++) {
    const place = div((2 * i + 1) * height * 128, count) - 128;
    const a = div(place, 256), t = place - 256 * a;
    const first = a * width, second = Math.min(a + 1, height - 1) * width;
    for (let x = 0; x < width; x++) {
      out.data[i * width + x] = (data[first + x] * (256 - t) + data[second + x] * t + 128) >> 8;
    }
  }
  return out;
}

function turned({ data, width, height }) {
  const out = { width: height, height: width, data: new Uint8Array(data.length) };
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out.data[x * height + y] = data[y * width + x];
  return out;
}
