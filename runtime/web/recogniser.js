// A bundle's finder and network on LiteRT: frame → faces with what each expresses.

import { alignCrop } from "./align.js";
import { artifact } from "./bundle.js";
import { Model } from "./engine.js";
import { Finder } from "./finder.js";
import { smooth, Tracker } from "./track.js";

export class Recogniser {
  /** @param bundle see bundle.js @param {{precision: string, threads: number, accelerator?: string}} choice */
  static async open(bundle, choice) {
    if (!bundle.finder) throw new Error("The bundle has no face finder of its own; export it again with this version.");
    const finder = await Recogniser.model(bundle, bundle.finder, choice.precision, choice.threads);
    const network = await Recogniser.model(bundle, bundle.manifest, choice.precision, choice.threads, choice.accelerator);
    return new Recogniser(bundle, choice, new Finder(finder, bundle.finder.spec), network);
  }

  /** One of the bundle's LiteRT models, verified and compiled; part is the manifest or its finder. */
  static async model(bundle, part, precision, threads, accelerator) {
    const { file } = artifact(part, precision);
    return Model.load(file, await bundle.read(file), threads, accelerator);
  }

  constructor(bundle, choice, finder, network) {
    Object.assign(this, { bundle, choice, finder, network, spec: bundle.spec, labels: bundle.spec.labels });
    this.reset();
  }

  /** Forget who was seen: a new camera or video begins. */
  reset() {
    this.tracker = new Tracker();
  }

  /** Faces of one frame, largest first, with their own probabilities. */
  async look(frame) {
    const faces = [];
    for (const face of await this.finder.find(frame)) {
      const crop = alignCrop(frame, face.landmarks, this.spec);
      if (crop) faces.push({ ...face, crop, probabilities: await this.classify(crop) });
    }
    return faces;
  }

  /** The same for frames that follow each other: faces have a track, and probabilities are smoothed. Time in seconds. */
  async follow(frame, time, constant) {
    const faces = await this.look(frame);
    const tracks = this.tracker.assign(faces, time);
    return faces.map((face, i) => {
      return { ...face, track: tracks[i].id, probabilities: smooth(tracks[i], face.probabilities, time, constant) };
    });
  }

  /** @param {Uint8Array} crop (S, S, C) @returns {Promise<Float32Array>} one probability a label */
  async classify(crop) {
    const { input_size: size, channels } = this.spec;
    return (await this.network.run(crop, [1, size, size, channels]))[0].data;
  }

  label(probabilities) {
    return this.labels[best(probabilities)];
  }

  delete() {
    this.finder.model.delete();
    this.network.delete();
  }
}

export function best(values) {
  return values.indexOf(Math.max(...values));
}
