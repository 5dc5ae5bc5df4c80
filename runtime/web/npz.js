// Arrays of a NumPy .npz file: a zip of .npy files, deflated or stored. Little-endian uint8, float32, float64 and int64 only.

const TYPES = { "|u1": Uint8Array, "<f4": Float32Array, "<i8": BigInt64Array, "<f8": Float64Array };

/** @param {Uint8Array} bytes @returns {Promise<Object<string, {data, shape: number[]}>>} */
export async function readNpz(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const arrays = {};
  for (const entry of entries(view)) {
    const packed = bytes.subarray(entry.start, entry.start + entry.packed);
    arrays[entry.name.replace(/\.npy$/, "")] = readNpy(entry.method === 8 ? await inflated(packed) : packed.slice());
  }
  return arrays;
}

function* entries(view) {
  let end = view.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("it is no zip archive");
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength));
    yield { name, start, packed: view.getUint32(at + 20, true), method: view.getUint16(at + 10, true) };
    at += 46 + nameLength + extra + comment;
  }
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[6] >= 2; // of format 2 on, the header's length has four bytes
  const begin = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(bytes.subarray(wide ? 12 : 10, begin));
  const type = TYPES[/'descr':\s*'([^']+)'/.exec(header)?.[1]];
  if (!type || !/'fortran_order':\s*False/.test(header)) throw new Error(`an array of this kind is not read: ${header}`);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)[1].split(",").filter((word) => word.trim()).map(Number);
  const body = bytes.slice(begin);
  return { shape, data: new type(body.buffer, 0, body.byteLength / type.BYTES_PER_ELEMENT) };
}

/** Row i of an array, along its first axis. */
export function row({ data, shape }, i) {
  const length = shape.slice(1).reduce((product, side) => product * side, 1);
  return data.subarray(i * length, (i + 1) * length);
}
