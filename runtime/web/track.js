// Which face of this frame is which of the last, and what it has expressed lately: edgefer/track.py.

export const SMOOTHING = 0.3; // seconds, edgefer/loop.py
const LEAST_OVERLAP = 0.3, PATIENCE = 0.5, GAP = 2;

/** Gives each face the track it overlaps most, the best pair first. */
export class Tracker {
  #tracks = [];
  #next = 1;
  #last = 0;

  /** Tracks of faces, in their order; time in seconds, not decreasing. */
  assign(faces, time) {
    const patience = Math.max(PATIENCE, Math.min(GAP, time - this.#last));
    this.#tracks = this.#tracks.filter((track) => time - track.seen <= patience);
    this.#last = time;
    const chosen = this.#matches(faces);
    return faces.map((face, i) => {
      const track = chosen.get(i) ?? this.#begun();
      return Object.assign(track, { box: face.box, seen: time });
    });
  }

  #begun() {
    const track = { id: this.#next++, probabilities: null, updated: 0 };
    this.#tracks.push(track);
    return track;
  }

  #matches(faces) {
    const pairs = faces.flatMap((face, i) => this.#tracks.map((track, j) => [overlap(face.box, track.box), i, j]));
    const chosen = new Map(), taken = new Set();
    pairs.sort((a, b) => b[0] - a[0] || b[1] - a[1] || b[2] - a[2]);
    for (const [amount, i, j] of pairs) {
      if (amount < LEAST_OVERLAP || chosen.has(i) || taken.has(j)) continue;
      chosen.set(i, this.#tracks[j]);
      taken.add(j);
    }
    return chosen;
  }
}

/** Blend new probabilities into a track's: p ← p + (1 − e^(−Δt/constant)) · (new − p). A constant of 0 keeps the new ones. */
export function smooth(track, probabilities, time, constant = SMOOTHING) {
  if (!track.probabilities || constant <= 0) {
    track.probabilities = Float32Array.from(probabilities);
  } else {
    const weight = Math.fround(1 - Math.exp(-Math.max(0, time - track.updated) / constant));
    track.probabilities = track.probabilities.map((p, i) => p + Math.fround(weight * Math.fround(probabilities[i] - p)));
  }
  track.updated = time;
  return track.probabilities;
}

/** Intersection over union of two boxes [x, y, w, h]. */
export function overlap(a, b) {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (a[2] * a[3] + b[2] * b[3] - width * height);
}
