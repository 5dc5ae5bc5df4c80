// LiteRT in WebAssembly: model bytes in, a function from a uint8 image to float arrays out.

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from "@litertjs/core";
import { Refused } from "./bundle.js";

const WASM = new URL("litert/wasm/", document.baseURI).href;
/** Threads need a shared memory, which a browser gives to isolated pages only; LiteRT's build with threads needs relaxed SIMD too. */
export const THREADED =
  globalThis.crossOriginIsolated === true && (await supportsFeature("relaxedSimd")) && (await supportsFeature("threads"));
const MODELS = 2; // open at a time: finder and network, or two that are timed in turns
/** Each model has threads of its own beside the page's. The runtime starts as many as there are cores, and waits for ever for more. */
export const MOST_THREADS = THREADED ? Math.min(8, 1 + Math.floor((navigator.hardwareConcurrency || 1) / MODELS)) : 1;
const FREED_MS = 100; // in which the threads of a deleted model come back, by messages

const open = new Set();
let starting;
let freed = Promise.resolve();
/** The runtime, once; its threaded build where the page may have threads. */
const start = () => (starting ??= loadLiteRt(WASM, { threads: THREADED }));

/** Delete every model that is open, those that an error left behind too. */
export function deleteAll() {
  open.forEach((model) => model.delete());
}

export async function version() {
  return (await (await fetch("litert/package.json")).json()).version;
}

/** Bytes of WebAssembly memory in use: it never shrinks. */
export async function heapBytes() {
  return (await start()).liteRtWasm.HEAPU8.byteLength;
}

export class Model {
  static async load(name, bytes, threads, accelerator = "wasm") {
    try {
      await Promise.all([start(), freed]);
    } catch (error) {
      throw new Refused(`LiteRT cannot be started (${told(error)}); reload the page, or use a newer browser.`);
    }
    try {
      const cpuOptions = { numThreads: Math.min(threads, MOST_THREADS) };
      return new Model(await loadAndCompile(bytes, { accelerator, cpuOptions }));
    } catch (error) {
      throw new Refused(`${name} cannot be loaded (${told(error)}); export the bundle again.`);
    }
  }

  constructor(compiled) {
    this.compiled = compiled;
    open.add(this);
  }

  /** What it really runs on: the accelerator that was asked for, where that has all of it. */
  get accelerator() {
    return this.compiled.isFullyAccelerated ? this.compiled.options.accelerator : "wasm";
  }

  /** @param {Uint8Array} image @returns {Promise<{data: Float32Array, shape: number[]}[]>} */
  async run(image, shape) {
    const input = new Tensor(image, shape);
    try {
      const outputs = await this.compiled.run([input]);
      return await Promise.all(outputs.map(taken));
    } finally {
      input.delete();
    }
  }

  delete() {
    if (!open.delete(this)) return;
    this.compiled.delete();
    freed = new Promise((resolve) => setTimeout(resolve, FREED_MS));
  }
}

const told = (error) => String(error?.message ?? error).slice(0, 200);

async function taken(output) {
  const found = { data: Float32Array.from(await output.data()), shape: Array.from(output.type.layout.dimensions) };
  output.delete();
  return found;
}
