// Medians and intervals of timed samples, as benchmarks/stats.py words them. It judges again from the samples; this is to look at.

const T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
export const PERCENTILE_MINIMUM = { 90: 64, 95: 130, 99: 662 };

export function percentile(values, p) {
  const sorted = Float64Array.from(values).sort();
  const place = ((sorted.length - 1) * p) / 100, low = Math.floor(place);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (place - low);
}

export const median = (values) => percentile(values, 50);

/** Median of (rounds, blocks, n) samples; its interval is Student's over rounds, of the logarithms of the blocks' medians. */
export function estimate(samples) {
  const value = median(samples.flat(2));
  const rounds = samples.map((blocks) => median(blocks.map((block) => Math.log(median(block)))));
  if (rounds.length < 2) return { value, ci95: null };
  const mean = rounds.reduce((sum, x) => sum + x, 0) / rounds.length;
  const variance = rounds.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (rounds.length - 1);
  const half = T_975[Math.min(rounds.length - 2, T_975.length - 1)] * Math.sqrt(variance / rounds.length);
  return { value, ci95: [value * Math.exp(-half), value * Math.exp(half)] };
}
