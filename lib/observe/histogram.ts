/** Histograms of durations: counts in fixed buckets, so that adding a value costs a few comparisons. */

/** Upper bounds of the buckets in ms, from a cache hit to the longest timeout. */
export const BOUNDS: readonly number[] = [
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  25,
  50,
  100,
  250,
  500,
  1000,
  2500,
  5000,
  10_000,
];

export class Histogram {
  /** One count for each bound, and the last for values above all bounds. */
  readonly counts = new Float64Array(BOUNDS.length + 1);
  /** Sum of all values, in ms. */
  sum = 0;

  /** Adds a value `times` times. */
  add(milliseconds: number, times = 1): void {
    let i = 0;
    while (milliseconds > BOUNDS[i]!) i++; // a comparison with undefined is false and ends the loop
    this.counts[i]! += times;
    this.sum += times * milliseconds;
  }

  /** Adds the counts of another histogram, which may be plain data from another thread. */
  addAll({ counts, sum }: Pick<Histogram, "counts" | "sum">): void {
    counts.forEach((count, i) => this.counts[i]! += count);
    this.sum += sum;
  }

  clear(): void {
    this.counts.fill(0);
    this.sum = 0;
  }

  get count(): number {
    return this.counts.reduce((sum, each) => sum + each, 0);
  }
}

/**
 * Returns the value in ms that a share of the counted values does not exceed, or undefined without values. Interpolates
 * within a bucket; values above all bounds count as the last bound.
 */
export function quantile(counts: ArrayLike<number>, share: number): number | undefined {
  const all = Array.from(counts);
  const rank = share * all.reduce((sum, each) => sum + each, 0);
  let below = 0;
  for (const [i, count] of all.entries()) {
    if (count > 0 && below + count >= rank) {
      const [from, to] = [BOUNDS[i - 1] ?? 0, BOUNDS[i] ?? BOUNDS.at(-1)!];
      return from + (to - from) * (rank - below) / count;
    }
    below += count;
  }
  return undefined;
}
