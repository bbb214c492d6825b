/** Upper bounds in ms, from a cache's answer to the longest that anybody waits. */
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

/** How long things took: counts between fixed bounds, which cost a few comparisons each. */
export class Histogram {
  /** One for each bound, and the last for what is beyond them all. */
  readonly counts = new Float64Array(BOUNDS.length + 1);
  /** Of all that was added, in ms. */
  sum = 0;

  add(milliseconds: number, times = 1): void {
    let i = 0;
    while (milliseconds > BOUNDS[i]!) i++; // false against undefined, too
    this.counts[i]! += times;
    this.sum += times * milliseconds;
  }

  /** Adds what another one has counted; of one that comes from another thread only the numbers are left. */
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
 * What a share of the counted did not exceed, in ms, taken as evenly spread between two bounds; undefined where nothing
 * was counted.
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
